"""Losses, one pure module a file."""
