"""Rows of arrays that lie in files, read by their position: whole batches, in bounded memory.

Files are read, not mapped into memory. What was touched of a map counts as the process's own until all of it is let
go, and each row of a data set larger than that is faulted in again, which takes three times as long as reading it
(``docs/performance.md``); the kernel moreover reads ahead around every row that it has to fetch from a disk.
"""

from __future__ import annotations

import os
import resource
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OPEN = 4096  # files, if the process may have eight times as many
_SLOW_S = 50e-6  # a row that takes longer comes from a disk or a network


class _OpenFile:
    """A descriptor that is closed when nobody reads from it any more."""

    __slots__ = ("number", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = os.open(path, os.O_RDONLY)
        self._advise("POSIX_FADV_RANDOM", 0, 0)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)

    def read(self, at: int, out: memoryview) -> None:
        """Fill ``out`` from byte ``at`` on."""
        found = os.preadv(self.number, (out,), at)
        while found < len(out):  # Linux reads 2 GiB at a time, and some file systems less
            more = os.preadv(self.number, (out[found:],), at + found)
            if not more:
                raise OSError(
                    f"{self.path}: {found} bytes at byte {at}, expected {len(out)};"
                    " it became shorter since it was opened"
                )
            found += more

    def announce(self, at: int, nbytes: int) -> None:
        """Have the system fetch these bytes while others are being read."""
        self._advise("POSIX_FADV_WILLNEED", at, nbytes)

    def _advise(self, what: str, at: int, nbytes: int) -> None:
        if hasattr(os, what):  # Linux
            os.posix_fadvise(self.number, at, nbytes, getattr(os, what))


class RowReader:
    """Reads from a fixed set of files, which are opened when they are first needed.

    Safe to use from several threads, and after a fork.

    Args:
        paths: the files.
        most_open: of them, at a time; 0 is an eighth of what the process may have open (it may have several readers).
    """

    def __init__(self, paths: Sequence[Path], most_open: int = 0) -> None:
        self._paths = paths
        self._most_open = most_open or _most_open()
        self._files: OrderedDict[int, _OpenFile] = OrderedDict()
        self._lock = threading.Lock()
        self._slow = False
        _readers.add(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"paths": self._paths, "most_open": self._most_open}

    def __setstate__(self, state: dict[str, Any]) -> None:
        RowReader.__init__(self, state["paths"], state["most_open"])

    def rows(self, files: NDArray[np.int64], offsets: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Fill each row of ``out`` (B, ...), which is contiguous.

        Args:
            files: (B,) positions in ``paths``.
            offsets: (B,) the byte where each row begins in its file.
            out: where they are put.

        Raises:
            OSError: a file can't be opened, or ends too early.
        """
        if not out.size:
            return
        row = out.nbytes // len(out)
        follows = (np.diff(offsets) == row) & (np.diff(files) == 0)  # such rows are read at once
        first = np.flatnonzero(np.append(True, ~follows))
        starts = first * row
        ends = np.append(starts[1:], out.nbytes)
        columns = (files[first], offsets[first], starts, ends)
        stretches = list(zip(*(column.tolist() for column in columns), strict=True))
        view = out.reshape(-1).view(np.uint8).data
        if self._slow:
            for number, at, start, end in stretches:
                self._file(number).announce(at, end - start)
        began = time.perf_counter()
        for number, at, start, end in stretches:
            self._file(number).read(at, view[start:end])
        self._slow = time.perf_counter() - began > _SLOW_S * len(out)

    def read(self, file: int, at: int, out: NDArray[np.uint8]) -> None:
        """Fill ``out`` (bytes,) from byte ``at`` of a file on.

        Raises:
            OSError: it can't be opened, or ends too early.
        """
        self._file(file).read(at, out.data)

    def announce(self, file: int, at: int, nbytes: int) -> None:
        """Say that these bytes will soon be read."""
        self._file(file).announce(at, nbytes)

    def _file(self, number: int) -> _OpenFile:
        with self._lock:
            file = self._files.get(number)
            if file is None:
                file = self._files[number] = _OpenFile(self._paths[number])
                if len(self._files) > self._most_open:
                    self._files.popitem(last=False)  # whoever reads from it still holds it
            elif len(self._files) == self._most_open:
                self._files.move_to_end(number)
        return file


_readers: weakref.WeakSet[RowReader] = weakref.WeakSet()


def _unlock() -> None:
    """In a process that was forked: whoever held a lock at that moment isn't there to let go of it."""
    for reader in _readers:
        reader._lock = threading.Lock()


os.register_at_fork(after_in_child=_unlock)


def _most_open() -> int:
    """An eighth of the files that this process may have open."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _OPEN if allowed == resource.RLIM_INFINITY else min(_OPEN, max(1, allowed // 8))
