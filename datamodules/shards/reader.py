"""Reader of whole batches of windows from local shards.

A ``ShardSet`` may be pickled and forked: each process creates its own files, held arrays and threads when it first
needs them. ``rows.py`` finds and reads the rows of windows.

Shape legend: B requested windows, T samples, F frames, H = W frame size.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.digest import digest_of
from datamodules.labels.label_column import from_codes
from datamodules.shards import layout
from datamodules.shards.checks import REMEDY, damaged_windows
from datamodules.shards.clips import FileBytes, FrameBytes, read_clip
from datamodules.shards.index import Index, ShardEntry, read_index
from datamodules.shards.layout import ShardError
from datamodules.shards.rows import Located, ShardRows
from datamodules.shards.shard_file import ShardFile
from datamodules.windows.quality.facts import RecordingFacts

NO_FRAMES = (
    "these shards were shared without frames (privacy.features_only), and this needs frames: do it where the video is"
)
# Bytes of the shard's frames, bounds of the window's frames, output pixels, and the window's name for messages.
Clip = tuple[FrameBytes, list[int], NDArray[np.uint8], str]


class ShardSet(ShardRows):
    """All windows of one directory of shards, numbered from 0 in the order of the index.

    Every window is compared with its checksums when a process reads it for the first time. Safe to use from several
    threads.

    Attributes:
        damaged: which windows :meth:`skip_damaged` found damaged, (N,); None if it was not called. They are unlabelled,
            and are read as windows in which nothing was measured or seen.
    """

    readers = 2  # threads that can read at the same time with profit
    _remedy = REMEDY  # what the message about a damaged window advises

    def __init__(
        self, directory: str | Path, index: Index, threads: int = 0, damaged: NDArray[np.bool_] | None = None
    ) -> None:
        """Create a set from its index; callers use ``ShardSet.open``."""
        self.threads = threads or min(8, os.cpu_count() or 1)
        self.damaged = damaged
        super().__init__(directory, index)

    @classmethod
    def open(cls, directory: str | Path, threads: int = 0) -> ShardSet:
        """Open a finished build.

        Args:
            directory: directory of ``index.json``.
            threads: threads that decode JPEG; 0 takes one per core, at most 8.

        Raises:
            ShardError: there is no index, or a shard is missing or has another size than the index says.
        """
        path = Path(directory)
        index = read_index(path)
        for entry in index.shards:
            shard = path / entry.file
            if not shard.is_file():
                raise ShardError(f"{shard}: not there, but {layout.INDEX} lists it; build the shards again")
            if shard.stat().st_size != entry.bytes:
                raise ShardError(f"{shard}: {shard.stat().st_size} bytes; {layout.INDEX} says {entry.bytes}")
        return cls(path, index, threads)

    def _reset(self) -> None:
        super()._reset()
        self._pool: ThreadPoolExecutor | None = None
        if self.damaged is not None:  # all were compared
            self._checks.tolerant = True
            self._checks.mark(np.arange(self.n_windows))

    def __getstate__(self) -> dict[str, Any]:
        return {"directory": self.directory, "index": self.index, "threads": self.threads, "damaged": self.damaged}

    def __setstate__(self, state: dict[str, Any]) -> None:
        ShardSet.__init__(self, **state)

    def __len__(self) -> int:
        return self.n_windows

    def expect(self, windows: NDArray[np.int64] | None) -> None:
        """Announce the windows that will be read, in their order; None cancels earlier announcements.

        A remote set fetches their shards ahead. This local set does nothing.
        """

    def skip_damaged(self) -> int:
        """Compare every window with its checksums now, and leave the damaged ones out; see :attr:`damaged`.

        All windows are read once. Which are left out depends on the shards alone, so every process leaves out the same.

        Returns:
            Number of damaged windows.

        Raises:
            ShardError: a shard's labels, times or masks are damaged, or it can't be opened; these can't be skipped.
        """
        self._reset_after_fork()
        self._checks.tolerant = True
        parts = [self._damaged_windows(number) for number in range(len(self.index.shards))]
        damaged = np.concatenate([np.empty(0, bool), *parts])
        self._checks.mark(np.arange(self.n_windows))
        if damaged.any():
            self.damaged = damaged
            self.__dict__.pop("table", None)
        return int(damaged.sum())

    def _damaged_windows(self, number: int) -> NDArray[np.bool_]:
        shard = self._shard(number)
        return damaged_windows(shard, shard.array)

    def _blank(self, located: Located, *arrays: NDArray[Any]) -> None:
        """Set the rows of damaged windows to zero."""
        if self.damaged is not None:
            for array in arrays:
                array[self.damaged[located.windows]] = 0

    @property
    def simulated(self) -> bool:
        """True if any recording was simulated; tables that use the set say so."""
        return self.index.simulated

    @property
    def fingerprint(self) -> str:
        """Digest of the shards' content, and of which windows are left out, hex; the key of caches."""
        if self.damaged is None:
            return self.index.fingerprint
        return digest_of([self.index.fingerprint, np.flatnonzero(self.damaged).tolist()])

    @property
    def frames_stored(self) -> bool:
        """False if the frames were left out, so that only features stand for the video."""
        return not self.index.frames_of

    def open_file(self, entry: ShardEntry) -> ShardFile:
        """Open one shard of the index."""
        return self._shard(self.index.shards.index(entry))

    @property
    def label_tables(self) -> dict[str, list[str]]:
        """Sorted names of recordings, subjects, populations, placements, devices and activities."""
        return self.index.tables

    @cached_property
    def table(self) -> dict[str, Any]:
        """One row per window.

        ``recording``, ``subject``, ``population``, ``placement``, ``device`` and ``activity`` as names ("" is
        unlabelled; :mod:`datamodules.labels.label_column`), ``start_s`` float64 on the video's clock, ``faults`` uint16
        (bit i is ``FAULTS[i]``).
        """
        columns: dict[str, Any] = {code: from_codes(self.codes(code), self.label_tables[code]) for code in layout.CODES}
        shards = [self._shard(i) for i in range(len(self.index.shards))]
        columns["start_s"] = self.start_s
        columns["faults"] = np.concatenate([np.empty(0, np.uint16), *(s.array("faults") for s in shards)])
        return columns

    def codes(self, column: str) -> NDArray[np.int32]:
        """Return a column of :attr:`table` as positions in ``label_tables[column]``, (N,), -1 where it is empty.

        Raises:
            ShardError: a shard has a name that the index lacks.
        """
        names = {name: i for i, name in enumerate(self.label_tables[column])}
        parts = [np.empty(0, np.int32)]
        for number in range(len(self.index.shards)):
            shard = self._shard(number)
            try:
                # A shard's codes point into its own table; its last entry stands for -1.
                position = np.array([*(names[name] for name in shard.tables[column]), -1], np.int32)
            except KeyError as error:
                raise ShardError(
                    f"{shard.path}: {layout.INDEX} does not list its {column} {error}; build the shards again"
                ) from error
            parts.append(position[shard.codes(column)])
        found = np.concatenate(parts)
        if self.damaged is not None and column == "activity":
            found[self.damaged] = -1
        return found

    @cached_property
    def start_s(self) -> NDArray[np.float64]:
        """Start of each window, seconds on the video's clock, (N,)."""
        parts = (self._shard(number).array("start_s") for number in range(len(self.index.shards)))
        return np.concatenate([np.empty(0), *parts])

    def imu(
        self, indices: NDArray[np.int64], out: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Read the motion of windows, in the order of ``indices``.

        Args:
            indices: (B,) any order, repeats allowed.
            out: (B, T, 6) float32 to fill instead of a new array.

        Returns:
            Values (B, T, 6) in m/s^2 and rad/s, sample mask (B, T) bool, channel mask (B, 6) bool.

        Raises:
            IndexError: an index is outside [0, N).
            ShardError: a window differs from its checksum, when this process reads it for the first time.
        """
        located = self._locate(indices)
        b, t = len(indices), self.settings.samples
        if out is None:
            out = np.empty((b, t, 6), np.float32)
        elif out.shape != (b, t, 6) or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(f"out is {out.dtype} {out.shape}; expected contiguous float32 {(b, t, 6)}")
        samples = np.empty((b, t), np.uint8)
        channels = np.empty((b, 6), np.uint8)
        self._gather(located, {"imu": out, "sample_mask": samples, "channel_mask": channels})
        self._checks.compare_motion(
            located.windows,
            out,
            lambda i: self._window_name(int(located.shards[i]), int(located.local[i])),
            self._remedy,
        )
        self._blank(located, out, samples, channels)
        return out, samples != 0, channels != 0

    def frame_times(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read the frames' true times, seconds since each window's start, and their mask: (B, F) each."""
        shape = (len(indices), self.settings.frames)
        times, mask = np.empty(shape, np.float32), np.empty(shape, np.uint8)
        located = self._locate(indices)
        self._gather(located, {"frame_times": times, "frame_mask": mask})
        self._blank(located, mask)
        return times, mask != 0

    def frames(
        self, indices: NDArray[np.int64], out: NDArray[np.uint8] | None = None, threads: int = 0
    ) -> NDArray[np.uint8]:
        """Read the pixels of windows, (B, F, H, W, 3) uint8 RGB; missing frames are black.

        Args:
            indices: (B,) any order, repeats allowed.
            out: array to fill instead of a new one.
            threads: 1 decodes in the caller's thread; 0 decodes in all threads of the set.

        Raises:
            IndexError: an index is outside [0, N).
            ShardError: the frames differ from their checksum, when this process reads them for the first time, a JPEG
                can't be decoded (the message names file and window), or frames were left out.
        """
        if not self.frames_stored:
            raise ShardError(f"{self.directory}: {NO_FRAMES}")
        located = self._locate(indices)
        f, size = self.settings.frames, self.settings.frame_size
        shape = (len(indices), f, size, size, 3)
        if out is None:
            out = np.empty(shape, np.uint8)
        elif out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise ValueError(f"out is {out.dtype} {out.shape}; expected contiguous uint8 {shape}")
        self._read_frames(located, out, threads or self.threads)
        return out

    def _read_frames(self, located: Located, out: NDArray[np.uint8], threads: int) -> None:
        bounds = np.empty((len(out), self.settings.frames + 1), np.int64)
        row = self.settings.frames * bounds.itemsize
        offsets = self._array_offsets("frame_offsets", located.shards)
        self._reader.rows(located.shards, offsets + located.local * row, bounds)
        clips: list[Clip] = []
        for i, (number, ends) in enumerate(zip(located.shards.tolist(), bounds.tolist(), strict=True)):
            place = self._shard(number).places["frames"]
            if 0 <= ends[0] < ends[-1]:
                self._reader.announce(number, place.offset + ends[0], ends[-1] - ends[0])
            data = FileBytes(self._reader, number, place.offset, place.nbytes)
            clips.append((data, ends, out[i], self._window_name(number, located.local[i])))
        self._read_clips(clips, located.windows, threads)

    def _read_clips(self, clips: list[Clip], windows: NDArray[np.int64], threads: int) -> None:
        """Read the clips of these windows, (B,), and compare them with their checksums if that was not done before."""
        raw = self.settings.jpeg_quality == 0
        expected = self._checks.expected("frames", windows)

        def read(clip: Clip, checksum: int | None) -> None:
            data, bounds, out, where = clip
            read_clip(data, bounds, raw, out, where, checksum, self._remedy)

        if self.damaged is not None:  # a clip of no bytes is black
            clips = [
                (data, [0] * len(bounds) if damaged else bounds, out, where)
                for (data, bounds, out, where), damaged in zip(clips, self.damaged[windows].tolist(), strict=True)
            ]
        if threads > 1 and len(clips) > 1:
            list(self._threads().map(read, clips, expected))
        else:
            for clip, checksum in zip(clips, expected, strict=True):
                read(clip, checksum)
        if any(checksum is not None for checksum in expected):
            self._checks.mark(windows, "frames")

    def _window_name(self, shard: int, window: int) -> str:
        return f"{self.directory}/{self.index.shards[shard].file}: window {window}"

    def facts(self) -> list[RecordingFacts]:
        """Return the facts about all usable recordings, including those without a window."""
        return [facts for number in range(len(self.index.shards)) for facts in self._shard(number).facts()]

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="jpeg")
            return self._pool
