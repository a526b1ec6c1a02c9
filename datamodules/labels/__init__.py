"""Activity names: label columns, and the names that all data sets share."""
