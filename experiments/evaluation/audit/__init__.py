"""The audit of a target before its evaluation: duplicates and shortcuts."""
