"""Motion signals: units, gaps, resampling by time stamp, filters, normalisation, sensor faults.

Shape legend: N raw samples, T resampled samples, C channels, ``...`` any batch dimensions.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import STANDARD_GRAVITY, FloatArray

BoolArray = NDArray[np.bool_]

G = STANDARD_GRAVITY  # m/s^2 in one g
MILLI_G = STANDARD_GRAVITY / 1000
DEGREE = math.pi / 180  # rad in one degree; deg/s times this is rad/s

NORMALISATIONS = ("physical", "window", "none")
# Divisors of "physical": acceleration in g, angular velocity in half turns a second.
PHYSICAL_SCALE = np.array([STANDARD_GRAVITY] * 3 + [math.pi] * 3)

# The pass band ends at 0.4 and the stop band starts at 0.5 of the new rate (its Nyquist frequency).
_PASS, _STOP, _ATTENUATION_DB = 0.4, 0.5, 70.0
# Rate of the filtered grid relative to the new rate: a cubic spline on this grid is accurate to 0.1 %.
_OVERSAMPLING = 4
# Rate of the filtered grid relative to the samples' rate. A spline leaves images around the samples' rate; they are
# at -60 dB on this grid, and would fold onto a coarser one.
_SOURCE_OVERSAMPLING = 3
_COLUMNS = 32


def find_gaps(times: FloatArray, max_gap_s: float) -> FloatArray:
    """Find the stretches without samples that are longer than ``max_gap_s``.

    Args:
        times: (N,) seconds, strictly increasing.
        max_gap_s: longest distance of neighbouring samples that is no gap, seconds.

    Returns:
        (K, 2) times of the samples before and after each gap.
    """
    (before,) = np.nonzero(np.diff(times) > max_gap_s + 1e-9)
    return np.stack([times[before], times[before + 1]], axis=1)


def has_gap(times: FloatArray, max_gap_s: float) -> bool:
    """Decide if ``find_gaps`` would find any."""
    return bool((times[1:] - times[:-1] > max_gap_s + 1e-9).any())


def samples_near(times: FloatArray, at: FloatArray, rate_hz: float, max_gap_s: float) -> slice:
    """Select the samples that ``resample`` needs: those within about a second of ``at``.

    Arguments as in :func:`resample`. A window of a long recording then costs no more than one of a short recording.
    """
    margin = 40.0 / rate_hz + max_gap_s
    first, last = np.searchsorted(times, [at[0] - margin, at[-1] + margin]) if at.size else (0, 0)
    return slice(int(first), int(last))


def resample(
    times: FloatArray, values: FloatArray, at: FloatArray, rate_hz: float, max_gap_s: float
) -> tuple[FloatArray, BoolArray]:
    """Resample a signal without aliasing and without filling gaps.

    A cubic spline interpolates between the samples. A signal faster than ``rate_hz`` is first interpolated on a fine
    regular grid and low-pass filtered there (zero phase, -60 dB from the new Nyquist frequency on), so that nothing
    aliases. Constants and straight lines are reproduced exactly. At equal rates and equal times, every signal is.

    Args:
        times: (N,) seconds, strictly increasing; need not be regular.
        values: (N, C); a row with NaN is a lost sample and is ignored.
        at: (T,) seconds, ascending.
        rate_hz: rate of ``at``; sets the low-pass.
        max_gap_s: longest distance of samples to interpolate over. Times inside a longer gap, or outside the samples,
            are invalid.

    Returns:
        Values (T, C), zero where invalid, and a mask (T,) that is True where valid.
    """
    result = np.zeros((at.size, values.shape[1]))
    valid = np.zeros(at.size, dtype=bool)
    near = samples_near(times, at, rate_hz, max_gap_s)
    times, values = times[near], values[near]
    kept = ~np.isnan(values).any(axis=1)
    times, values = times[kept], values[kept]
    if times.size == 0:
        return result, valid
    breaks = np.flatnonzero(np.diff(times) > max_gap_s + 1e-9) + 1
    for part_times, part_values in zip(np.split(times, breaks), np.split(values, breaks), strict=True):
        # Rounding: start + k / rate rarely equals the last sample's time to the last bit, so allow a microsecond.
        inside = (at >= part_times[0] - 1e-6) & (at <= part_times[-1] + 1e-6)
        if inside.any():
            clipped = np.clip(at[inside], part_times[0], part_times[-1])
            result[inside] = _resample_part(part_times, part_values, clipped, rate_hz)
            valid |= inside
    return result, valid


def resampling_matrix(times: FloatArray, at: FloatArray, rate_hz: float) -> FloatArray:
    """The matrix (T, N) that ``resample`` multiplies a stretch by, which has no gap and reaches around ``at``.

    Args:
        times: (N,) seconds, all of the samples that ``samples_near`` selects.
        at: (T,) seconds, inside ``times``.
        rate_hz: rate of ``at``.
    """
    unit = np.eye(times.size)
    blocks = [unit[:, i : i + _COLUMNS] for i in range(0, times.size, _COLUMNS)]  # all at once would take 200 MB
    return np.concatenate([_resample_part(times, block, at, rate_hz) for block in blocks], axis=1)


def _resample_part(times: FloatArray, values: FloatArray, at: FloatArray, rate_hz: float) -> FloatArray:
    """Resample a stretch without gaps."""
    if times.size == 1:
        return np.repeat(values, at.size, axis=0)
    times, values = _merge_close(times, values)
    source_rate = 1 / float(np.median(np.diff(times)))
    # A signal up to 5 % faster has almost nothing above the new Nyquist frequency, and a spline is exact.
    if source_rate <= 1.05 * rate_hz:
        return _spline(times, values, at)
    factor = max(_OVERSAMPLING, math.ceil(_SOURCE_OVERSAMPLING * source_rate / rate_hz))
    n = max(2, math.ceil((times[-1] - times[0]) * rate_hz * factor) + 1)
    grid = np.linspace(times[0], times[-1], n)
    smooth = _low_pass(_spline(times, values, grid), factor)
    return _spline(grid, smooth, at)


def _merge_close(times: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Average samples at nearly the same time; a spline through them would overshoot without bound."""
    steps = np.diff(times)
    group = np.concatenate([[0], np.cumsum(steps >= 0.1 * np.median(steps))])
    if group[-1] == times.size - 1:
        return times, values
    counts = np.bincount(group)
    merged = np.stack([np.bincount(group, column) / counts for column in values.T], axis=1)
    merged_times = np.bincount(group, times) / counts
    # Keep both ends; else the outermost times would lie outside the samples.
    merged_times[0], merged_times[-1] = times[0], times[-1]
    merged[0], merged[-1] = values[0], values[-1]
    return merged_times, merged


