"""The paper's tables and figure, from finished evaluations."""
