"""Disks of a few megabytes that tests may fill, and read-only ones."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str = "1m", options: str = "") -> Iterator[Path]:
    """Mount a file system of its own on ``folder``; skips where this user may not mount.

    Args:
        folder: where it is mounted; made if it isn't there.
        size: of the file system, as ``mount`` takes it.
        options: more options of ``mount``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _mount(["-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", str(folder)])
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Mount a folder read-only onto itself; skips where this user may not mount. Not even root may write then."""
    _mount(["--bind", str(folder), str(folder)])
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Write a file that takes all room of a small disk, and ``leave`` bytes less; returns its path."""
    path = folder / "filling"
    free = os.statvfs(folder)
    room = free.f_bavail * free.f_frsize - leave
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room)
    return path


def _mount(arguments: list[str]) -> None:
    try:
        mounted = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no program 'mount'")
    if mounted.returncode:
        pytest.skip(f"this user may not mount: {mounted.stderr.strip()}")
