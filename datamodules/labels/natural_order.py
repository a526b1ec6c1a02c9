"""The order of names with numbers in them, as people expect it."""

from __future__ import annotations

import re


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts "s2" before "s10"; no two names are equal, not "01" and "1" either."""
    parts = re.split(r"([0-9]+)", name)
    key = [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts if part]
    return [*key, (-1, 0, name)]
