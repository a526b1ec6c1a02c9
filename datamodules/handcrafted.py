"""Handcrafted features of IMU windows: statistics, spectra, quarters and correlations of the signals.

There are eight signals: six channels, and the norms of acceleration and of angular velocity. Each is described from the
first to the last valid sample:

- mean, standard deviation, minimum, maximum, quartiles, root mean square, skewness, excess kurtosis, mean
  absolute difference of neighbouring samples, zero crossings per second of the centred signal;
- from the power spectrum of the centred signal: dominant frequency (Hz), spectral entropy (0 to 1), log energy
  in the bands of ``BANDS_HZ``;
- mean and standard deviation of each quarter.

The last features are the correlation of each pair of the six channels, and the length of valid samples in seconds. A
feature is 0 if the device does not measure it, or if the window is too short for it. Features depend on the window
alone.

Shape legend: N windows, T samples, S = 8 signals, V valid samples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import CHANNELS

SIGNALS = (*CHANNELS, "a_norm", "g_norm")
BANDS_HZ = ((0.0, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 6.0), (6.0, 10.0), (10.0, 25.0))
_PAIRS = tuple((i, j) for i in range(6) for j in range(i))
_STATISTICS = (
    "mean", "std", "min", "max", "q25", "median", "q75", "rms", "skewness", "kurtosis", "mean_abs_diff",
    "zero_crossings_hz",
)  # fmt: skip
_SPECTRAL = (
    "dominant_hz",
    "spectral_entropy",
    *(f"log_energy_{low:g}_{high:g}_hz" for low, high in BANDS_HZ),
)
_QUARTERS = tuple(f"{what}_quarter_{i}" for what in ("mean", "std") for i in range(1, 5))

FEATURE_NAMES = (
    *(f"{signal}_{name}" for name in (*_STATISTICS, *_SPECTRAL, *_QUARTERS) for signal in SIGNALS),
    *(f"correlation_{CHANNELS[i]}_{CHANNELS[j]}" for i, j in _PAIRS),
    "valid_s",
)

_TINY = 1e-12
_TOGETHER = 64  # windows: their arrays stay in a core's cache


def handcrafted_features(
    imu: NDArray[np.floating],
    sample_mask: NDArray[np.bool_],
    channel_mask: NDArray[np.bool_],
    rate_hz: float,
) -> NDArray[np.float32]:
    """Compute features in the order of ``FEATURE_NAMES``, (N, len(FEATURE_NAMES)), all finite.

    Args:
        imu: (N, T, 6) m/s^2 and rad/s.
        sample_mask: (N, T) False where nothing was measured.
        channel_mask: (N, 6) False for channels that the device lacks.
        rate_hz: samples per second.
    """
    features = np.zeros((len(imu), len(FEATURE_NAMES)))
    for rows in _alike(sample_mask, channel_mask):
        samples, channels = sample_mask[rows[0]], channel_mask[rows[0]]
        valid = np.flatnonzero(samples)
        if valid.size:
            part = slice(valid[0], valid[-1] + 1)
            features[rows] = _of_windows(imu[rows, part].astype(np.float64), samples[part], channels, rate_hz)
    return features.astype(np.float32)


def _alike(sample_mask: NDArray[np.bool_], channel_mask: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """Numbers of windows with the same masks, at most ``_TOGETHER`` at a time: they are computed at once."""
    groups: dict[bytes, list[int]] = {}
    for row, (samples, channels) in enumerate(zip(sample_mask, channel_mask, strict=True)):
        groups.setdefault(samples.tobytes() + channels.tobytes(), []).append(row)
    for rows in groups.values():
        for first in range(0, len(rows), _TOGETHER):
            yield np.array(rows[first : first + _TOGETHER])


def known_features(channel_mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Say which features a device can measure, (N, len(FEATURE_NAMES)); the others are 0 for want of a channel.

    Args:
        channel_mask: (N, 6) False for channels that the device lacks.
    """
    norms = [channel_mask[:, :3].any(axis=1), channel_mask[:, 3:].any(axis=1)]
    signals = np.column_stack([channel_mask, *norms])
    pairs = np.column_stack([channel_mask[:, i] & channel_mask[:, j] for i, j in _PAIRS])
    repeats = len(_STATISTICS) + len(_SPECTRAL) + len(_QUARTERS)
    return np.column_stack([np.tile(signals, repeats), pairs, np.ones(len(channel_mask), bool)])


