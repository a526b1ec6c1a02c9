"""Sensors and axes that hang: constant throughout, or for a while.

Shape legend: N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import CHANNELS, FloatArray
from datamodules.signal import BoolArray

_AXIS_S = 2.0  # a coarse axis may stay the same for less while the sensor is at rest
_CHUNK = 1 << 20  # steps that are looked at together
_MOVES = 10.0  # smallest steps of an axis: others that move by more would have moved it


@dataclass(frozen=True)
class Hung:
    """A stretch in which one axis hangs while another one of its sensor moves.

    Attributes:
        channel: of ``recording.CHANNELS``.
        begin, end: seconds.
        value: that the axis holds.
        dead: whether it never changes in the whole recording.
    """

    channel: int
    begin: float
    end: float
    value: float
    dead: bool

    def describe(self) -> str:
        """In words, for people."""
        what = f"{CHANNELS[self.channel]} reads {self.value:.4g}"
        if self.dead:
            return f"{what} throughout the recording: a dead axis"
        return f"{what} for {self.end - self.begin:.2f} s from {self.begin:.2f} s on, while the other axes move"


class HungAxes:
    """All such stretches of one stream."""

    def __init__(self, stretches: Sequence[Hung]) -> None:
        self.stretches = tuple(stretches)
        self._begins = np.array([hung.begin for hung in stretches])
        self._ends = np.array([hung.end for hung in stretches])

    def within(self, begin: float, end: float) -> Hung | None:
        """The stretch that covers most of this time, if it covers two seconds of it, or all of a shorter time."""
        if not self.stretches:
            return None
        covered = np.minimum(self._ends, end) - np.maximum(self._begins, begin)
        most = int(np.argmax(covered))
        return self.stretches[most] if covered[most] >= min(_AXIS_S, 0.99 * (end - begin)) - 1e-9 else None


@dataclass(frozen=True)
class Stuck:
    """What hangs of one sensor (accelerometer or gyroscope).

    Attributes:
        whole_s: seconds of stretches of ``standstill_s`` and more in which no axis changes by a bit.
        axes: for each axis, the share of the time in which it hangs while another one moves; 1 for a dead axis.
        constant: for each axis, its value if it never changes, NaN otherwise.
        zero_rows: share of the samples at which all axes are 0.
    """

    whole_s: float
    axes: tuple[float, float, float]
    constant: tuple[float, float, float]
    zero_rows: float


def find_stuck(times: FloatArray, values: FloatArray, standstill_s: float) -> Stuck:
    """Look at one sensor.

    Args:
        times: (N,) seconds.
        values: (N, 3); a row with NaN is left out.
        standstill_s: as ``WindowSettings`` has it: the build leaves out windows by the same rule.
    """
    times, values = _measured(times, values)
    nan = float("nan")
    if times.size < 2:
        return Stuck(0.0, (0.0, 0.0, 0.0), (nan, nan, nan), 0.0)
    same = [_same(values[:, axis]) for axis in range(3)]
    whole = _runs(same[0] & same[1] & same[2])
    lengths = times[whole[:, 1]] - times[whole[:, 0]]
    constant = [float(values[0, axis]) if same[axis].all() else nan for axis in range(3)]
    shares = [0.0, 0.0, 0.0]
    for hung in _hung(times, values, 0):
        shares[hung.channel] += (hung.end - hung.begin) / float(times[-1] - times[0])
    zero = float((values == 0).all(axis=1).mean())
    return Stuck(
        float(lengths[lengths >= standstill_s].sum()),
        (shares[0], shares[1], shares[2]),
        (constant[0], constant[1], constant[2]),
        zero,
    )


def find_hung(times: FloatArray, values: FloatArray) -> HungAxes:
    """Find all stretches in which an axis hangs: the whole recording for a dead one, two seconds and more for others.

    The build leaves out windows by these stretches, and ``check_import`` names the axes by them.

    Args:
        times: (N,) seconds.
        values: (N, 6); a sensor's row with NaN is left out.
    """
    found = []
    for first in (0, 3):
        measured_at, measured = _measured(times, values[:, first : first + 3])
        if measured_at.size >= 2:
            found += _hung(measured_at, measured, first)
    return HungAxes(found)


def _measured(times: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Leave out rows with NaN; copies nothing where there are none."""
    lost: BoolArray = np.zeros(times.size, bool)
    for axis in range(3):
        lost |= np.isnan(values[:, axis])
    return (times[~lost], values[~lost]) if lost.any() else (times, values)


def _hung(times: FloatArray, values: FloatArray, first: int) -> list[Hung]:
    """Stretches of one sensor, whose first channel is ``first``; no value is NaN."""
    found = []
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        same, value = _same(values[:, axis]), float(values[0, axis])
        if same.all():
            if any(not _same(values[:, other]).all() for other in others):
                found.append(Hung(first + axis, float(times[0]), float(times[-1]), value, True))
            continue
        runs = _runs(same)
        runs = runs[times[runs[:, 1]] - times[runs[:, 0]] >= _AXIS_S]
        if not len(runs):
            continue
        moves = _MOVES * _smallest_step(values[:, axis])
        for a, b in runs.tolist():
            if np.ptp(values[a : b + 1, others], axis=0).max() > moves:
                found.append(Hung(first + axis, float(times[a]), float(times[b]), float(values[a, axis]), False))
    return found


def _same(values: FloatArray) -> BoolArray:
    """(N - 1,) where a value is followed by the same one."""
    return np.asarray(values[1:] == values[:-1])


def _smallest_step(values: FloatArray) -> float:
    """Smallest change of an axis that changes somewhere."""
    smallest = np.inf
    for begin in range(0, len(values) - 1, _CHUNK):
        steps = np.abs(np.diff(values[begin : begin + _CHUNK + 1]))
        smallest = min(smallest, float(steps[steps > 0].min(initial=np.inf)))
    return smallest


def _runs(flags: BoolArray) -> NDArray[np.int64]:
    """First and last sample (K, 2) of each run of steps without a change."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return np.stack([edges[::2], edges[1::2]], axis=1)
