"""The evaluation: targets, cells, held-out labels, methods, audit."""
