"""Loggers and callbacks that a run gets by name, and the arguments that Lightning's Trainer gets."""
