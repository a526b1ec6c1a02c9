"""Features of a target's windows."""
