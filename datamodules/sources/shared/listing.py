"""Which recordings of a data set are there, and which of them are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from datamodules.labels.natural_order import natural_key


def choose(root: Path, found: Mapping[str, str], wanted: Sequence[str], what: str, expected: str) -> list[str]:
    """Names of the recordings of the wanted people, in natural order.

    Args:
        root: where was looked, for messages.
        found: recording -> subject.
        wanted: subjects; empty takes all.
        what: the data set.
        expected: an example of the files that should be there.

    Raises:
        ValueError: there is no such data set, or no recording of the wanted people.
    """
    if not found:
        raise ValueError(f"{root.resolve()}: no {what} here; expected {expected} (set the source's 'root')")
    names = [name for name in sorted(found, key=natural_key) if not wanted or found[name] in wanted]
    if not names:
        raise ValueError(f"{root.resolve()}: no recording of subjects {', '.join(wanted)}")
    return names


def folder(root: Path, candidates: Iterable[str], what: str, expected: str) -> Path:
    """The first of the folders below ``root`` that is there; "" is the root itself.

    Raises:
        ValueError: none is.
    """
    for candidate in candidates:
        if (root / candidate).is_dir():
            return root / candidate
    raise ValueError(f"{root.resolve()}: no {what} here; expected {expected} (set the source's 'root')")
