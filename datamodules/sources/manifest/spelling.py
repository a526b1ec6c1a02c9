"""Names that people type: one spelling each, so that one person or activity does not become two."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from datamodules.sources.manifest.errors import ManifestError

_NUMBER = re.compile(r"[+-]?[0-9]{1,15}([.][0-9]{0,15})?")


def composed(name: str) -> str:
    """A name without blanks around it, each letter with its accent in one: some systems store the two apart."""
    return unicodedata.normalize("NFC", name).strip()


def folded(name: str) -> str:
    """What two spellings of one name share: capitals and blanks don't count, and 1.0 is 1."""
    text = "".join(unicodedata.normalize("NFKC", name).casefold().split())
    number = as_number(text)
    return text if number is None else f"{number:.15g}"


def as_number(name: str) -> float | None:
    """The number that a name is, as pandas writes 1 as 1.0 in a column where one is missing; None for other names."""
    return float(name) if _NUMBER.fullmatch(name) else None


def check_spelling(subjects: Iterable[tuple[str, str, Path]], manifest: Path) -> None:
    """Refuse two subjects whose names differ in capitals or blanks only: a test on one would know the other.

    Args:
        subjects: of each recording: the name, the key of its group, its first file.
        manifest: for messages.

    Raises:
        ManifestError: there are such names; the message says how to make them one.
    """
    seen: dict[str, tuple[str, Path]] = {}
    for name, where, path in subjects:
        key = "".join(unicodedata.normalize("NFKC", name).casefold().split())
        other, other_path = seen.setdefault(key, (name, path))
        if other != name:
            raise ManifestError(
                f"{manifest}: {where}.subject: '{other}' ({other_path}) and '{name}' ({path}) differ in capitals or "
                f"blanks only: one person would be in training and in the test; expected one spelling: set {where}."
                f"people: {{'{name}': '{other}'}}, or another name there if they are two people"
            )
