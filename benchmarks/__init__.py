"""Benchmarks of reading, building, training and evaluation."""
