"""Rows of a set of shards: which shard has a window, and reading of its rows.

HDF5 tells once per shard where its arrays lie. Afterwards, rows are read straight into the caller's buffer. Arrays
that are small, over all shards together, are held in memory. Each process creates its own files and held arrays when it
first needs them.

Shape legend: B requested windows.
"""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.io.row_reader import RowReader
from datamodules.shards import layout
from datamodules.shards.checks import WindowChecks
from datamodules.shards.index import Index
from datamodules.shards.layout import ShardError
from datamodules.shards.shard_file import ShardFile, open_shard
from datamodules.windows.settings import WindowSettings

_HELD_BYTES = 128 << 20  # most bytes of all arrays held in memory
_CHUNK = 1 << 16  # windows located at a time

_reset_lock = threading.Lock()


def _renew_lock() -> None:
    """Replace the lock in a forked process: its holder may not exist there, so nobody would release it."""
    global _reset_lock
    _reset_lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class Located(NamedTuple):
    """Places of a batch's windows, (B,) each."""

    windows: NDArray[np.int64]  # numbers among all windows
    shards: NDArray[np.int64]  # number of each window's shard
    local: NDArray[np.int64]  # number of each window within its shard


class ShardRows:
    """Rows of all windows of one directory of shards, numbered from 0 in the order of the index."""

    def __init__(self, directory: str | Path, index: Index) -> None:
        """Take the shards that the index lists."""
        self.directory: Path | str = Path(directory)  # a str is a URL
        self.index = index
        # first[i] is the number of the first window of shard i.
        self._first = np.cumsum([0, *(entry.windows for entry in index.shards)])
        self._process = -1
        self._reset_after_fork()

    @property
    def n_windows(self) -> int:
        """Number of windows in all shards."""
        return int(self._first[-1])

    @property
    def settings(self) -> WindowSettings:
        """Settings that the windows were cut with; ``frames`` is 0 for shards without video."""
        return self.index.settings

    def _reset(self) -> None:
        """Create the state of this process."""
        self._shards: dict[int, ShardFile] = {}
        self._reader = RowReader([Path(self.directory) / entry.file for entry in self.index.shards])
        self._held_names = self._names_to_hold()
        self._held: dict[str, NDArray[Any]] = {}
        self._lock = threading.Lock()
        self._checks = WindowChecks(self.n_windows)
        self._offsets: dict[str, NDArray[np.int64]] = {}  # name -> first byte in each shard, -1 for unopened shards

    def _names_to_hold(self) -> frozenset[str]:
        """Choose the arrays to hold in memory: those with the shortest rows, up to ``_HELD_BYTES``."""
        row = {name: np.dtype(dtype).itemsize * math.prod(shape) for name, (dtype, shape) in self._row_shapes.items()}
        sizes = sorted((nbytes * self.n_windows, name) for name, nbytes in row.items())
        together = np.cumsum([nbytes for nbytes, _ in sizes])
        return frozenset(name for (_, name), nbytes in zip(sizes, together, strict=True) if nbytes <= _HELD_BYTES)

    @property
    def _row_shapes(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Type and shape of one window's row in each of ``layout.CHECKED``."""
        t, f = self.settings.samples, self.settings.frames
        found = {name: (layout.DATASETS[name][0], layout.DATASETS[name][1](1, t, f)) for name in layout.CHECKED}
        return {name: (dtype, tuple(side or 0 for side in shape[1:])) for name, (dtype, shape) in found.items()}

    def _gather(self, located: Located, arrays: dict[str, NDArray[Any]]) -> None:
        """Read the windows' rows of the named arrays into the given buffers (B, ...)."""
        for name, out in arrays.items():
            if name in self._held_names:
                # mode="clip" saves NumPy a copy of ``out``. It clips nothing: all indices are valid here.
                np.take(self._held_array(name), located.windows, axis=0, out=out, mode="clip")
            elif len(out):
                row = out.nbytes // len(out)
                self._reader.rows(located.shards, self._array_offsets(name, located.shards) + located.local * row, out)

    def _held_array(self, name: str) -> NDArray[Any]:
        """Return a held array of all shards, (N, ...); the first call reads it."""
        with self._lock:
            if name not in self._held:
                dtype, row = self._row_shapes[name]
                whole = np.empty((self.n_windows, *row), dtype)
                nbytes = whole.nbytes // max(1, len(whole))
                # Read in chunks: the places of windows take as much memory as short rows do.
                for start in range(0, len(whole), _CHUNK):
                    part = whole[start : start + _CHUNK]
                    _, shards, local = self._locate(np.arange(start, start + len(part)))
                    self._reader.rows(shards, self._array_offsets(name, shards) + local * nbytes, part)
                self._held[name] = whole
            return self._held[name]

    def _array_offsets(self, name: str, shards: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the first byte of an array in each of these shards' files, (B,)."""
        offsets = self._offsets.setdefault(name, np.full(len(self.index.shards), -1, np.int64))
        for number in np.unique(shards[offsets[shards] < 0]).tolist():
            offsets[number] = self._shard(number).places[name].offset
        return np.asarray(offsets[shards])

    def _locate(self, indices: NDArray[np.int64]) -> Located:
        indices = np.asarray(indices, dtype=np.int64)
        if indices.ndim != 1:
            raise ValueError(f"indices of shape {indices.shape}; expected (B,)")
        if indices.size and (indices.min() < 0 or indices.max() >= self.n_windows):
            raise IndexError(
                f"{self.directory}: windows {indices.min()} to {indices.max()}; expected 0 to {self.n_windows - 1}"
            )
        self._reset_after_fork()
        shards = np.searchsorted(self._first, indices, side="right") - 1
        return Located(indices, shards, indices - self._first[shards])

    def _reset_after_fork(self) -> None:
        if self._process != os.getpid():
            with _reset_lock:
                if self._process != os.getpid():
                    self._reset()
                    self._process = os.getpid()

    def _shard(self, number: int) -> ShardFile:
        self._reset_after_fork()
        if number not in self._shards:
            entry = self.index.shards[number]
            shard = self._open_shard(number)
            s = self.settings
            found = (shard.n_windows, shard.attributes["samples"], shard.attributes["frames_per_window"])
            if found != (entry.windows, s.samples, s.frames):
                raise ShardError(
                    f"{shard.path}: {found} windows, samples and frames; {layout.INDEX} says "
                    f"{(entry.windows, s.samples, s.frames)}"
                )
            self._compare(number, shard)
            self._shards[number] = shard
        return self._shards[number]

    def _compare(self, number: int, shard: ShardFile) -> None:
        """Compare a shard with its checksums, as far as that is done when it is opened."""
        self._checks.open(shard, shard.array, int(self._first[number]))

    def _open_shard(self, number: int) -> ShardFile:
        return open_shard(Path(self.directory) / self.index.shards[number].file)
