"""Stretches of a recording: their bounds, their signals on one grid, and their moments.

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

GUARD_S = 0.5  # lags up to this far beyond the range may hold the flank of the peak


def cut(times: FloatArray, window_s: float) -> list[tuple[float, float]]:
    """Divide times into stretches of about ``window_s``, with breaks at gaps; return their starts and ends."""
    breaks = np.flatnonzero(np.diff(times) > window_s / 4) + 1
    result = []
    for part in np.split(times, breaks):
        length = float(part[-1] - part[0])
        count = max(1, round(length / window_s))
        edges = np.linspace(part[0], part[-1], count + 1)
        edges[-1] += 1e-6  # include the last time
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
    """Resample both signals onto the grid of one window; None if the sensor has no samples near the window.

    Args:
        seen_times: (B,) times of ``pictures``.
        pictures: (B, C) motion in the video.
        times: (M,) times of ``measured``.
        measured: (M, C) motion of the sensor.
        window: start and end of the window.
        max_offset_s: the search covers offsets from minus to plus this.
        length_s: longest grid; the sensor's data around the window show the chance level.
    """
    start, end = window
    reach = max_offset_s + GUARD_S
    length = length_s
    first, last = min(float(times[0]), float(seen_times[0])), max(float(times[-1]), float(seen_times[-1]))
    # In a short recording the grid covers the whole recording: all windows share it, and far lags wrap around.
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
    # Filter with the surroundings of the window, but compare only within the window.
    within = seen.valid & (grid >= start) & (grid < end)
    seen = Signal(np.where(within[:, None], seen.values, 0.0), within)
    return seen, motion_signals.on_grid(times[around], measured[around], grid)


def moments(seen: Signal, measured: Signal, lags: NDArray[np.int64]) -> tuple[Moments, Moments]:
    """Compute moments at the possible lags, and at impossible ones: far lags, and all lags of the reversed signal."""
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
