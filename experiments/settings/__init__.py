"""Settings: the schema, its layers, and loading."""
