"""Labels against motion: where activities differ in how much the sensor moves, labels on another clock show.

How much it moves (log of the acceleration's standard deviation, ten times a second) is explained best by the labels
when they are moved to where they belong. Shape legend: n tenths of a second, L lags, A activities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, ImuStream, Interval
from datamodules.windows.quality.possible import without_impossible

_HZ = 10.0
_LARGEST_S = 30.0
_BLOCKS = 8  # of a recording, drawn again and again
_DRAWS = 100
_LEAST_CHANGES = 4


@dataclass(frozen=True)
class LabelLag:
    """How far labels are behind the motion.

    Attributes:
        seconds: by which they are late; negative if they are early.
        low, high: 95 % of draws lie between.
        explained: share of the variance that they explain when moved by it.
        unmoved: that they explain as they are.
    """

    seconds: float
    low: float
    high: float
    explained: float
    unmoved: float


def measure_label_lag(stream: ImuStream, activities: Sequence[Interval], offset_s: float) -> LabelLag | None:
    """The lag; None where there are too few changes of activity, or the motion doesn't tell them apart.

    Args:
        stream: of one sensor.
        activities: labels on the video's clock.
        offset_s: known offset of the sensor's clock.
    """
    if len(activities) < _LEAST_CHANGES:
        return None
    times = stream.times + offset_s
    motion, there = _motion(times, without_impossible(stream)[0].values[:, :3])
    names = sorted({interval.activity for interval in activities})
    if len(names) < 2 or motion.size < 4 * _LARGEST_S * _HZ:
        return None
    codes: NDArray[np.int64] = np.zeros(motion.size, np.int64)  # 0 has no label
    for interval in activities:
        first, last = np.round((np.array([interval.start, interval.end]) - times[0]) * _HZ).astype(int)
        codes[max(0, first) : max(0, last)] = 1 + names.index(interval.activity)
    most = min(round(_LARGEST_S * _HZ), motion.size // 6)
    lags = np.arange(-most, most + 1)
    core = slice(most, motion.size - most)
    kept = there[core]
    values = motion[core][kept]
    block = np.minimum(np.arange(kept.size) * _BLOCKS // kept.size, _BLOCKS - 1)[kept]
    # Sums of each block by activity, for every lag: (L, _BLOCKS, A) counts, sums; squares need no lag.
    size = len(names) + 1
    counts, sums = np.empty((lags.size, _BLOCKS, size)), np.empty((lags.size, _BLOCKS, size))
    for i, lag in enumerate(lags):
        key = block * size + codes[most + lag : motion.size - most + lag][kept]
        counts[i] = np.bincount(key, minlength=_BLOCKS * size).reshape(_BLOCKS, size)
        sums[i] = np.bincount(key, values, minlength=_BLOCKS * size).reshape(_BLOCKS, size)
    squares = np.bincount(block, values**2, minlength=_BLOCKS).astype(np.float64)
    whole = _explained(counts, sums, squares, np.ones(_BLOCKS))
    draws = np.random.default_rng(0).multinomial(_BLOCKS, np.full(_BLOCKS, 1 / _BLOCKS), _DRAWS).astype(np.float64)
    found = np.sort([lags[np.argmax(_explained(counts, sums, squares, weights))] / _HZ for weights in draws])
    return LabelLag(
        seconds=float(lags[np.argmax(whole)] / _HZ),
        low=float(found[round(0.025 * (_DRAWS - 1))]),
        high=float(found[round(0.975 * (_DRAWS - 1))]),
        explained=float(whole.max()),
        unmoved=float(whole[most]),
    )


def _motion(times: FloatArray, acceleration: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Log of the standard deviation within a second around each tenth of one, and where it is known."""
    at = np.floor((times - times[0]) * _HZ).astype(np.int64)
    n = int(at[-1]) + 1
    good = np.isfinite(acceleration).all(axis=1)
    count = np.bincount(at[good], minlength=n).astype(np.float64)
    variance = np.zeros(n)
    window = np.ones(round(_HZ))
    many = np.convolve(count, window, "same")
    for axis in range(3):
        centred = acceleration[good, axis] - np.median(acceleration[good, axis]) if good.any() else acceleration[:0, 0]
        mean = np.convolve(np.bincount(at[good], centred, minlength=n), window, "same") / np.maximum(many, 1)
        square = np.convolve(np.bincount(at[good], centred**2, minlength=n), window, "same") / np.maximum(many, 1)
        variance += np.maximum(square - mean**2, 0)
    return 0.5 * np.log(variance + 1e-4), many >= 4


def _explained(counts: FloatArray, sums: FloatArray, squares: FloatArray, weights: FloatArray) -> FloatArray:
    """Share of the variance between activities, for each lag, with blocks counted so often."""
    n, s = np.einsum("lba,b->la", counts, weights), np.einsum("lba,b->la", sums, weights)
    total = s.sum(axis=1)
    mean = total**2 / np.maximum(n.sum(axis=1), 1)
    between = (s**2 / np.maximum(n, 1)).sum(axis=1) - mean
    return np.asarray(between / np.maximum((squares * weights).sum() - mean, 1e-12))
