"""Text encoder of a CLIP model."""