def _spline(times: FloatArray, values: FloatArray, at: FloatArray) -> FloatArray:
    if times.size < 4:
        return np.stack([np.interp(at, times, column) for column in values.T], axis=1)
    from scipy.interpolate import CubicSpline  # scipy takes a second to import, and checks of tables need none

    return np.asarray(CubicSpline(times, values, axis=0, bc_type="natural")(at), dtype=np.float64)


def _low_pass(values: FloatArray, factor: int) -> FloatArray:
    """Apply a zero-phase low-pass to a regular grid whose rate is ``factor`` times the new rate."""
    from scipy.signal import fftconvolve

    kernel = _kernel(factor)
    # Odd reflection about the end points continues a straight line as a straight line.
    half = len(kernel) // 2
    padded = np.pad(values, ((half, half), (0, 0)), mode="reflect", reflect_type="odd")
    return np.asarray(fftconvolve(padded, kernel[:, None], mode="valid", axes=0), dtype=np.float64)


@lru_cache(maxsize=16)
def _kernel(factor: int) -> FloatArray:
    """The low-pass's coefficients: the same for all windows of a recording."""
    from scipy.signal import firwin, kaiser_beta

    width = (_STOP - _PASS) / factor * 2  # transition band, in units of the grid's Nyquist frequency
    taps = math.ceil((_ATTENUATION_DB - 7.95) / (2.285 * math.pi * width)) // 2 * 2 + 1
    window = ("kaiser", kaiser_beta(_ATTENUATION_DB))
    kernel = np.asarray(firwin(taps, (_PASS + _STOP) / factor, window=window), np.float64)
    kernel.flags.writeable = False
    return kernel


