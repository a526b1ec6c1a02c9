"""Ranges of a source's settings, checked all together."""

from __future__ import annotations

from collections.abc import Iterable


def out_of_range(params: object, ranges: Iterable[tuple[str, float, float]]) -> list[str]:
    """Say of each setting beyond its range what it is and what is expected.

    Args:
        params: settings of a source.
        ranges: name, least and largest value of each setting.
    """
    return [
        f"{name} is {getattr(params, name)}; expected {low:g} to {high:g}"
        for name, low, high in ranges
        if not low <= getattr(params, name) <= high
    ]
