"""Values that no motion sensor gives: sentinels such as -9999, digits gone wrong, overflows.

The limits leave room for the widest wearables (16 g and 2000 deg/s are usual). A declared range above them counts.
Such a value is a lost sample: a window with one is marked, and nothing of it reaches a shard.

Shape legend: N samples.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, ImuStream
from datamodules.signal import G

MOST_ACCELERATION = 100 * G  # m/s^2
MOST_ANGULAR_VELOCITY = 100.0  # rad/s, 5,700 deg/s
_SLACK = 1.05  # of a declared range
_CHUNK = 1 << 20


def limits_of(stream: ImuStream) -> FloatArray:
    """(6,) magnitudes that the sensor can't exceed, m/s^2 and rad/s."""
    acceleration = max(MOST_ACCELERATION, _SLACK * (stream.acceleration_range or 0.0))
    turning = max(MOST_ANGULAR_VELOCITY, _SLACK * (stream.angular_velocity_range or 0.0))
    return np.repeat([acceleration, turning], 3)


def impossible_samples(stream: ImuStream) -> NDArray[np.int64]:
    """Which samples hold a value beyond ``limits_of``, or one that is infinite; looks at few of them at once."""
    limits = limits_of(stream)
    found = [
        first + np.flatnonzero((np.abs(stream.values[first : first + _CHUNK]) > limits).any(axis=1))
        for first in range(0, len(stream.values), _CHUNK)
    ]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def without_impossible(stream: ImuStream) -> tuple[ImuStream, NDArray[np.int64]]:
    """The stream with such samples lost (NaN in the channels that the device has), and which they were.

    Nothing is copied where there are none.
    """
    rows = impossible_samples(stream)
    if not rows.size:
        return stream, rows
    values = stream.values.copy()
    there = ~np.isnan(values).all(axis=0)
    values[np.ix_(rows, there)] = np.nan
    return replace(stream, values=values), rows
