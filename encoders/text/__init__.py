"""The text encoder of a CLIP model."""
