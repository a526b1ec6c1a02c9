"""Several sets of shards as one: the windows that are tested and those that labels come from, of other data sets too.

Shape legend: N windows of all sets, B windows asked for, T samples.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """Windows of several sets, numbered through in the order given.

    Args:
        parts: name and shards of each; the first one's name is the column ``dataset`` of its windows.
        common: activities are called by the names that all sources share; those without one are unlabelled.
        gyroscope: False takes the gyroscope from all windows, as where one of two sets has none.

    Raises:
        ShardError: windows of two sets differ in length or rate.
    """

    def __init__(self, parts: Sequence[tuple[str, ShardSet]], common: bool = False, gyroscope: bool = True) -> None:
        self.parts = list(parts)
        self.common = common
        self.gyroscope = gyroscope
        first_name, first = self.parts[0]
        for name, shards in self.parts[1:]:
            mine, other = first.settings, shards.settings
            if (mine.samples, mine.imu_rate_hz) != (other.samples, other.imu_rate_hz):
                raise ShardError(
                    f"data set '{name}' has windows of {other.samples} samples at {other.imu_rate_hz:g} Hz,"
                    f" '{first_name}' of {mine.samples} at {mine.imu_rate_hz:g} Hz; expected the same"
                )
        self._first = np.cumsum([0, *self._sizes])

    @property
    def n_windows(self) -> int:
        """N."""
        return int(self._first[-1])

    @property
    def settings(self) -> WindowSettings:
        """How the windows of the first set were cut."""
        return self.parts[0][1].settings

    @property
    def simulated(self) -> bool:
        """Whether any recording is."""
        return any(shards.simulated for _, shards in self.parts)

    @property
    def fingerprint(self) -> str:
        """Digest of the content of all sets, and of their activities' names and channels where not their own."""
        content: list[Any] = [shards.fingerprint for _, shards in self.parts]
        if self.common:
            content.append(sorted([*key, n] for key, n in self.renamed.kept.items()))
        if not self.gyroscope:
            content.append("no gyroscope")
        return digest_of(content)

    @property
    def directory(self) -> str:
        """Where the sets are, for messages."""
        return ", ".join(str(shards.directory) for _, shards in self.parts)

    @cached_property
    def table(self) -> dict[str, Any]:
        """One row a window: the columns of :attr:`ShardSet.table`, and ``dataset``, ``source`` and ``person``.

        ``person`` is "source/subject": the same person in two sets of one source is one person. Where there are
        several sources, ``subject`` and ``recording`` are told apart by their source in the same way.
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
        """Common names of all windows' activities, and what has none.

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

    def imu(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Values (B, T, 6), sample mask (B, T), channel mask (B, 6) of these windows, in their order.

        Raises:
            IndexError: an index is below 0 or too large.
        """
        values, sample_mask, channel_mask = self._read(np.asarray(indices, np.int64))
        if not self.gyroscope:
            values[..., 3:], channel_mask[:, 3:] = 0, False
        return values, sample_mask, channel_mask

    def _read(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        if len(self.parts) == 1:
            return self.parts[0][1].imu(indices)
        if indices.size and not 0 <= indices.min() <= indices.max() < self.n_windows:
            raise IndexError(f"window {indices.min()} or {indices.max()} of {self.n_windows}")
        samples = self.settings.samples
        values = np.empty((len(indices), samples, 6), np.float32)
        sample_mask = np.empty((len(indices), samples), bool)
        channel_mask = np.empty((len(indices), 6), bool)
        part_of = np.searchsorted(self._first, indices, side="right") - 1
        for part in np.unique(part_of):
            at = np.flatnonzero(part_of == part)
            values[at], sample_mask[at], channel_mask[at] = self.parts[part][1].imu(indices[at] - self._first[part])
        return values, sample_mask, channel_mask