def _of_windows(
    values: NDArray[np.float64], valid: NDArray[np.bool_], channels: NDArray[np.bool_], rate_hz: float
) -> NDArray[np.float64]:
    """Describe windows (N, T, 6) with the same masks (T,) and (6,)."""
    values = np.where(valid[:, None] & channels, values, 0.0)
    norms = [np.linalg.norm(values[..., :3], axis=2), np.linalg.norm(values[..., 3:], axis=2)]
    signals = np.concatenate([values, np.stack(norms, axis=2)], axis=2)  # (N, T, S)
    measured = signals[:, valid]
    mean = measured.mean(axis=1, keepdims=True)
    centred = np.where(valid[:, None], signals - mean, 0.0)
    parts = [
        *_statistics(measured, centred[:, valid], rate_hz),
        *_spectrum(centred, rate_hz),
        *_quarters(measured),
    ]
    # A channel that the device lacks has no features, not even those of a signal that stands still.
    known = np.array([*channels, channels[:3].any(), channels[3:].any()])
    per_signal = np.concatenate([np.where(known, part, 0.0) for part in parts], axis=1)
    seconds = np.full((len(values), 1), valid.sum() / rate_hz)
    return np.concatenate([per_signal, _correlations(centred[:, valid, :6]), seconds], axis=1)


def _statistics(
    measured: NDArray[np.float64], centred: NDArray[np.float64], rate_hz: float
) -> list[NDArray[np.float64]]:
    """Statistics of (N, V, S) over V, each (N, S)."""
    deviation = centred.std(axis=1, keepdims=True)
    z = np.where(deviation > 1e-6, centred / np.where(deviation > 1e-6, deviation, 1.0), 0.0)
    few = measured.shape[1] < 2
    steps = np.zeros_like(measured) if few else np.diff(measured, axis=1)
    positive = z >= 0
    crossings = (positive[:, 1:] != positive[:, :-1]).sum(axis=1) * rate_hz / z.shape[1]
    squares = z * z
    kurtosis = np.where(deviation[:, 0] > 1e-6, (squares * squares).mean(axis=1) - 3, 0.0)
    return [
        measured.mean(axis=1),
        deviation[:, 0],
        measured.min(axis=1),
        measured.max(axis=1),
        *np.quantile(measured, [0.25, 0.5, 0.75], axis=1),
        np.sqrt((measured**2).mean(axis=1)),
        (squares * z).mean(axis=1),
        kurtosis,
        np.abs(steps).mean(axis=1),
        crossings,
    ]


def _spectrum(centred: NDArray[np.float64], rate_hz: float) -> list[NDArray[np.float64]]:
    """Compute dominant frequency, entropy and log energies; gaps hold the mean, which adds no power."""
    n = centred.shape[1]
    if n < 4:
        return [np.zeros(centred[:, 0].shape)] * len(_SPECTRAL)
    power = np.abs(np.fft.rfft(centred * np.hanning(n)[:, None], axis=1)) ** 2 / n
    frequencies = np.fft.rfftfreq(n, 1 / rate_hz)
    total = power.sum(axis=1)
    share = power / np.maximum(total, _TINY)[:, None]
    moving = total > _TINY
    dominant = np.where(moving, frequencies[power.argmax(axis=1)], 0.0)
    entropy = -(share * np.log(share + _TINY)).sum(axis=1) / np.log(len(frequencies))
    bands = [np.log(power[:, (frequencies >= low) & (frequencies < high)].sum(axis=1) + 1e-6) for low, high in BANDS_HZ]
    return [dominant, np.where(moving, entropy, 0.0), *bands]


def _quarters(measured: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    quarters = np.array_split(measured, 4, axis=1)
    zero = np.zeros(measured[:, 0].shape)
    return [
        *(q.mean(axis=1) if q.shape[1] else zero for q in quarters),
        *(q.std(axis=1) if q.shape[1] else zero for q in quarters),
    ]


def _correlations(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlate (N, V, 6): each pair's, (N, pairs)."""
    covariance = centred.transpose(0, 2, 1) @ centred
    norms = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    products = norms[:, :, None] * norms[:, None, :]
    correlation = np.where(products > 1e-9, covariance / np.maximum(products, 1e-9), 0.0)
    first, second = zip(*_PAIRS, strict=True)
    return np.asarray(correlation[:, list(first), list(second)])
