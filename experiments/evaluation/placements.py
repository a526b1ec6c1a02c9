"""Other placements: a target's windows as another sensor on the same bodies measured them at the same time.

Shape legend: N windows of a target.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import MendableError
from datamodules.labels.label_column import distinct
from datamodules.shards.concat import ConcatShards
from datamodules.shards.reader import ShardSet

SAME_TIME_S = 0.1  # largest shift between windows: sensors of one recording start some samples apart


class PlacementError(MendableError, ValueError):
    """Shards that don't hold a target's windows at another placement; the message says what is expected."""


@dataclass(frozen=True)
class OtherPlacement:
    """A target's windows at another placement.

    Attributes:
        shards: shards of the other sensor; joined shards if the target's windows lose their gyroscope.
        windows: number in ``shards`` of each window of the target, (N,); -1 where the sensor measured none, or
            where its window is damaged and left out.
    """

    shards: ShardSet | ConcatShards
    windows: NDArray[np.int64]


def find_other_placement(tested: ConcatShards, other: ShardSet) -> tuple[str, OtherPlacement]:
    """Find the windows of a target's first data set in the shards of another sensor: same recording, same time.

    Returns:
        The name of the other placement, and its windows.

    Raises:
        PlacementError: the shards hold several placements, the target's own placement, windows of another length or
            rate, or other recordings.
    """
    name, own = tested.parts[0]
    where = str(other.directory)
    placements = distinct(other.table["placement"])
    if len(placements) != 1 or not placements[0]:
        raise PlacementError(f"{where}: placements {placements}; expected the windows of one named placement")
    if placements[0] in own.table["placement"]:
        raise PlacementError(
            f"{where}: windows of '{placements[0]}', the placement of data set '{name}' itself; expected another one"
        )
    mine, others = own.settings, other.settings
    if (mine.samples, mine.imu_rate_hz) != (others.samples, others.imu_rate_hz):
        raise PlacementError(
            f"{where}: windows of {others.samples} samples at {others.imu_rate_hz:g} Hz, data set '{name}' has"
            f" {mine.samples} at {mine.imu_rate_hz:g} Hz; expected the same"
        )
    windows = np.full(tested.n_windows, -1, np.int64)
    if own.index.build["source"] == other.index.build["source"]:
        windows[: own.n_windows] = _same_time(own, other)
    if (windows < 0).all():
        raise PlacementError(
            f"{where}: no window of the same recording and time as one of data set '{name}'; expected shards of"
            " another sensor of the same recordings"
        )
    return placements[0], OtherPlacement(other, windows)


def _same_time(own: ShardSet, other: ShardSet) -> NDArray[np.int64]:
    found = np.full(own.n_windows, -1, np.int64)
    for recording in set(distinct(own.table["recording"])) & set(distinct(other.table["recording"])):
        asked = np.flatnonzero(own.table["recording"] == recording)
        there = np.flatnonzero(other.table["recording"] == recording)
        apart = np.abs(own.table["start_s"][asked, None] - other.table["start_s"][there])
        nearest = apart.argmin(axis=1)
        near = apart[np.arange(len(asked)), nearest] <= SAME_TIME_S
        found[asked[near]] = there[nearest[near]]
    if other.damaged is not None:
        found[(found >= 0) & other.damaged[found]] = -1
    return found
