"""How the offset changes over a long recording, and how well the parts of a recording agree.

A quartz is off by tens of parts in a million: 50 of them are 3 ms in a minute and 180 ms in an hour. So windows over
the recording each find their own offset; first all together, with the drift as a second unknown (their moments are
added up along each slope), which no single window can lead astray, then each one near that line, and a robust line
(Theil 1950, Sen 1968) through what they found.

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

LEAST_SPAN_S = 300.0  # between the first and the last window; over less, no drift can be told from none
MAX_DRIFT_PPM = 150.0
_NEAR_S = 0.15  # how far from the common line a window may find its own offset
_MIN_WINDOWS = 4


@dataclass(frozen=True)
class Line:
    """Offsets of a recording.

    Attributes:
        drift_ppm: microseconds by which the offset grows in a second; 0 where it can't be told.
        drift_error_ppm: half of its 95 % interval; NaN where it can't be told.
        spread_s: standard error of the common offset, from how far the windows scatter; NaN with fewer than two.
        times_s: (K,) of the windows.
        offsets_s: (K,) that each window finds, NaN where it finds none.
    """

    drift_ppm: float
    drift_error_ppm: float
    spread_s: float
    times_s: FloatArray
    offsets_s: FloatArray


def steepest(windows: Sequence[Moments], times_s: FloatArray, lags_s: FloatArray, seen_channels: int) -> float:
    """The drift along which all windows together are most informative, ppm.

    Args:
        windows: K moments at the lags.
        times_s: (K,) seconds from the time at which the offset is meant.
        lags_s: (L,) seconds, ascending by equal steps.
        seen_channels: V.
    """
    step = float(lags_s[1] - lags_s[0])
    span = float(np.ptp(times_s))
    # Half a lag's difference between the first and the last window.
    count = math.ceil(MAX_DRIFT_PPM * 1e-6 * span / (0.5 * step))
    best, found = -math.inf, 0.0
    for slope in np.linspace(-MAX_DRIFT_PPM, MAX_DRIFT_PPM, 2 * count + 1):
        curve = information(along(windows, times_s, float(slope), step), seen_channels)
        most = float(np.nanmax(curve)) if np.isfinite(curve).any() else -math.inf
        if most > best:
            best, found = most, float(slope)
    return found


def along(windows: Sequence[Moments], times_s: FloatArray, drift_ppm: float, step_s: float) -> Moments:
    """The windows' moments added up along a slope: window k at lag l + drift * time."""
    shifted = []
    for window, time in zip(windows, times_s.tolist(), strict=True):
        places = np.arange(len(window.count)) + round(drift_ppm * 1e-6 * time / step_s)
        inside = (places >= 0) & (places < len(window.count))
        moments = window.at(np.clip(places, 0, len(window.count) - 1))
        # Beyond the range nothing is known, and counts for nothing.
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
    """Each window's own offset near the common line, and the robust line through them.

    Args:
        windows: K moments at the lags.
        times_s: (K,) seconds from the time at which ``offset_s`` is meant.
        lags_s: (L,) seconds.
        offset_s: of all windows together.
        drift_ppm: of all windows together, as ``steepest`` gives it.
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
        # A maximum at the edge is the flank of another peak: this window has nothing to say.
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
