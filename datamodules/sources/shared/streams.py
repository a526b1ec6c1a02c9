"""Streams of several sensors: sensors that were off, impossible units, and gyroscopes with a clock of their own.

Shape legend: N samples of the accelerometer, M of the gyroscope.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datamodules import signal
from datamodules.recording import FloatArray, ImuStream, RecordingError
from datamodules.signal import MILLI_G, G

# Factors that a wrong unit misses: (factor that makes the median norm right, description of the values).
_MISSED_FACTORS = (
    (G, "g"),
    (MILLI_G, "mg, scaled as m/s^2"),
    (1 / G, "m/s^2, scaled as g"),
    (1000.0, "g, scaled as mg"),
)
_NEAR = (0.8, 1.25)  # range of the median norm in g, also for a recording of movement
_FASTEST_RAD_S = 60.0  # a throwing hand reaches 40 rad/s; values in deg/s exceed this even in slow walking


def with_samples(streams: Sequence[ImuStream]) -> tuple[tuple[ImuStream, ...], tuple[str, ...]]:
    """Return the sensors with samples, and the placements of the sensors without.

    Raises:
        RecordingError: no sensor has samples.
    """
    measured = [not np.isnan(s.values[:, :3]).any(axis=1).all() for s in streams]
    kept = tuple(s for s, there in zip(streams, measured, strict=True) if there)
    off = tuple(s.placement for s, there in zip(streams, measured, strict=True) if not there)
    if not kept:
        origin = streams[0].origin if streams else "no file"
        raise RecordingError(f"{origin}: no sensor measured an acceleration; all samples are missing")
    return kept, off


def refuse_other_units(streams: Sequence[ImuStream]) -> None:
    """Refuse values that fit another unit better than the source's unit.

    A sensor that is off (zeros), or whose norm fits no other unit either, passes here; the checks of windows find it.

    Raises:
        RecordingError: the values fit another unit; the message names file, placement, value and likely unit.
    """
    for stream in streams:
        norm = signal.median_acceleration(stream.values)
        for factor, unit in _MISSED_FACTORS:
            if _NEAR[0] * G <= norm * factor <= _NEAR[1] * G:
                raise RecordingError(
                    f"{stream.origin}, IMU at {stream.placement}: the median acceleration is {norm:.4g} m/s^2; expected"
                    f" some 9.8 (these look like {unit})"
                )
        turning = np.abs(stream.values[:, 3:])
        turning = turning[np.isfinite(turning)]
        # Take a quantile: a single glitch does not tell the unit.
        if turning.size and (fast := float(np.quantile(turning, 0.999))) > _FASTEST_RAD_S:
            raise RecordingError(
                f"{stream.origin}, IMU at {stream.placement}: the angular velocity reaches {fast:.4g} rad/s; expected"
                f" at most {_FASTEST_RAD_S:g} (these look like deg/s)"
            )


def onto_times(times: FloatArray, gyro_times: FloatArray, gyro: FloatArray, max_gap_s: float) -> FloatArray:
    """Interpolate a gyroscope with its own stamps at the accelerometer's times.

    Args:
        times: (N,) times of the accelerometer, seconds, strictly increasing.
        gyro_times: (M,) times of the gyroscope, seconds on the same clock, strictly increasing.
        gyro: (M, 3).
        max_gap_s: longest gap to interpolate over, seconds.

    Returns:
        (N, 3), NaN where the gyroscope did not measure.
    """
    rate = 1 / float(np.median(np.diff(times))) if times.size > 1 else 1.0
    values, valid = signal.resample(gyro_times, gyro, times, rate, max_gap_s)
    return np.where(valid[:, None], values, np.nan)


def on_one_grid(
    times: FloatArray, acceleration: FloatArray, gyro_times: FloatArray, gyro: FloatArray, max_gap_s: float
) -> tuple[FloatArray, FloatArray]:
    """Two sensors with stamps of their own, on the stamps of the faster one (the accelerometer's, at like rates).

    Args:
        times: (N,) seconds of the accelerometer, strictly increasing.
        acceleration: (N, 3).
        gyro_times: (M,) seconds on the same clock, strictly increasing.
        gyro: (M, 3).
        max_gap_s: nothing is interpolated over longer stretches without samples of either sensor.

    Returns:
        Times (K,) while both measured, and values (K, 6); NaN where one of them has a gap.
    """
    begin, end = max(times[0], gyro_times[0]), min(times[-1], gyro_times[-1])
    faster = _rate(gyro_times) > 1.1 * _rate(times)
    grid = gyro_times if faster else times
    inside = (grid >= begin - 1e-9) & (grid <= end + 1e-9)
    grid = grid[inside]
    if faster:
        return grid, np.concatenate([onto_times(grid, times, acceleration, max_gap_s), gyro[inside]], axis=1)
    return grid, np.concatenate([acceleration[inside], onto_times(grid, gyro_times, gyro, max_gap_s)], axis=1)


def _rate(times: FloatArray) -> float:
    return 1 / float(np.median(np.diff(times))) if times.size > 1 else 1.0
