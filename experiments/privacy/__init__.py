"""The search for names in files of any kind, for the privacy audit."""
