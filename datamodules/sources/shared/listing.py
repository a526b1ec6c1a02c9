"""Choice of the wanted recordings of a data set, and of its folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from datamodules.labels.natural_order import natural_key


def choose(root: Path, found: Mapping[str, str], wanted: Sequence[str], what: str, expected: str) -> list[str]:
    """Choose the names of the wanted subjects' recordings, in natural order.

    Args:
        root: folder of the data set, for messages.
        found: recording -> subject.
        wanted: subjects; empty takes all.
        what: name of the data set.
        expected: an example of the expected files.

    Raises:
        ValueError: there is no such data set, or no recording of the wanted subjects.
    """
    if not found:
        raise ValueError(f"{root.absolute()}: no {what} here; expected {expected} (set the source's 'root')")
    names = [name for name in sorted(found, key=natural_key) if not wanted or found[name] in wanted]
    if not names:
        raise ValueError(f"{root.absolute()}: no recording of subjects {', '.join(wanted)}")
    return names


def nested_or_root(root: Path, name: str) -> Path:
    """Return the folder ``name`` below ``root`` if it exists, else ``root``: an archive may contain a top folder."""
    nested = root / name
    return nested if nested.is_dir() else root


def folder(root: Path, candidates: Iterable[str], what: str, expected: str) -> Path:
    """Return the first existing folder of the candidates below ``root``; "" is the root itself.

    Raises:
        ValueError: no candidate exists.
    """
    for candidate in candidates:
        if (root / candidate).is_dir():
            return root / candidate
    raise ValueError(f"{root.absolute()}: no {what} here; expected {expected} (set the source's 'root')")
