"""Stretches of a recording: where they are cut, their signals on one grid, and what is summed up of them.

Shape legend: N samples of the grid, L lags, C channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from datamodules.clock_sync import motion_signals
from datamodules.clock_sync.correlation import Moments, Signal, lagged_moments
from datamodules.clock_sync.motion_signals import RATE_HZ
from datamodules.recording import FloatArray

GUARD_S = 0.5  # lags this far beyond the range may still hold the peak's flank


def cut(times: FloatArray, window_s: float) -> list[tuple[float, float]]:
    """Start and end of stretches of about ``window_s`` that hold the times, cut where these leave gaps."""
    breaks = np.flatnonzero(np.diff(times) > window_s / 4) + 1
    result = []
    for part in np.split(times, breaks):
        length = float(part[-1] - part[0])
        count = max(1, round(length / window_s))
        edges = np.linspace(part[0], part[-1], count + 1)
        edges[-1] += 1e-6  # the last one is inside
        result += list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    return result


def signals(
    seen_times: FloatArray,
    pictures: FloatArray,
    times: FloatArray,
    measured: FloatArray,
    window: tuple[float, float],
    max_offset_s: float,
    length_s: float,
) -> tuple[Signal, Signal] | None:
    """Both signals on the grid of one window; None where the sensor has nothing near it.

    Args:
        seen_times: of ``pictures`` (B, C), what the camera saw.
        pictures: see there.
        times: of ``measured`` (M, C), what the sensor measured.
        measured: see there.
        window: its start and end.
        max_offset_s: the offset is looked for within plus or minus this.
        length_s: of the grid, at most: the sensor's data around the window serve to learn what chance is.
    """
    start, end = window
    reach = max_offset_s + GUARD_S
    length = length_s
    first, last = min(float(times[0]), float(seen_times[0])), max(float(times[-1]), float(seen_times[-1]))
    # The whole recording where it is short: then all windows share one grid, and far lags wrap around.
    if last - first + 2 * reach <= length:
        begin = first - reach
        length = last - first + 2 * reach
    else:
        begin = min(max((start + end - length) / 2, first - reach), last + reach - length)
    count = fft.next_fast_len(int(length * RATE_HZ) + 1, real=True)
    grid = begin + np.arange(count) / RATE_HZ
    around = slice(*np.searchsorted(times, [grid[0] - 1.0, grid[-1] + 1.0]))
    if times[around].size < 2:
        return None
    inside = (seen_times >= start - 2.0) & (seen_times <= end + 2.0)
    seen = motion_signals.on_grid(seen_times[inside], pictures[inside], grid)
    # Filtered with what lies around the window, compared within it.
    within = seen.valid & (grid >= start) & (grid < end)
    seen = Signal(np.where(within[:, None], seen.values, 0.0), within)
    return seen, motion_signals.on_grid(times[around], measured[around], grid)


def moments(seen: Signal, measured: Signal, lags: NDArray[np.int64]) -> tuple[Moments, Moments]:
    """Moments at the lags that may be true, and at those that can't be: far ones, and all of time reversed."""
    count = len(seen.valid)
    everything = lagged_moments(seen, measured)
    guard = lags[-1] + round(GUARD_S * RATE_HZ)
    far = everything.at(np.arange(guard + 1, max(guard + 1, count - guard)))
    backwards = Signal(measured.values[::-1], measured.valid[::-1])
    reversed_ = lagged_moments(seen, backwards)
    unrelated = Moments(
        np.concatenate([far.count, reversed_.count]),
        np.concatenate([far.first, reversed_.first]),
        np.concatenate([far.second, reversed_.second]),
        everything.variance,
        everything.weight,
    )
    return everything.at(lags), unrelated
