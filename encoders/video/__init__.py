"""Video encoders and video heads, one a file, and what they share."""
