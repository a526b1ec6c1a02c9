"""The report on a manifest: measured facts, remarks on them, and their words."""
