"""A table of the features of all windows of a target, in memory or in a file: a target may have a million windows.

Shape legend: N windows of the target, B windows of one call, P features of a window.
"""

from __future__ import annotations

import errno
import itertools
import os
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from core.room import NoSpaceError, reserve
from experiments.evaluation.errors import EvaluationError
from lightning_modules.probe import Standardisation

HELD_BYTES = 64 << 20  # largest table in memory; larger tables are in a file
BLOCK = 4096  # windows of one block

Indices = NDArray[np.int64]
Features = NDArray[np.float32]


def in_blocks(windows: Indices) -> Iterator[Indices]:
    """Yield windows, ``BLOCK`` at a time."""
    for start in range(0, len(windows), BLOCK):
        yield windows[start : start + BLOCK]


def digest_of_windows(windows: Indices) -> str:
    """Digest numbers of windows, or their labels, to find again what was computed of them."""
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(windows).data)


class FeatureRows(ABC):
    """Features of all windows of a target, read by window, (N, P). Safe to use from several threads.

    Attributes:
        shape: (N, P).
    """

    def __init__(self, windows: int, width: int) -> None:
        self.shape = (windows, width)
        self._standardisations: dict[str, Standardisation] = {}
        self._lock = threading.Lock()

    @abstractmethod
    def __getitem__(self, windows: Indices) -> Features:
        """Get features (B, P) of these windows."""

    def blocks(self, windows: Indices) -> Iterator[Features]:
        """Yield features of these windows, a few thousand windows at a time."""
        return (self[part] for part in in_blocks(windows))

    def standardisation(self, windows: Indices) -> Standardisation:
        """Compute mean and scale over these windows, once: all cells of a fold ask for the same."""
        key = digest_of_windows(windows)
        with self._lock:
            if key not in self._standardisations:
                self._standardisations[key] = Standardisation.over(self.blocks(windows))
            return self._standardisations[key]


class FeatureTable(FeatureRows):
    """A table (N, P) of float32, zero where nothing was put. Safe to use from several threads.

    A table larger than ``held_bytes`` is in a file without a name, in the folder for temporary files (``TMPDIR``
    chooses it). The file is gone when the process ends, for whatever reason.
    """

    def __init__(self, windows: int, width: int, held_bytes: int = HELD_BYTES) -> None:
        super().__init__(windows, width)
        self._held: Features | None = None
        if 4 * windows * width <= held_bytes:
            self._held = np.zeros(self.shape, np.float32)
        else:
            with self._explained():
                self._file = tempfile.TemporaryFile(prefix="features-", buffering=0)  # noqa: SIM115 - open while used
                reserve(self._file.fileno(), 4 * windows * width, Path(tempfile.gettempdir()))

    def put(self, windows: Indices, features: Features) -> None:
        """Put features (B, P) of these windows.

        Raises:
            TypeError: windows are not given by their numbers.
            ValueError: features are not (B, P).
            IndexError: there is no such window.
            EvaluationError: a feature is not finite, of which no probe could be fitted.
            OSError: the disk has no room for the features.
        """
        windows = self._checked(windows)
        if features.shape != (len(windows), self.shape[1]):
            raise ValueError(f"features of shape {features.shape}; expected {(len(windows), self.shape[1])}")
        finite = np.isfinite(features).all(axis=1)
        if not finite.all():
            raise EvaluationError(
                f"features of {(~finite).sum()} of {len(windows)} windows are not finite, first of window"
                f" {windows[~finite][0]}; expected finite ones: what computed them is damaged, or it can't take these"
                " windows"
            )
        if self._held is not None:
            self._held[windows] = features
            return
        with self._explained():
            for at, rows in self._stretches(windows, np.ascontiguousarray(features, np.float32)):
                done = 0
                while done < len(rows):
                    done += os.pwrite(self._file.fileno(), rows[done:], at + done)

    def __getitem__(self, windows: Indices) -> Features:
        """Get features (B, P) of these windows.

        Raises:
            TypeError: windows are not given by their numbers.
            IndexError: there is no such window.
        """
        windows = self._checked(windows)
        if self._held is not None:
            return np.asarray(self._held[windows])
        found = np.empty((len(windows), self.shape[1]), np.float32)
        for at, rows in self._stretches(windows, found):
            done = 0
            while done < len(rows):
                done += os.preadv(self._file.fileno(), (rows[done:],), at + done)
        return found

    def _checked(self, windows: Indices) -> Indices:
        windows = np.asarray(windows)
        if windows.dtype != np.int64 or windows.ndim != 1:
            raise TypeError(f"windows are {windows.dtype} {windows.shape}; expected their numbers, int64 (B,)")
        if windows.size and not 0 <= windows.min() <= windows.max() < self.shape[0]:
            raise IndexError(f"window {windows.min()} or {windows.max()} of {self.shape[0]}")
        return windows

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Explain an error of the file, which has no name that the error could give."""
        try:
            yield
        except OSError as error:
            what = f"no room for {4 * self.shape[0] * self.shape[1] >> 20} MB of features of an evaluation"
            hint = f"set TMPDIR to a folder on a disk that has it; found: {error}"
            raise NoSpaceError(error.errno or errno.EIO, f"{what}; {hint}") from error

    def _stretches(self, windows: Indices, rows: Features) -> Iterator[tuple[int, memoryview]]:
        """Yield the rows of consecutive windows as bytes, each with its offset in the file."""
        row = 4 * self.shape[1]
        content = rows.reshape(-1).view(np.uint8).data
        if not len(windows):
            return
        edges = np.flatnonzero(np.concatenate([[True], np.diff(windows) != 1, [True]]))
        for begin, end in itertools.pairwise(edges.tolist()):
            yield int(windows[begin]) * row, content[begin * row : end * row]
