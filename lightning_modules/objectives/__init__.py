"""Objectives of pretraining, one a file; the loss is their weighted sum."""
