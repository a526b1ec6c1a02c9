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
_ROWS = 1 << 18  # looked at together: copies of columns stay small beside a day of samples
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
    sensor = _Sensor(0)
    sensor.add(times, values)
    for hung in sensor.found():
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
    finder = HungFinder()
    finder.add(times, values)
    return finder.found()


class HungFinder:
    """The same for a recording that comes one stretch behind the other; it keeps none of the samples."""

    def __init__(self) -> None:
        self._sensors = (_Sensor(0), _Sensor(3))

    def add(self, times: FloatArray, values: FloatArray) -> None:
        """Look at the next stretch: (N,) seconds and (N, 6)."""
        for sensor in self._sensors:
            measured_at, measured = _measured(times, values[:, sensor.first : sensor.first + 3])
            if measured_at.size:
                sensor.add(measured_at, measured)

    def found(self) -> HungAxes:
        """What hangs in all that was seen."""
        return HungAxes([hung for sensor in self._sensors for hung in sensor.found()])


def _measured(times: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Leave out rows with NaN; copies nothing where there are none."""
    lost: BoolArray = np.zeros(times.size, bool)
    for axis in range(3):
        lost |= np.isnan(values[:, axis])
    return (times[~lost], values[~lost]) if lost.any() else (times, values)


@dataclass(frozen=True)
class _Run:
    """A run of one value of an axis, and the extremes of the two other axes meanwhile."""

    begin: float
    end: float
    value: float
    low: FloatArray
    high: FloatArray

    def with_next(self, other: _Run) -> _Run:
        """This run and the one that goes on with it."""
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return _Run(self.begin, other.end, self.value, low, high)


class _Axis:
    """What was seen of one axis."""

    def __init__(self) -> None:
        self.varied = False
        self.smallest = np.inf  # of its steps
        self.runs: list[_Run] = []  # long ones that have ended
        self.last: _Run | None = None  # goes on to the end of what was seen

    def add(self, times: FloatArray, own: FloatArray, others: FloatArray) -> None:
        """Look at the next samples, of which the first one was the last one before, if there was one."""
        same = _same(own)
        if not same.all():
            self.varied = True
            self.smallest = min(self.smallest, _smallest_step(own))
        runs = _runs(same)
        before, self.last = self.last, None
        if before is not None and not (len(runs) and runs[0, 0] == 0):
            self._keep(before)
            before = None
        long = times[runs[:, 1]] - times[runs[:, 0]] >= _AXIS_S
        for a, b in runs[long | (runs[:, 0] == 0) | (runs[:, 1] == same.size)].tolist():
            beside = others[a : b + 1]
            run = _Run(float(times[a]), float(times[b]), float(own[a]), beside.min(axis=0), beside.max(axis=0))
            if a == 0 and before is not None:
                run = before.with_next(run)
            if b == same.size:
                self.last = run
            else:
                self._keep(run)

    def _keep(self, run: _Run) -> None:
        if run.end - run.begin >= _AXIS_S:
            self.runs.append(run)

    def hung(self) -> list[_Run]:
        """Runs in which others moved."""
        moves = _MOVES * self.smallest
        ended = [*self.runs, *([self.last] if self.last is not None else [])]
        return [run for run in ended if run.end - run.begin >= _AXIS_S and (run.high - run.low).max() > moves]


class _Sensor:
    """The axes of one sensor, whose first channel is ``first``; no value is NaN."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._axes = (_Axis(), _Axis(), _Axis())
        self._begin: tuple[float, FloatArray] | None = None
        self._end: tuple[FloatArray, FloatArray] | None = None

    def add(self, times: FloatArray, values: FloatArray) -> None:
        """Look at the next samples: (N,) and (N, 3)."""
        for begin in range(0, len(times), _ROWS):
            self._add(times[begin : begin + _ROWS], values[begin : begin + _ROWS])

    def _add(self, times: FloatArray, values: FloatArray) -> None:
        if self._end is not None:
            times, values = (np.concatenate(pair) for pair in zip(self._end, (times, values), strict=True))
        if self._begin is None:
            self._begin = float(times[0]), values[0].copy()
        self._end = times[-1:].copy(), values[-1:].copy()
        for i, axis in enumerate(self._axes):
            axis.add(times, values[:, i], values[:, [other for other in range(3) if other != i]])

    def found(self) -> list[Hung]:
        """Stretches in which an axis hangs, axis by axis."""
        if self._begin is None or self._end is None:
            return []
        moving = any(axis.varied for axis in self._axes)
        (begin, first), end = self._begin, float(self._end[0][0])
        result = []
        for i, axis in enumerate(self._axes):
            if axis.varied:
                result += [Hung(self.first + i, r.begin, r.end, r.value, False) for r in axis.hung()]
            elif moving:
                result.append(Hung(self.first + i, begin, end, float(first[i]), True))
        return result


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
