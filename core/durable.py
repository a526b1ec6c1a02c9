"""Durable writes: a file appears whole or not at all, whatever kills the process or fills the disk."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.room import naming_the_path

TEMPORARY = ".part-"  # what the names of unfinished files begin with


def write_atomically(path: Path, write: Callable[[Path], object], needed: int | None = None) -> None:
    """Fill a temporary file beside ``path``, sync it to the disk, and only then give it its name.

    A process that is killed in between leaves no file of that name, or the old one, whole. The file has the
    permissions that the umask leaves, whichever library fills it.

    Args:
        path: of the file; its folder exists.
        write: fills the file whose path it gets; an empty one is there.
        needed: bytes that the file will have, where that is known; for the message of a full disk.

    Raises:
        NoSpaceError: the disk is full; the old file is still there.
        OSError: the disk is read-only or gone; the old file is still there.
    """
    temporary = path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}-{path.name}")
    try:
        with naming_the_path(path, needed):  # asks how much is free while the file is still there
            mode = _create(temporary)
            write(temporary)
            if temporary.stat().st_mode != mode:  # safetensors makes private files
                temporary.chmod(mode & 0o7777)
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
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; see :func:`write_atomically`."""
    write_atomically(path, lambda temporary: temporary.write_bytes(content), len(content))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, which people can read; see :func:`write_atomically`."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def append_line(path: Path, line: str, sync: bool = True) -> None:
    """Add a line to a journal, and sync it to the disk unless the caller does that.

    Raises:
        NoSpaceError: the disk is full; the journal is as it was.
    """
    content = f"{line}\n".encode()
    with naming_the_path(path, len(content)), path.open("ab", buffering=0) as file:
        length = os.fstat(file.fileno()).st_size
        try:
            written = file.write(content)
            if written < len(content):  # the disk became full within the line
                file.write(content[written:])
            if sync:
                os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), length)
            raise


def _create(path: Path) -> int:
    """Create an empty file as the umask and the folder have it; return its mode."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return os.fstat(file).st_mode
    finally:
        os.close(file)
