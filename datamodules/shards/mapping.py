"""Files mapped into memory, of which only a bounded part counts as the process's own."""

from __future__ import annotations

import math
import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What Linux maps around a page that is touched for the first time.
_AROUND = 64 << 10


class MappedFiles:
    """Read-only arrays straight from the page cache.

    Pages that were touched stay mapped, and would add up to the whole data set in the course of an epoch. So once
    ``limit`` bytes may be mapped, all are let go; those that are needed again are still in the page cache, as far as
    the machine has memory, and cost about a microsecond each.

    Args:
        limit: bytes; files that are smaller together stay mapped.
    """

    def __init__(self, limit: int = 256 << 20) -> None:
        self.limit = limit
        self._files: dict[Path, mmap.mmap] = {}
        self._size = 0
        self._touched = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self.limit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        MappedFiles.__init__(self, state["limit"])

    def array(self, path: Path, dtype: str, shape: tuple[int, ...], offset: int = 0) -> NDArray[Any]:
        """The array that begins at byte ``offset`` of a file.

        Raises:
            OSError: the file can't be opened.
            ValueError: it is too short.
        """
        if 0 in shape:
            return np.zeros(shape, dtype)
        if path not in self._files:
            with path.open("rb") as file:
                self._files[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._size += len(self._files[path])
        return np.frombuffer(self._files[path], dtype, math.prod(shape), offset).reshape(shape)

    def touched(self, pieces: int, nbytes: int, whole: int) -> None:
        """Say that so many pieces, with ``nbytes`` in all, of an array of ``whole`` bytes were read since last time."""
        self._touched += min(nbytes + pieces * _AROUND, whole + _AROUND)
        if self._touched > self.limit and self._size > self.limit:
            self._touched = 0
            for file in self._files.values():
                # Whoever reads at this moment, in another thread, finds the same bytes again.
                file.madvise(mmap.MADV_DONTNEED)
