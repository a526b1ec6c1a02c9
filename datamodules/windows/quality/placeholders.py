"""Values that stand for lost samples although a sensor might give them: 0 or -1 in the midst of others.

A measured value lies near one of its neighbours. A placeholder is far from both of them, again and again to the bit,
while they are near each other. Real spikes differ in height, so a placeholder makes up most of a column's such values.

Shape legend: N samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray

_FAR = 6.0  # usual steps between a placeholder and its neighbours
_ACROSS = 0.5  # of that distance, which its neighbours may be apart
_LEAST = 4  # times that it is there
_OF_ITS_OWN = 0.8  # of its places that can be told: there it is no measured value
_TOGETHER = 0.7  # of these places, at which all channels hold it
_OF_ALL = 0.5  # of a column's values that are far from both neighbours


@dataclass(frozen=True)
class Placeholder:
    """A value that stands for lost samples.

    Attributes:
        channels: of the sensor, in which it stands.
        value: in the stream's units.
        samples: how many it stands for, about.
        together: whether all of the sensor's channels hold it at the same samples.
    """

    channels: tuple[int, ...]
    value: float
    samples: int
    together: bool


def find_placeholders(values: FloatArray) -> list[Placeholder]:
    """Look at one sensor.

    Args:
        values: (N, 3), NaN for lost samples.
    """
    found: dict[float, list[tuple[int, int]]] = {}
    for channel, column in enumerate(values.T):
        if (entry := _placeholder(column[np.isfinite(column)])) is not None:
            found.setdefault(entry[0], []).append((channel, entry[1]))
    result = []
    for value, entries in found.items():
        channels = tuple(channel for channel, _ in entries)
        together = int((values == value).all(axis=1).sum())
        if together >= _TOGETHER * max(samples for _, samples in entries):
            result.append(Placeholder(tuple(range(values.shape[1])), value, together, True))
            continue
        # One channel's largest or smallest value may be the end of its range.
        column = values[:, channels[0]]
        end = value in (float(np.nanmin(column)), float(np.nanmax(column)))
        if not end or value == 0:
            result.append(Placeholder(channels, value, max(samples for _, samples in entries), False))
    return result


def zero_holes(values: FloatArray) -> NDArray[np.bool_]:
    """(N,) which samples are 0 in all channels, far from what is before and behind.

    Args:
        values: (N, 3) of one sensor.
    """
    norm = np.linalg.norm(values, axis=1)
    holes: NDArray[np.bool_] = np.zeros(len(norm), bool)
    good = np.flatnonzero(np.isfinite(norm))
    starts, ends, far, near_each_other = _runs(norm[good])
    for run in np.flatnonzero(far & near_each_other & (norm[good][starts] == 0)):
        holes[good[starts[run] : ends[run]]] = True
    return holes


def _placeholder(column: FloatArray) -> tuple[float, int] | None:
    """The value, and at how many samples it is no measured one."""
    starts, ends, far, near_each_other = _runs(column)
    told = column[starts][far | _one_side(column, starts)]
    where = far & near_each_other
    holes, lengths = column[starts][where], (ends - starts)[where]
    if holes.size < _LEAST:
        return None
    kinds, counts = np.unique(holes, return_counts=True)
    most = int(np.argmax(counts))
    value, count = float(kinds[most]), int(counts[most])
    of_its_own = count / max(1, int((told == value).sum()))
    if count < _LEAST or count < _OF_ALL * holes.size or of_its_own < _OF_ITS_OWN:
        return None
    return value, int(lengths[holes == value].sum())


def _runs(column: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Begin and end of each run of one value, whether it is far from both neighbours, and these near each other."""
    starts = np.flatnonzero(np.concatenate([[True], column[1:] != column[:-1]])) if column.size else np.empty(0, int)
    ends = np.append(starts[1:], column.size).astype(np.int64)
    far: NDArray[np.bool_] = np.zeros(starts.size, bool)
    alike = far.copy()
    if starts.size > 2:
        level = column[starts]
        step = np.abs(np.diff(level))
        nearer, across = np.minimum(step[:-1], step[1:]), np.abs(level[2:] - level[:-2])
        far[1:-1] = nearer > _FAR * float(np.median(step))
        alike[1:-1] = across < _ACROSS * nearer
    return starts, ends, far, alike


def _one_side(column: FloatArray, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    level = column[starts]
    found: NDArray[np.bool_] = np.zeros(starts.size, bool)
    if starts.size > 2:
        step = np.abs(np.diff(level))
        found[1:-1] = np.maximum(step[:-1], step[1:]) > _FAR * float(np.median(step))
    return found
