"""Metrics and pictures that training logs."""
