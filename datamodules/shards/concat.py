"""Concatenation of several sets of shards, e.g. to test on one data set with labels of another.

Shape legend: N windows of all sets, B requested windows, T samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.digest import digest_of
from datamodules.labels.label_column import LabelColumn, concatenated, distinct, prefixed, repeated
from datamodules.labels.mapping import Renamed, rename
from datamodules.shards import layout
from datamodules.shards.layout import ShardError
from datamodules.shards.reader import ShardSet
from datamodules.windows.cut import WindowSettings


class ConcatShards:
    """Windows of several sets, numbered in the order of the sets.

    Args:
        parts: name and shards of each set. The column ``dataset`` holds the name.
        common: True renames activities to the common names of all sources; activities without one become unlabelled.
        gyroscope: False masks the gyroscope in all windows, e.g. because one of two sets has none.

    Raises:
        ShardError: the windows of two sets differ in length or rate.
    """

    def __init__(self, parts: Sequence[tuple[str, ShardSet]], common: bool = False, gyroscope: bool = True) -> None:
        self.parts = list(parts)
        self.common = common
        self.gyroscope = gyroscope
        first_name, first = self.parts[0]
        for name, shards in self.parts[1:]:
            expected, found = first.settings, shards.settings
            if (expected.samples, expected.imu_rate_hz) != (found.samples, found.imu_rate_hz):
                raise ShardError(
                    f"data set '{name}' has windows of {found.samples} samples at {found.imu_rate_hz:g} Hz,"
                    f" '{first_name}' of {expected.samples} at {expected.imu_rate_hz:g} Hz; expected the same"
                )
        self._first = np.cumsum([0, *self._sizes])

    @property
    def n_windows(self) -> int:
        """Number of windows, N."""
        return int(self._first[-1])

    @property
    def settings(self) -> WindowSettings:
        """Settings that the windows of the first set were cut with."""
        return self.parts[0][1].settings

    @property
    def simulated(self) -> bool:
        """True if any recording is simulated."""
        return any(shards.simulated for _, shards in self.parts)

    @property
    def damaged(self) -> NDArray[np.bool_] | None:
        """Which windows are damaged and left out, (N,); None if none are."""
        parts = [shards.damaged for _, shards in self.parts]
        if all(part is None for part in parts):
            return None
        found = [np.zeros(n, bool) if part is None else part for n, part in zip(self._sizes, parts, strict=True)]
        return np.concatenate(found)

    @property
    def fingerprint(self) -> str:
        """Digest of the content of all sets, of renamed activities and of a masked gyroscope."""
        content: list[Any] = [shards.fingerprint for _, shards in self.parts]
        if self.common:
            content.append(sorted([*key, n] for key, n in self.renamed.kept.items()))
        if not self.gyroscope:
            content.append("no gyroscope")
        return digest_of(content)

    @property
    def directory(self) -> str:
        """Directories of the sets, for messages."""
        return ", ".join(str(shards.directory) for _, shards in self.parts)

    @cached_property
    def table(self) -> dict[str, Any]:
        """One row per window: the columns of :attr:`ShardSet.table`, ``dataset``, ``source`` and ``person``.

        ``person`` is "source/subject": a subject in two sets of one source is one person. With several sources,
        ``subject`` and ``recording`` get the same prefix.
        """
        tables = [shards.table for _, shards in self.parts]
        table = dict(tables[0])
        for name in table:
            if name in layout.CODES:
                table[name] = concatenated([t[name] for t in tables])
            elif len(tables) > 1:
                table[name] = np.concatenate([t[name] for t in tables])
        table["dataset"] = repeated([name for name, _ in self.parts], self._sizes)
        table["source"] = self._sources
        table["person"] = prefixed(table["source"], table["subject"])
        if self.common:
            table["activity"] = self.renamed.activities
        if len(distinct(table["source"])) > 1:
            table["subject"] = table["person"]
            table["recording"] = prefixed(table["source"], table["recording"])
        return table

    @cached_property
    def renamed(self) -> Renamed:
        """Common names of all windows' activities, with counts of the activities that have none.

        Raises:
            CommonActivitiesError: a source's activities have no common names.
        """
        return rename(self._sources, concatenated([shards.table["activity"] for _, shards in self.parts]))

    @property
    def _sizes(self) -> list[int]:
        return [shards.n_windows for _, shards in self.parts]

    @property
    def _sources(self) -> LabelColumn:
        """Name of each window's source, (N,)."""
        return repeated([str(shards.index.build["source"]) for _, shards in self.parts], self._sizes)

    def imu(
        self, indices: NDArray[np.int64], out: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Read values (B, T, 6), into ``out`` if given, sample mask (B, T) and channel mask (B, 6) of these windows.

        Raises:
            IndexError: an index is outside [0, N).
        """
        values, sample_mask, channel_mask = self._read(np.asarray(indices, np.int64), out)
        if not self.gyroscope:
            values[..., 3:], channel_mask[:, 3:] = 0, False
        return values, sample_mask, channel_mask

    def _read(
        self, indices: NDArray[np.int64], out: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        if len(self.parts) == 1:
            shards = self.parts[0][1]
            return shards.imu(indices) if out is None else shards.imu(indices, out)
        samples = self.settings.samples
        values = np.empty((len(indices), samples, 6), np.float32) if out is None else out
        sample_mask = np.empty((len(indices), samples), bool)
        channel_mask = np.empty((len(indices), 6), bool)
        for part, at, local in self.by_part(indices):
            values[at], sample_mask[at], channel_mask[at] = self.parts[part][1].imu(local)
        return values, sample_mask, channel_mask

    def by_part(self, indices: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """Yield each set that these windows belong to: its number, their places in ``indices``, their numbers there.

        Raises:
            IndexError: an index is outside [0, N).
        """
        if indices.size and not 0 <= indices.min() <= indices.max() < self.n_windows:
            raise IndexError(
                f"{self.directory}: windows {indices.min()} to {indices.max()}; expected 0 to {self.n_windows - 1}"
            )
        part_of = np.searchsorted(self._first, indices, side="right") - 1
        for part in np.unique(part_of).tolist():
            at = np.flatnonzero(part_of == part)
            yield part, at, indices[at] - self._first[part]
