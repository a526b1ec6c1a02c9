"""Reader of batches of rows from arrays in files, in bounded memory.

The files are read, not mapped into memory. The touched part of a map counts as the process's own memory until the
whole map is released. In a data set larger than memory, each row is faulted in again, which takes three times as long
as reading it (``docs/guides/performance.md``). The kernel also reads ahead around every row that it fetches from a
disk.
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

_MAX_OPEN = 4096  # files
_SLOW_S, _SLOW_PER_BYTE_S = 50e-6, 0.5e-9  # a slower read comes from a disk or a network, not from memory
_SLOW_CALLS = 64  # calls after a slow one that announce their reads
_MIN_BATCHED = 32  # from this many reads on, one system call for all is faster than one for each


class _OpenFile:
    """A file descriptor that is closed with the last reference to it."""

    __slots__ = ("number", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = os.open(path, os.O_RDONLY)
        self._advise("POSIX_FADV_RANDOM", 0, 0)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)

    def read(self, at: int, out: memoryview) -> None:
        """Fill ``out`` with the bytes from ``at`` on."""
        found = os.preadv(self.number, (out,), at)
        while found < len(out):  # Linux reads at most 2 GiB per call, and some file systems less
            more = os.preadv(self.number, (out[found:],), at + found)
            if not more:
                raise OSError(
                    f"{self.path}: {found} bytes at byte {at}; expected {len(out)};"
                    " the file became shorter after it was opened"
                )
            found += more

    def announce(self, at: int, nbytes: int) -> None:
        """Ask the system to fetch these bytes in the background."""
        self._advise("POSIX_FADV_WILLNEED", at, nbytes)

    def _advise(self, what: str, at: int, nbytes: int) -> None:
        if hasattr(os, what):  # Linux
            os.posix_fadvise(self.number, at, nbytes, getattr(os, what))


class RowReader:
    """A reader of a fixed set of files; a file is opened when it is first needed.

    Safe to use from several threads, and after a fork.

    Args:
        paths: the files.
        max_open: most files to keep open between calls; each reading thread may open as many more. 0 takes an eighth
            of the process's limit, since a process may have several readers.
    """

    def __init__(self, paths: Sequence[Path], max_open: int = 0) -> None:
        self._paths = paths
        self._max_open = max_open or _default_max_open()
        self._files: OrderedDict[int, _OpenFile] = OrderedDict()
        self._lock = threading.Lock()
        self._slow_calls = 0  # coming calls that announce their reads
        _readers.add(self)

    def __getstate__(self) -> dict[str, Any]:
        return {"paths": self._paths, "max_open": self._max_open}

    def __setstate__(self, state: dict[str, Any]) -> None:
        RowReader.__init__(self, state["paths"], state["max_open"])

    def rows(self, files: NDArray[np.int64], offsets: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Fill each row of ``out``.

        Args:
            files: (B,) file of each row, as a position in ``paths``.
            offsets: (B,) byte of the file at which each row begins.
            out: (B, ...), contiguous.

        Raises:
            OSError: a file can't be opened, or ends too early.
        """
        if not out.size:
            return
        row = out.nbytes // len(out)
        follows = (np.diff(offsets) == row) & (np.diff(files) == 0)  # adjacent rows are read as one stretch
        first = np.flatnonzero(np.append(True, ~follows))
        starts = first * row
        lengths = np.diff(starts, append=out.nbytes)
        flat = out.reshape(-1).view(np.uint8)
        # Each stretch may lie in another file, so limit the stretches per call to the files that may be open.
        chunk = self._max_open if len(self._paths) > self._max_open else len(first)
        for start in range(0, len(first), chunk):
            part = slice(start, start + chunk)
            self._read_stretches(files[first[part]], offsets[first[part]], starts[part], lengths[part], flat)

    def _read_stretches(
        self,
        files: NDArray[np.int64],
        offsets: NDArray[np.int64],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        out: NDArray[np.uint8],
    ) -> None:
        """Read N stretches of files into ``out`` (bytes,), each from its place in ``starts`` on."""
        numbers, which = _distinct(files)
        opened = [self._file(number) for number in numbers]
        if self._slow_calls:
            for number, at, nbytes in zip(files.tolist(), offsets.tolist(), lengths.tolist(), strict=True):
                self.announce(number, at, nbytes)
        began = time.perf_counter()
        if len(files) < _MIN_BATCHED:
            found = np.zeros(len(files), np.int64)
        else:
            descriptors = np.array([file.number for file in opened])[which]
            found = read_many(descriptors, offsets, out.ctypes.data + starts, lengths)
        view = out.data
        for k in np.flatnonzero(found < lengths).tolist():
            opened[which[k]].read(int(offsets[k]), view[starts[k] : starts[k] + lengths[k]])
        self._note_speed(began, len(files), int(lengths.sum()))

    def read(self, file: int, at: int, out: NDArray[np.uint8]) -> None:
        """Fill ``out`` (bytes,) with the bytes of a file from ``at`` on.

        Raises:
            OSError: the file can't be opened, or ends too early.
        """
        began = time.perf_counter()
        self._file(file).read(at, out.data)
        self._note_speed(began, 1, out.nbytes)

    def announce(self, file: int, at: int, nbytes: int) -> None:
        """Announce bytes that will soon be read. While reads are fast, this does nothing: announcing takes time."""
        if self._slow_calls:
            self._file(file).announce(at, nbytes)

    def _note_speed(self, began: float, reads: int, nbytes: int) -> None:
        slow = time.perf_counter() - began > reads * _SLOW_S + nbytes * _SLOW_PER_BYTE_S
        self._slow_calls = _SLOW_CALLS if slow else max(0, self._slow_calls - 1)

    def _file(self, number: int) -> _OpenFile:
        with self._lock:
            file = self._files.get(number)
            if file is None:
                file = self._files[number] = _OpenFile(self._paths[number])
                if len(self._files) > self._max_open:
                    self._files.popitem(last=False)  # a thread that reads from the file still holds it open
            elif len(self._files) == self._max_open:
                self._files.move_to_end(number)
        return file


def _distinct(files: NDArray[np.int64]) -> tuple[list[int], NDArray[np.int64]]:
    """Return the distinct files, and each file's position among them, (N,)."""
    if (files == files[0]).all():  # a frequent case, ten times as fast as np.unique
        return [int(files[0])], np.zeros(len(files), np.int64)
    numbers, which = np.unique(files, return_inverse=True)
    return numbers.tolist(), which


_readers: weakref.WeakSet[RowReader] = weakref.WeakSet()


def _renew_locks() -> None:
    """Replace all locks in a forked process: the holder of a lock may not exist there, so nobody would release it."""
    for reader in _readers:
        reader._lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_locks)


def _default_max_open() -> int:
    """Return an eighth of the files that this process may open, at most ``_MAX_OPEN``."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MAX_OPEN if allowed == resource.RLIM_INFINITY else min(_MAX_OPEN, max(1, allowed // 8))
