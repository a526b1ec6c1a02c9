"""Comparison of windows with their checksums, when a process reads them for the first time.

The large arrays, motion and frames, are compared window by window, as they are read. All other arrays and the tables
are compared when a shard is opened. Shards of version 0.2.0 and earlier have only one checksum for everything in a
window; they are compared whole when they are opened.

Shape legend: N windows of a set, S of them in one shard.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.digest import canonical
from datamodules.shards import layout
from datamodules.shards.layout import ShardError
from datamodules.shards.shard_file import ShardFile

Arrays = Callable[[str], NDArray[Any]]  # an array of a shard, by its name
REMEDY = "restore the file from a copy, or delete it and build again; run.on_damage=skip leaves such windows out"
_WORDS = {"imu": "motion", "frames": "frames"}


def column_digests(arrays: Mapping[str, NDArray[Any]], tables: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Compute the digests of a shard's tables and of all given arrays except the large ones, hex."""
    found = {name: array for name, array in arrays.items() if name not in layout.OWN_CHECKSUM}
    digests = {name: layout.digest64(np.ascontiguousarray(array)) for name, array in found.items()}
    digests |= {f"tables/{name}": layout.digest64(canonical(list(table)).encode()) for name, table in tables.items()}
    return {name: f"{digest:016x}" for name, digest in digests.items()}


def damaged_columns(shard: ShardFile, array: Arrays) -> list[str]:
    """Name the arrays and tables of a shard that differ from their digests; none where the shard has no digests.

    Raises:
        ShardError: the digests themselves can't be read.
    """
    stored = shard.attributes.get(layout.DIGESTS)
    if stored is None:
        return []
    try:
        expected = dict(json.loads(stored))
    except (TypeError, ValueError) as error:
        raise ShardError(f"{shard.path}: damaged: its '{layout.DIGESTS}' are not JSON: {error}") from error
    found = column_digests({}, shard.tables)
    for name in shard.places:  # one after the other: a mapped array holds a descriptor
        if name not in layout.OWN_CHECKSUM:
            found |= column_digests({name: array(name)}, {})
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def damaged_windows(shard: ShardFile, array: Arrays) -> NDArray[np.bool_]:
    """Compare all windows of a shard with their checksums; True marks a damaged one, (S,)."""
    rows = [array(name) for name in layout.CHECKED]
    frames, ends = array("frames"), window_ends(shard, array)
    damaged = np.zeros(shard.n_windows, bool)
    if not has_own(shard):
        sums = array("checksum")
        for n in range(shard.n_windows):
            content = frames[ends[n] : ends[n + 1]].tobytes()
            damaged[n] = layout.checksum([each[n] for each in rows], content) != int(sums[n])
        return damaged
    imu, own, of_frames = rows[0], array("checksum_imu"), array("checksum_frames")
    for n in range(shard.n_windows):
        damaged[n] = layout.digest64(np.ascontiguousarray(imu[n])) != int(own[n])
        damaged[n] |= layout.digest64(frames[ends[n] : ends[n + 1]]) != int(of_frames[n])
    return damaged


def window_ends(shard: ShardFile, array: Arrays) -> NDArray[np.int64]:
    """Return the byte at which each window's frames begin, and the end of the last one's, (S + 1,).

    Raises:
        ShardError: these do not ascend from 0 to the number of bytes.
    """
    offsets, size = array("frame_offsets"), shard.places["frames"].nbytes
    if offsets[0] != 0 or offsets[-1] != size or (np.diff(offsets) < 0).any():
        raise ShardError(
            f"{shard.path}: damaged: 'frame_offsets' go from {offsets[0]} to {offsets[-1]};"
            f" expected to ascend from 0 to {size}"
        )
    frames = int(shard.attributes["frames_per_window"])
    if not frames:
        return np.zeros(shard.n_windows + 1, np.int64)
    ends: NDArray[np.int64] = np.asarray(offsets[::frames], np.int64)
    return ends


