"""Parts that several sources use."""
