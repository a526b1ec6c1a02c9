"""Motion signals: units, gaps, resampling on timestamps, filters, normalisation, faults of the sensor.

Shape legend: N raw samples, T resampled samples, C channels, ``...`` any batch dimensions.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import median_filter as _scipy_median
from scipy.signal import fftconvolve, firwin, kaiser_beta

from datamodules.recording import STANDARD_GRAVITY, FloatArray

BoolArray = NDArray[np.bool_]

G = STANDARD_GRAVITY  # m/s^2 in one g
MILLI_G = STANDARD_GRAVITY / 1000
DEGREE = math.pi / 180  # rad in one degree; deg/s times this is rad/s

NORMALISATIONS = ("physical", "window", "none")
# What "physical" divides by: acceleration in g, angular velocity in half turns a second.
PHYSICAL_SCALE = np.array([STANDARD_GRAVITY] * 3 + [math.pi] * 3)

# The pass band ends at 0.4 and the stop band starts at 0.5 of the new rate (its Nyquist frequency).
_PASS, _STOP, _ATTENUATION_DB = 0.4, 0.5, 70.0
_OVERSAMPLING = 4  # of the filtered grid against the new rate: a cubic spline on it is accurate to 0.1 %
# Of the filtered grid against the samples: what a spline leaves of the images around their rate, -60 dB at
# this distance, would fold onto a coarser grid.
_FINENESS = 3


def find_gaps(times: FloatArray, max_gap_s: float) -> FloatArray:
    """Stretches without samples that are longer than ``max_gap_s``.

    Args:
        times: (N,) seconds, strictly increasing.
        max_gap_s: longest distance of neighbouring samples that is no gap, seconds.

    Returns:
        (K, 2) the times of the samples before and after each gap.
    """
    (before,) = np.nonzero(np.diff(times) > max_gap_s + 1e-9)
    return np.stack([times[before], times[before + 1]], axis=1)


def reach(times: FloatArray, at: FloatArray, rate_hz: float, max_gap_s: float) -> slice:
    """Which samples ``resample`` looks at: about a second around; more of a long recording need not be touched."""
    margin = 40.0 / rate_hz + max_gap_s
    first, last = np.searchsorted(times, [at[0] - margin, at[-1] + margin]) if at.size else (0, 0)
    return slice(int(first), int(last))


def resample(
    times: FloatArray, values: FloatArray, at: FloatArray, rate_hz: float, max_gap_s: float
) -> tuple[FloatArray, BoolArray]:
    """Values at other times, without aliasing and without inventing what was not measured.

    Between samples a cubic spline through them is evaluated. Where the signal was sampled faster than
    ``rate_hz`` it is first brought onto a fine regular grid and low-pass filtered there (zero phase, -60 dB
    from the new Nyquist frequency on), so that nothing folds back. Constants and straight lines come out
    exactly, and at equal rates and equal times so does every signal.

    Args:
        times: (N,) seconds, strictly increasing; need not be regular.
        values: (N, C); a row with NaN is a lost sample and is treated as if it were not there.
        at: (T,) seconds, ascending.
        rate_hz: rate of ``at``; sets the low-pass.
        max_gap_s: what lies inside a longer gap, or outside the samples, is invalid.

    Returns:
        The values (T, C), zero where invalid, and (T,) which are valid.
    """
    result = np.zeros((at.size, values.shape[1]))
    valid = np.zeros(at.size, dtype=bool)
    near = reach(times, at, rate_hz, max_gap_s)
    times, values = times[near], values[near]
    kept = ~np.isnan(values).any(axis=1)
    times, values = times[kept], values[kept]
    if times.size == 0:
        return result, valid
    breaks = np.flatnonzero(np.diff(times) > max_gap_s + 1e-9) + 1
    for part_times, part_values in zip(np.split(times, breaks), np.split(values, breaks), strict=True):
        # A microsecond of slack: start + k / rate rarely hits the last sample to the last bit.
        inside = (at >= part_times[0] - 1e-6) & (at <= part_times[-1] + 1e-6)
        if inside.any():
            clipped = np.clip(at[inside], part_times[0], part_times[-1])
            result[inside] = _resample_part(part_times, part_values, clipped, rate_hz)
            valid |= inside
    return result, valid


def _resample_part(times: FloatArray, values: FloatArray, at: FloatArray, rate_hz: float) -> FloatArray:
    """``resample`` within a stretch without gaps."""
    if times.size == 1:
        return np.repeat(values, at.size, axis=0)
    times, values = _merge_close(times, values)
    source_rate = 1 / float(np.median(np.diff(times)))
    # Up to 5 % faster there is next to nothing above the new Nyquist frequency, and a spline is exact.
    if source_rate <= 1.05 * rate_hz:
        return _spline(times, values, at)
    factor = max(_OVERSAMPLING, math.ceil(_FINENESS * source_rate / rate_hz))
    n = max(2, math.ceil((times[-1] - times[0]) * rate_hz * factor) + 1)
    grid = np.linspace(times[0], times[-1], n)
    smooth = _low_pass(_spline(times, values, grid), factor)
    return _spline(grid, smooth, at)


def _merge_close(times: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Average samples that all but coincide; a spline through them would overshoot without bound."""
    steps = np.diff(times)
    group = np.concatenate([[0], np.cumsum(steps >= 0.1 * np.median(steps))])
    if group[-1] == times.size - 1:
        return times, values
    counts = np.bincount(group)
    merged = np.stack([np.bincount(group, column) / counts for column in values.T], axis=1)
    merged_times = np.bincount(group, times) / counts
    # The ends stay where they were, or there would be nothing to interpolate at the outermost times.
    merged_times[0], merged_times[-1] = times[0], times[-1]
    merged[0], merged[-1] = values[0], values[-1]
    return merged_times, merged


