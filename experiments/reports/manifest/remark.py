"""One thing that is said of a study, and lists of names that end in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_NAMED = 3


@dataclass(frozen=True)
class Remark:
    """A problem, or a note that needs no action."""

    problem: bool
    text: str


def some(names: Sequence[str]) -> str:
    """The first names, and how many there are more."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
