"""Numbers with their nouns, for messages."""

from __future__ import annotations


def plural(count: int, one: str, many: str = "") -> str:
    """Write a number with its noun: 1 window, 2 windows, 1,000 windows."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
