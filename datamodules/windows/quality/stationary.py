"""Rest of an accelerometer, in windows of ten seconds, and what long rest tells: the sensor was not worn.

The rules are those of van Hees et al. (2011, 2013): in a stationary window, each axis has a standard deviation below
13 mg. A person asleep still breathes and turns; a sensor on a table rests for hours.

Shape legend: N samples, W windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray
from datamodules.signal import BoolArray, G

WINDOW_S = 10.0
STILL_G = 0.013  # standard deviation of each axis: less is rest
NON_WEAR_S = 90 * 60.0  # rest that lasts longer is no person's
_MEASURED = 0.5  # of a window's samples must be there
_CHUNK = 1 << 20  # samples that are looked at together


@dataclass(frozen=True)
class RestWindows:
    """All windows of ten seconds of one accelerometer, from its first sample on.

    Attributes:
        begin: seconds, of the first window.
        means: (W, 3) g; NaN in windows without samples.
        still: (W,) windows that are stationary, and measured for at least half.
    """

    begin: float
    means: FloatArray
    still: BoolArray


def rest_windows(times: FloatArray, acceleration: FloatArray, still_g: float = STILL_G) -> RestWindows:
    """Look for rest; takes little memory besides the samples.

    Args:
        times: (N,) seconds, ascending.
        acceleration: (N, 3) m/s^2; rows with NaN are left out.
        still_g: standard deviation of each axis that is no rest any more, g.
    """
    finder = RestFinder()
    finder.add(times, acceleration)
    return finder.found(still_g)


class RestFinder:
    """The same for a recording that comes one stretch behind the other; it keeps none of the samples."""

    def __init__(self) -> None:
        self._begin, self._centre = 0.0, np.zeros(3)
        self._counts: NDArray[np.int64] = np.zeros(0, np.int64)
        self._sums, self._squares = np.zeros((3, 0)), np.zeros((3, 0))

    def add(self, times: FloatArray, acceleration: FloatArray) -> None:
        """Look at the next stretch: (N,) seconds and (N, 3) m/s^2."""
        if not times.size:
            return
        if not self._counts.size:
            self._begin = float(times[0])
            # Sums of squares of what is far from zero would cancel out; the first windows say where most of it is.
            head = acceleration[:_CHUNK]
            self._centre = np.nan_to_num(np.median(head[~np.isnan(head).any(axis=1)], axis=0))
        more = int((float(times[-1]) - self._begin) // WINDOW_S) + 1 - self._counts.size
        if more > 0:
            self._counts = np.pad(self._counts, (0, more))
            self._sums, self._squares = (np.pad(sums, ((0, 0), (0, more))) for sums in (self._sums, self._squares))
        for first in range(0, times.size, _CHUNK):
            self._add(times[first : first + _CHUNK], acceleration[first : first + _CHUNK])

    def _add(self, times: FloatArray, acceleration: FloatArray) -> None:
        part = acceleration - self._centre
        window = ((times - self._begin) // WINDOW_S).astype(np.int64)
        good = np.isfinite(part).all(axis=1)
        if not good.all():
            part, window = part[good], window[good]
        if not window.size:
            return
        low, span = int(window[0]), int(window[-1] - window[0]) + 1
        window -= low
        self._counts[low : low + span] += np.bincount(window, minlength=span)
        for axis in range(3):
            self._sums[axis, low : low + span] += np.bincount(window, part[:, axis], span)
            self._squares[axis, low : low + span] += np.bincount(window, part[:, axis] ** 2, span)

    def found(self, still_g: float = STILL_G) -> RestWindows:
        """All windows of what was seen."""
        counts = self._counts
        with np.errstate(invalid="ignore", divide="ignore"):
            means = self._sums / counts
            variances = (self._squares - self._sums * means) / (counts - 1)
        usual = float(np.median(counts[counts > 0])) if counts.any() else 0.0
        measured = (counts > 1) & (counts >= _MEASURED * usual)
        still = measured & (variances < (still_g * G) ** 2).all(axis=0)
        return RestWindows(self._begin, (means.T + self._centre) / G, still)


def non_wear(windows: RestWindows, longer_than_s: float = NON_WEAR_S) -> list[tuple[float, float]]:
    """Begin and end, seconds, of every rest that lasts longer; windows without samples end it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], windows.still.astype(np.int8), [0]])))
    episodes = [
        (windows.begin + WINDOW_S * a, windows.begin + WINDOW_S * b)
        for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]
    return [(begin, end) for begin, end in episodes if end - begin > longer_than_s]
