"""The order of windows and the loader that follows it."""