def has_own(shard: ShardFile) -> bool:
    """True if a shard has checksums of motion and frames apart."""
    return all(name in shard.places for name in layout.OWN_CHECKSUM.values())


class WindowChecks:
    """What a process knows about the windows of a set: their checksums, and which windows were compared already.

    Args:
        n: number of windows, N.

    Attributes:
        tolerant: True if damaged windows are left out, so that opening a shard need not compare them.
    """

    def __init__(self, n: int) -> None:
        self.tolerant = False
        # Pages of zeros cost no memory until a shard fills its part.
        self._expected = {name: np.zeros(n, np.uint64) for name in layout.OWN_CHECKSUM}
        self._compared = {name: np.zeros(n, bool) for name in layout.OWN_CHECKSUM}
        self._left = dict.fromkeys(layout.OWN_CHECKSUM, n)

    def open(self, shard: ShardFile, array: Arrays, first: int, remedy: str = REMEDY) -> None:
        """Compare a shard's columns, and note the checksums of its windows; a shard without them is compared whole.

        Args:
            shard: the shard.
            array: its arrays.
            first: number of its first window in the set.
            remedy: what the message of an error advises.

        Raises:
            ShardError: a column or a window is damaged.
        """
        if wrong := damaged_columns(shard, array):
            raise ShardError(f"{shard.path}: damaged: '{wrong[0]}' differs from its checksum; {remedy}")
        part = slice(first, first + shard.n_windows)
        if has_own(shard):
            for name, own in layout.OWN_CHECKSUM.items():
                self._expected[name][part] = array(own)
            return
        if self.tolerant:
            return
        if (damaged := damaged_windows(shard, array)).any():
            raise ShardError(f"{shard.path}: window {damaged.argmax()} is damaged: its checksum differs; {remedy}")
        self.mark(np.arange(part.start, part.stop))

    def mark(self, windows: NDArray[np.int64], name: str = "") -> None:
        """Note that these windows need not be compared; without a name, neither their motion nor their frames."""
        for each in [name] if name else layout.OWN_CHECKSUM:
            self._compared[each][windows] = True
            self._left[each] = -1  # to be counted anew

    def expected(self, name: str, windows: NDArray[np.int64]) -> list[int | None]:
        """Return the checksums that windows are to be compared with, (B,); None for those that were compared."""
        if self.done(name):
            return [None] * len(windows)
        sums, known = self._expected[name][windows].tolist(), self._compared[name][windows].tolist()
        return [None if compared else sum_ for sum_, compared in zip(sums, known, strict=True)]

    def done(self, name: str) -> bool:
        """True if every window was compared."""
        if self._left[name] < 0:
            self._left[name] = len(self._compared[name]) - int(np.count_nonzero(self._compared[name]))
        return self._left[name] == 0

    def compare_motion(
        self, windows: NDArray[np.int64], rows: NDArray[np.float32], name_of: Callable[[int], str], remedy: str = REMEDY
    ) -> None:
        """Compare the motion (B, T, 6) of windows with their checksums, where this process has not done so yet.

        Raises:
            ShardError: a window is damaged; ``name_of`` its place in the batch names it.
        """
        if self.done("imu"):
            return
        new = np.flatnonzero(~self._compared["imu"][windows])
        if not len(new):
            return
        found, expected = layout.digests64(rows, new), self._expected["imu"][windows[new]].tolist()
        if found != expected:
            at = next(n for n, (one, other) in enumerate(zip(found, expected, strict=True)) if one != other)
            raise ShardError(damage(name_of(int(new[at])), "imu", found[at], expected[at], remedy))
        self.mark(windows[new], "imu")


def damage(where: str, name: str, found: int, expected: int, remedy: str = REMEDY) -> str:
    """Write the message about a damaged window."""
    return f"{where} is damaged: the checksum of its {_WORDS[name]} is {found:016x}, expected {expected:016x}; {remedy}"