def median_filter(values: FloatArray, valid: BoolArray, kernel: int = 5) -> FloatArray:
    """Compute the running median of each channel (the paper's kernel is 5 samples at 50 Hz).

    Args:
        values: (T, C).
        valid: (T,) True for measured samples; a median never spans the others.
        kernel: odd number of samples; 1 leaves the signal as it is.
    """
    if kernel % 2 == 0 or kernel < 1:
        raise ValueError(f"the median filter's kernel is {kernel}; expected an odd number of samples")
    result = values.copy()
    if kernel == 1:
        return result
    from scipy.ndimage import median_filter as scipy_median

    edges = np.flatnonzero(np.diff(np.concatenate([[0], valid.astype(np.int8), [0]])))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        result[start:end] = scipy_median(values[start:end], size=(kernel, 1), mode="nearest")
    return result


def normalise(
    imu: NDArray[np.floating],
    sample_mask: BoolArray,
    channel_mask: BoolArray,
    mode: str = "physical",
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Scale windows for the encoders; each window's scale depends on that window alone.

    Args:
        imu: (..., T, 6) in m/s^2 and rad/s.
        sample_mask: (..., T) bool, False for samples that were not measured.
        channel_mask: (..., 6) bool, False for a channel that the device lacks.
        mode: ``physical`` divides by g and by pi rad/s and keeps gravity; ``window`` makes the mean 0 and the
            standard deviation 1 in every window and channel, over valid samples; ``none`` changes nothing.
        out: contiguous array of imu's shape for the result of ``physical``; may be ``imu`` itself.

    Returns:
        (..., T, 6) float32, zero wherever a mask is False.
    """
    if mode not in NORMALISATIONS:
        raise ValueError(f"unknown normalisation '{mode}'; expected one of {', '.join(NORMALISATIONS)}")
    if mode == "physical":
        scaled = np.empty(imu.shape, np.float32) if out is None else out
        # Dividing rows of T * 6 values is ten times as fast as dividing rows of 6.
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
    # A constant channel has no scale; dividing by its deviation would amplify float32 noise to 1.
    scale = np.where(deviation > 1e-6 * (1 + np.abs(mean)), deviation, 1.0)
    return np.asarray(centred / scale, dtype=np.float32)


def count_saturated(values: FloatArray, limits: FloatArray, tolerance: float = 0.005) -> NDArray[np.int64]:
    """Count the samples of each channel, (C,), at the end of the device's range.

    Args:
        values: (N, C); NaN never counts.
        limits: (C,) largest magnitude that the device measures; NaN where unknown.
        tolerance: width of the end, as a share of the range.
    """
    if np.isnan(limits).all():
        return np.zeros(len(limits), np.int64)
    return np.asarray((np.abs(values) >= limits * (1 - tolerance)).sum(axis=0), dtype=np.int64)


def longest_standstill(times: FloatArray, values: FloatArray) -> float:
    """Return the longest time, in seconds, in which no channel of ``values`` (N, C) changes by a single bit."""
    if times.size < 2:
        return 0.0
    still = np.ones(times.size - 1, bool)
    for channel in range(values.shape[1]):  # most windows are told by their first channel alone
        still &= values[1:, channel] - values[:-1, channel] == 0
        if not still.any():
            return 0.0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still.astype(np.int8), [0]])))
    return float(np.max(times[edges[1::2]] - times[edges[::2]], initial=0.0))


def median_acceleration(values: FloatArray) -> float:
    """Return the median norm of the acceleration, m/s^2; about 9.8 on a person, NaN without samples.

    Args:
        values: (N, >= 3); the first three columns are the acceleration, m/s^2.
    """
    acceleration = values[:, :3]
    norms = np.sqrt(np.einsum("nc,nc->n", acceleration, acceleration))
    finite = np.isfinite(norms)
    return median(norms if finite.all() else norms[finite])


def median(values: FloatArray) -> float:
    """Return the median of finite values (N,), which may be reordered; NaN without any.

    ``np.median`` takes three times as long over a window, most of it to look for NaN.
    """
    middle = values.size // 2
    if values.size % 2:
        values.partition(middle)
        return float(values[middle])
    if not values.size:
        return math.nan
    values.partition((middle - 1, middle))
    return float((values[middle - 1] + values[middle]) / 2)
