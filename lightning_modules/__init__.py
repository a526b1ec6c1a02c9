"""Training: Lightning modules, losses and metrics, which work on tensors and read no files."""
