"""Evaluation of encoders: targets, cells, held-out labels, methods, audit."""
