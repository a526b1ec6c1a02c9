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

from datamodules.io.batched_read import read_many

_OPEN = 4096  # files, if the process may have eight times as many
_SLOW_S, _SLOW_PER_BYTE_S = 50e-6, 0.5e-9  # a read that takes longer comes from a disk or a network
_REMEMBERED = 64  # calls for which one that was slow is remembered
_MANY = 32  # reads from which on one call for all of them is faster than one for each


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
        most_open: of them, kept open for the next call, and at most as many more by each thread that reads; 0 is an
            eighth of what the process may have open (it may have several readers).
    """

    def __init__(self, paths: Sequence[Path], most_open: int = 0) -> None:
        self._paths = paths
        self._most_open = most_open or _most_open()
        self._files: OrderedDict[int, _OpenFile] = OrderedDict()
        self._lock = threading.Lock()
        self._slow = 0  # for so many calls
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
        lengths = np.diff(starts, append=out.nbytes)
        flat = out.reshape(-1).view(np.uint8)
        most = self._most_open if len(self._paths) > self._most_open else len(first)  # may be in as many files
        for start in range(0, len(first), most):
            part = slice(start, start + most)
            self._stretches(files[first[part]], offsets[first[part]], starts[part], lengths[part], flat)

    def _stretches(
        self,
        files: NDArray[np.int64],
        offsets: NDArray[np.int64],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        out: NDArray[np.uint8],
    ) -> None:
        """Fill ``out`` (bytes,) from ``starts`` on with stretches of files; all others are (N,)."""
        numbers, which = _distinct(files)
        opened = [self._file(number) for number in numbers]
        if self._slow:
            for number, at, nbytes in zip(files.tolist(), offsets.tolist(), lengths.tolist(), strict=True):
                self.announce(number, at, nbytes)
        began = time.perf_counter()
        if len(files) < _MANY:
            found = np.zeros(len(files), np.int64)
        else:
            descriptors = np.array([file.number for file in opened])[which]
            found = read_many(descriptors, offsets, out.ctypes.data + starts, lengths)
        view = out.data
        for k in np.flatnonzero(found < lengths).tolist():
            opened[which[k]].read(int(offsets[k]), view[starts[k] : starts[k] + lengths[k]])
        self._time(began, len(files), int(lengths.sum()))

    def read(self, file: int, at: int, out: NDArray[np.uint8]) -> None:
        """Fill ``out`` (bytes,) from byte ``at`` of a file on.

        Raises:
            OSError: it can't be opened, or ends too early.
        """
        began = time.perf_counter()
        self._file(file).read(at, out.data)
        self._time(began, 1, out.nbytes)

    def announce(self, file: int, at: int, nbytes: int) -> None:
        """Say that these bytes will soon be read; nothing is done while reads are fast, as it takes time itself."""
        if self._slow:
            self._file(file).announce(at, nbytes)

    def _time(self, began: float, reads: int, nbytes: int) -> None:
        slow = time.perf_counter() - began > reads * _SLOW_S + nbytes * _SLOW_PER_BYTE_S
        self._slow = _REMEMBERED if slow else max(0, self._slow - 1)

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


def _distinct(files: NDArray[np.int64]) -> tuple[list[int], NDArray[np.int64]]:
    """The different ones, and which of them each is, (N,)."""
    if (files == files[0]).all():  # often, and ten times as fast
        return [int(files[0])], np.zeros(len(files), np.int64)
    numbers, which = np.unique(files, return_inverse=True)
    return numbers.tolist(), which


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
