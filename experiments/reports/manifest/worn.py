"""Was the sensor worn? On a table it does not move for long; a person asleep still breathes and turns.

Shape legend: N samples.
"""

from __future__ import annotations

import numpy as np

from datamodules.recording import FloatArray
from datamodules.signal import G

_MINUTE_S = 60.0
_STILL = 0.013 * G  # standard deviation of each axis within a minute, after van Hees et al. 2011
_LONG_S = 30 * 60.0


def not_worn_s(times: FloatArray, acceleration: FloatArray) -> float:
    """Seconds of stretches of half an hour and more, each minute of which has hardly any movement.

    Args:
        times: (N,) seconds.
        acceleration: (N, 3) m/s^2.
    """
    if times[-1] - times[0] < _LONG_S:
        return 0.0
    minute = ((times - times[0]) // _MINUTE_S).astype(np.int64)
    n = int(minute[-1]) + 1
    still = np.ones(n, bool)
    for axis in acceleration.T:
        good = np.isfinite(axis)
        count = np.maximum(np.bincount(minute[good], minlength=n), 1)
        centre = float(np.median(axis[good])) if good.any() else 0.0
        mean = np.bincount(minute[good], axis[good] - centre, minlength=n) / count
        square = np.bincount(minute[good], (axis[good] - centre) ** 2, minlength=n) / count
        still &= (square - mean**2 < _STILL**2) & (np.bincount(minute[good], minlength=n) > 0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still.astype(np.int8), [0]])))
    lengths = (edges[1::2] - edges[::2]) * _MINUTE_S
    return float(lengths[lengths >= _LONG_S].sum())
