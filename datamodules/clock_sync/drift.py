"""Drift of the offset over a long recording, and the scatter of the offsets of its windows.

The error of a quartz is tens of parts per million; 50 ppm are 3 ms in a minute and 180 ms in an hour. First, all
windows of the recording together give a drift: their moments are added along each slope, and the best slope is
kept. No single window can mislead this step. Then each window finds its own offset near this line, and a robust line
(Theil 1950, Sen 1968) is fitted through these offsets.

Shape legend: K windows, L lags.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from datamodules.clock_sync.correlation import Moments, add, information
from datamodules.recording import FloatArray

LEAST_SPAN_S = 300.0  # shortest time between the first and the last window for an estimate of the drift
MAX_DRIFT_PPM = 150.0
_NEAR_S = 0.15  # largest distance of a window's own offset from the common line
_MIN_WINDOWS = 4


@dataclass(frozen=True)
class Line:
    """A line through the offsets of a recording's windows.

    Attributes:
        drift_ppm: growth of the offset, microseconds per second; 0 if unknown.
        drift_error_ppm: half width of the drift's 95 % interval; NaN if unknown.
        spread_s: standard error of the common offset, from the scatter of the windows; NaN with fewer than two.
        times_s: (K,) times of the windows.
        offsets_s: (K,) offset of each window, NaN if it has none.
    """

    drift_ppm: float
    drift_error_ppm: float
    spread_s: float
    times_s: FloatArray
    offsets_s: FloatArray


def find_drift(windows: Sequence[Moments], times_s: FloatArray, lags_s: FloatArray, seen_channels: int) -> float:
    """Find the drift at which all windows together have the most information, ppm.

    Args:
        windows: K moments at the lags.
        times_s: (K,) seconds since the reference time of the offset.
        lags_s: (L,) seconds, ascending by equal steps.
        seen_channels: V.
    """
    step = float(lags_s[1] - lags_s[0])
    span = float(np.ptp(times_s))
    # Steps of the slope move the last window by half a lag against the first.
    count = math.ceil(MAX_DRIFT_PPM * 1e-6 * span / (0.5 * step))
    best, found = -math.inf, 0.0
    for slope in np.linspace(-MAX_DRIFT_PPM, MAX_DRIFT_PPM, 2 * count + 1):
        curve = information(sum_along_drift(windows, times_s, float(slope), step), seen_channels)
        most = float(np.nanmax(curve)) if np.isfinite(curve).any() else -math.inf
        if most > best:
            best, found = most, float(slope)
    return found


def sum_along_drift(windows: Sequence[Moments], times_s: FloatArray, drift_ppm: float, step_s: float) -> Moments:
    """Add the windows' moments along a drift: window k at lag l + drift * time."""
    shifted = []
    for window, time in zip(windows, times_s.tolist(), strict=True):
        places = np.arange(len(window.count)) + round(drift_ppm * 1e-6 * time / step_s)
        inside = (places >= 0) & (places < len(window.count))
        moments = window.at(np.clip(places, 0, len(window.count) - 1))
        # Lags beyond the range are unknown and add nothing.
        moments.count[~inside], moments.first[~inside], moments.second[~inside] = 0.0, 0.0, 0.0
        shifted.append(moments)
    return add(shifted)


def fit_line(
    windows: Sequence[Moments],
    times_s: FloatArray,
    lags_s: FloatArray,
    offset_s: float,
    drift_ppm: float,
    seen_channels: int,
) -> Line:
    """Find each window's own offset near the common line, and fit a robust line through these offsets.

    Args:
        windows: K moments at the lags.
        times_s: (K,) seconds since the reference time of ``offset_s``.
        lags_s: (L,) seconds.
        offset_s: common offset of all windows.
        drift_ppm: common drift of all windows, from ``find_drift``.
        seen_channels: V.
    """
    step = float(lags_s[1] - lags_s[0])
    offsets = np.full(len(windows), np.nan)
    for k, window in enumerate(windows):
        expected = offset_s + drift_ppm * 1e-6 * float(times_s[k])
        curve = information(window, seen_channels)
        curve = np.where(np.abs(lags_s - expected) <= _NEAR_S + step / 2, curve, np.nan)
        if not np.isfinite(curve).any():
            continue
        best = int(np.nanargmax(curve))
        if 0 < best < len(curve) - 1 and np.isfinite(curve[[best - 1, best + 1]]).all():
            left, middle, right = curve[best - 1 : best + 2]
            offsets[k] = lags_s[best] + step * (right - left) / 2 / max(2 * middle - left - right, 1e-12)
        # A maximum at the edge is the flank of another peak, so this window gets no offset.
    known = np.isfinite(offsets)
    drift, error = 0.0, math.nan
    if known.sum() >= _MIN_WINDOWS and np.ptp(times_s[known]) >= LEAST_SPAN_S:
        slope, _, low, high = stats.theilslopes(offsets[known], times_s[known], 0.95)
        drift, error = 1e6 * float(slope), 1e6 * float(high - low) / 2
    spread = math.nan
    if known.sum() >= 2:
        rest = offsets[known] - drift * 1e-6 * times_s[known]
        spread = 1.4826 * float(np.median(np.abs(rest - np.median(rest)))) / math.sqrt(known.sum())
    return Line(drift, error, spread, times_s, offsets)
