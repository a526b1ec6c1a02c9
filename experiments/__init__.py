"""Experiments: command-line programs and their settings."""
