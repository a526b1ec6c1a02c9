"""Durable writes: a file appears whole or not at all, whatever kills the process."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEMPORARY = ".part-"  # what the names of unfinished files begin with


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Fill a temporary file beside ``path``, sync it to the disk, and only then give it its name.

    A process that is killed in between leaves no file of that name, or the old one, whole.

    Args:
        path: of the file; its folder exists.
        write: fills the file whose path it gets.

    Raises:
        OSError: the disk is full, read-only or gone; the old file is still there.
    """
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}-{path.name}")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; see :func:`write_atomically`."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, which people can read; see :func:`write_atomically`."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
