"""Natural order of names with numbers in them."""

from __future__ import annotations

import re


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key that puts "s2" before "s10"; distinct names have distinct keys, even "01" and "1"."""
    parts = re.split(r"([0-9]+)", name)
    key = [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts if part]
    return [*key, (-1, 0, name)]
