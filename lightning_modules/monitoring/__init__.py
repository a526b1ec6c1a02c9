"""Metrics and figures for the logs of training."""
