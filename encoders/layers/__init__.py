"""Layers that several encoders use."""
