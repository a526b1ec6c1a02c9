"""What is trained: Lightning modules that get tensors and know nothing of files."""
