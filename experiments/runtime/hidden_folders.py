"""Paths in checkpoints: Lightning's callbacks keep where files lie, which names folders and their owners."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_HERE = "(the folder of this checkpoint)"


def without_folder(state: Any, folder: Path) -> Any:
    """Replace a folder, at the beginning of any text of plain values, by words; :func:`with_folder` puts it back."""
    places = {str(folder.absolute()), str(folder.resolve())}
    return _mapped(state, lambda text: next((_HERE + text[len(p) :] for p in places if _below(text, p)), text))


def with_folder(state: Any, folder: Path) -> Any:
    """Put the folder, which may be another one now, where :func:`without_folder` took it away."""
    here = str(folder.resolve())
    return _mapped(state, lambda text: here + text[len(_HERE) :] if text.startswith(_HERE) else text)


def _below(text: str, place: str) -> bool:
    return text == place or text.startswith(place + os.sep)


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_mapped(key, change): _mapped(part, change) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_mapped(part, change) for part in value)
    return value