def _spline(times: FloatArray, values: FloatArray, at: FloatArray) -> FloatArray:
    if times.size < 4:
        return np.stack([np.interp(at, times, column) for column in values.T], axis=1)
    return np.asarray(CubicSpline(times, values, axis=0, bc_type="natural")(at), dtype=np.float64)


def _low_pass(values: FloatArray, factor: int) -> FloatArray:
    """Zero-phase low-pass of a regular grid that is ``factor`` times as fine as the rate it is meant for."""
    width = (_STOP - _PASS) / factor * 2  # of the transition, in units of the grid's Nyquist frequency
    taps = math.ceil((_ATTENUATION_DB - 7.95) / (2.285 * math.pi * width)) // 2 * 2 + 1
    window = ("kaiser", kaiser_beta(_ATTENUATION_DB))
    kernel = firwin(taps, (_PASS + _STOP) / factor, window=window)
    # Mirrored about its end points, a straight line goes on as a straight line.
    half = taps // 2
    padded = np.pad(values, ((half, half), (0, 0)), mode="reflect", reflect_type="odd")
    return np.asarray(fftconvolve(padded, kernel[:, None], mode="valid", axes=0), dtype=np.float64)


def median_filter(values: FloatArray, valid: BoolArray, kernel: int = 5) -> FloatArray:
    """Running median of each channel (the paper's kernel is 5 samples at 50 Hz).

    Args:
        values: (T, C).
        valid: (T,) samples that were measured; a median never reaches over others.
        kernel: odd number of samples; 1 leaves the signal as it is.
    """
    if kernel % 2 == 0 or kernel < 1:
        raise ValueError(f"the median filter's kernel is {kernel}; expected an odd number of samples")
    result = values.copy()
    if kernel == 1:
        return result
    edges = np.flatnonzero(np.diff(np.concatenate([[0], valid.astype(np.int8), [0]])))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        result[start:end] = _scipy_median(values[start:end], size=(kernel, 1), mode="nearest")
    return result


def normalise(
    imu: NDArray[np.floating],
    sample_mask: BoolArray,
    channel_mask: BoolArray,
    mode: str = "physical",
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Bring windows to the scale that encoders expect, looking at nothing outside each window.

    Args:
        imu: (..., T, 6) in m/s^2 and rad/s.
        sample_mask: (..., T) bool, False where nothing was measured.
        channel_mask: (..., 6) bool, False for a channel that the device lacks.
        mode: ``physical`` divides by g and by pi rad/s and keeps gravity; ``window`` makes the mean 0 and the
            standard deviation 1 in every window and channel, over valid samples; ``none`` changes nothing.
        out: contiguous, of imu's shape: takes the result of ``physical``; may be ``imu`` itself.

    Returns:
        (..., T, 6) float32, zero wherever a mask is False.
    """
    if mode not in NORMALISATIONS:
        raise ValueError(f"unknown normalisation '{mode}'; expected one of {', '.join(NORMALISATIONS)}")
    if mode == "physical":
        scaled = np.empty(imu.shape, np.float32) if out is None else out
        # Over rows of T * 6 values the division is ten times as fast as over rows of 6.
        row = (*imu.shape[:-2], -1)
        scale = np.tile(PHYSICAL_SCALE, imu.shape[-2]).astype(np.float32)
        np.divide(imu.reshape(row), scale, out=scaled.reshape(row), casting="same_kind")
        if not (sample_mask.all() and channel_mask.all()):
            np.copyto(scaled, 0, where=~(sample_mask[..., :, None] & channel_mask[..., None, :]))
        return scaled
    valid = sample_mask[..., :, None] & channel_mask[..., None, :]
    values = np.where(valid, imu, 0).astype(np.float32)
    if mode == "none":
        return values
    count = np.maximum(sample_mask.sum(axis=-1), 1)[..., None, None]
    wide = values.astype(np.float64)
    mean = wide.sum(axis=-2, keepdims=True) / count
    centred = np.where(valid, wide - mean, 0)
    deviation = np.sqrt((centred**2).sum(axis=-2, keepdims=True) / count)
    # A channel that stands still has no scale of its own; float32 noise must not be blown up to one.
    scale = np.where(deviation > 1e-6 * (1 + np.abs(mean)), deviation, 1.0)
    return np.asarray(centred / scale, dtype=np.float32)


def count_saturated(values: FloatArray, limits: FloatArray, tolerance: float = 0.005) -> NDArray[np.int64]:
    """Samples of each channel that lie at the end of the device's range.

    Args:
        values: (N, C); NaN never counts.
        limits: (C,) largest magnitude that the device gives; NaN where unknown.
        tolerance: share of the range that still counts as its end.
    """
    return np.asarray((np.abs(values) >= limits * (1 - tolerance)).sum(axis=0), dtype=np.int64)


def longest_standstill(times: FloatArray, values: FloatArray) -> float:
    """Seconds of the longest stretch over which no channel changes by a single bit; values (N, C)."""
    if times.size < 2:
        return 0.0
    still = (np.diff(values, axis=0) == 0).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still.astype(np.int8), [0]])))
    return float(np.max(times[edges[1::2]] - times[edges[::2]], initial=0.0))


def median_acceleration(values: FloatArray) -> float:
    """Median norm of the acceleration (N, >= 3), m/s^2; NaN if there is no sample. Near 9.8 on a person."""
    norms = np.linalg.norm(values[:, :3], axis=1)
    norms = norms[np.isfinite(norms)]
    return float(np.median(norms)) if norms.size else math.nan
