"""Orders of windows, and a loader that reads batches in such an order."""
