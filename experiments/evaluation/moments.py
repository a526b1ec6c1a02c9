"""True stretches of activities, and the windows in which the activity changes.

A window has one label, that of its largest part. The shards also keep when each label of a recording began and ended.
So windows that hold one activity all through can be told from those in which it changes, and an event's true begin is
known to better than a window.

Shape legend: N windows of a target, M tested windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.labels.label_column import UNLABELLED, distinct, numbered
from datamodules.shards.concat import ConcatShards
from datamodules.windows.quality.facts import MOST_STRETCHES

UNKNOWN, PURE, TRANSITION = -1, 0, 1
_TOLERANCE_S = 0.02  # a sample at 50 Hz: a change at a window's edge is none in the window

# Begin, end, activity; in the order of time.
Stretch = tuple[float, float, str]


@dataclass(frozen=True)
class Moments:
    """Tested windows in time.

    Attributes:
        recordings: recording of each window, by its place in ``stretches``, (M,).
        starts: seconds on the recording's clock, (M,).
        kinds: ``PURE``, ``TRANSITION``, or ``UNKNOWN`` without true stretches, (M,).
        duration_s: length of a window.
        stretches: true stretches of each recording; empty where they are not known.
    """

    recordings: NDArray[np.int64]
    starts: NDArray[np.float64]
    kinds: NDArray[np.int64]
    duration_s: float
    stretches: Sequence[Sequence[Stretch]]


class Timeline:
    """True stretches of all recordings of a target, and the kind of each window.

    Args:
        shards: of the target.

    Attributes:
        kinds: of each window, (N,), see :class:`Moments`.
    """

    def __init__(self, shards: ConcatShards) -> None:
        self._table = shards.table
        self._duration_s = shards.settings.duration_s
        self._stretches = true_stretches(shards)
        self.kinds = _kinds(shards, self._stretches)

    @property
    def changes(self) -> bool:
        """Whether the activity changes in any window."""
        return bool((self.kinds == TRANSITION).any())

    def of(self, windows: NDArray[np.int64]) -> Moments:
        """Give the moments of these windows."""
        names, recordings = numbered(self._table["recording"][windows])
        stretches = [self._stretches.get(name, ()) for name in names]
        return Moments(recordings, self._table["start_s"][windows], self.kinds[windows], self._duration_s, stretches)


def true_stretches(shards: ConcatShards) -> dict[str, list[Stretch]]:
    """List the labelled stretches of each recording, by the names that the target's table gives to all.

    Recordings with more stretches than the shards keep are left out.
    """
    found: dict[str, list[Stretch]] = {}
    first = 0
    for _, part in shards.parts:
        rows = slice(first, first + part.n_windows)
        first += part.n_windows
        activities = _renamed(part.table["activity"], shards.table["activity"][rows])
        recordings = _renamed(part.table["recording"], shards.table["recording"][rows])
        for facts in part.facts():
            if facts.recording in recordings and 0 < len(facts.labels) < MOST_STRETCHES:
                stretches = [(float(a), float(b), activities.get(str(name), str(name))) for a, b, name in facts.labels]
                found[recordings[facts.recording]] = [each for each in stretches if each[2] != UNLABELLED]
    return found


def _renamed(there: Sequence[str], here: Sequence[str]) -> dict[str, str]:
    """Say what each name of a set became in the target; names that no window has are missing."""
    return {str(a): str(b) for a, b in dict.fromkeys(zip(there, here, strict=True))}


def _kinds(shards: ConcatShards, stretches: Mapping[str, Sequence[Stretch]]) -> NDArray[np.int64]:
    table, duration_s = shards.table, shards.settings.duration_s
    kinds = np.full(shards.n_windows, UNKNOWN)
    start = np.asarray(table["start_s"], np.float64)
    names, recordings = numbered(table["recording"])
    order = np.argsort(recordings, kind="stable")
    edges = np.searchsorted(recordings[order], np.arange(len(names) + 1))
    for number, name in enumerate(names):
        own = order[edges[number] : edges[number + 1]]
        if stretches.get(name):
            kinds[own] = np.where(_shown(stretches[name], start[own], duration_s) > 1, TRANSITION, PURE)
    return kinds


def _shown(stretches: Sequence[Stretch], starts: NDArray[np.float64], duration_s: float) -> NDArray[np.int64]:
    """Count the activities that each window shows for longer than a sample, (N,)."""
    many = np.zeros(len(starts), np.int64)
    for activity in distinct([name for _, _, name in stretches]):
        seconds = np.zeros(len(starts))
        for begin, end, name in stretches:
            if name == activity:
                seconds += np.clip(np.minimum(end, starts + duration_s) - np.maximum(begin, starts), 0, None)
        many += seconds > _TOLERANCE_S
    return many
