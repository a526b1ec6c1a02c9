"""Video encoders and video heads, one per file, and their common code."""
