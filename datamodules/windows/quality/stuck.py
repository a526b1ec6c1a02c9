"""Sensors and axes that hang: constant throughout, or for a while.

Shape legend: N samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datamodules.recording import FloatArray
from datamodules.signal import BoolArray

_AXIS_S = 2.0  # a coarse axis may stay the same for less while the sensor is at rest
_MOVES = 10.0  # smallest steps of an axis: others that move by more would have moved it


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
    there = ~np.isnan(values).any(axis=1)
    if not there.all():
        times, values = times[there], values[there]
    nan = float("nan")
    if times.size < 2:
        return Stuck(0.0, (0.0, 0.0, 0.0), (nan, nan, nan), 0.0)
    same = np.diff(values, axis=0) == 0
    whole = float(sum(times[b] - times[a] for a, b in _runs(same.all(axis=1)) if times[b] - times[a] >= standstill_s))
    constant = [float(values[0, axis]) if same[:, axis].all() else nan for axis in range(3)]
    length = float(times[-1] - times[0])
    axes = [_hanging(times, values, same[:, axis], axis, constant[axis]) / length for axis in range(3)]
    zero = float((values == 0).all(axis=1).mean())
    return Stuck(whole, (axes[0], axes[1], axes[2]), (constant[0], constant[1], constant[2]), zero)


def _hanging(times: FloatArray, values: FloatArray, same: BoolArray, axis: int, constant: float) -> float:
    others = [other for other in range(3) if other != axis]
    if not np.isnan(constant):
        moves = any(values[0, other] != values[-1, other] or np.ptp(values[:, other]) > 0 for other in others)
        return float(times[-1] - times[0]) if moves else 0.0
    steps = np.abs(np.diff(values[:, axis]))
    smallest = float(steps[steps > 0].min())
    total = 0.0
    for a, b in _runs(same):
        if times[b] - times[a] >= _AXIS_S and np.ptp(values[a : b + 1, others], axis=0).max() > _MOVES * smallest:
            total += float(times[b] - times[a])
    return total


def _runs(flags: BoolArray) -> list[tuple[int, int]]:
    """First and last sample of each run of steps without a change."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
