"""Mutual information of two many-channel signals at every lag, and the confidence in the best lag.

At each lag, canonical correlations rho (Hotelling 1936) compare the channels of both signals under all linear mixtures,
so the axes and scales of the signals do not matter. For Gaussian signals, ``-1/2 sum log(1 - rho^2)`` is the mutual
information in nats per sample. The lag with the maximum is the offset. Lags that are impossibly large show the
information of unrelated signals of the same kind.

Samples are weighted to reduce the influence of single events: a fall or a knock against the sensor has more energy
than minutes of walking. Two unrelated events that lie close in time, as at the end of any two recordings of one
protocol, would look like proof. (A very violent pair still does.)

Each lag needs only sums over the samples that both signals have. So the sums of a recording's stretches can be added,
and gaps add nothing.

Shape legend: N samples of the common grid, V and I channels of the two signals, L lags.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, stats
from scipy.ndimage import gaussian_filter1d

from datamodules.recording import FloatArray
from datamodules.signal import BoolArray

RIDGE = 1e-6  # share of a channel's variance over the whole signal; prevents a division by 0 in still stretches
_EVENT_SAMPLES = 50.0  # standard deviation of the Gaussian window for a signal's energy
LEAST_SHARE = 0.5  # a lag counts if it compares at least this share of the best lag's samples


@dataclass(frozen=True)
class Signal:
    """A signal on the common grid; ``values`` (N, C) are zero where ``valid`` (N,) is False."""

    values: FloatArray
    valid: BoolArray

    def weights(self) -> FloatArray:
        """Return weights (N,) with mean 1 over the valid samples, 0 elsewhere; small where the energy is high.

        The weights of one signal are the same at every lag, so they preserve a linear relation between both signals.
        """
        flat = self.valid.astype(np.float64)
        if self.valid.sum() < 2:
            return flat
        known = self.values[self.valid]
        scale = np.maximum(known.var(axis=0), np.finfo(np.float64).tiny)
        energy = gaussian_filter1d((self.values**2 / scale).sum(axis=1) * flat, _EVENT_SAMPLES, mode="constant")
        energy /= np.maximum(gaussian_filter1d(flat, _EVENT_SAMPLES, mode="constant"), np.finfo(np.float64).eps)
        middle = float(np.median(energy[self.valid]))
        if middle <= 0:
            return flat
        weights = flat / (middle + energy)
        return np.asarray(weights / weights[self.valid].mean())


@dataclass(frozen=True)
class Moments:
    """Sums over the compared samples at each lag; moments of several stretches can be added lag by lag.

    Attributes:
        count: (L,) samples; all sums are weighted, with a mean weight of 1 (``Signal.weights``).
        first: (L, C) sums, C = V + I.
        second: (L, C, C) sums of products.
        variance: (C,) variance of each channel over all of its samples, times ``weight``.
        weight: number of samples behind ``variance``.
    """

    count: FloatArray
    first: FloatArray
    second: FloatArray
    variance: FloatArray
    weight: float

    def at(self, lags: NDArray[np.int64]) -> Moments:
        """Select the moments at some lags, by their index."""
        return Moments(self.count[lags], self.first[lags], self.second[lags], self.variance, self.weight)


def add(moments: Sequence[Moments]) -> Moments:
    """Add the moments of all stretches."""
    return Moments(
        np.sum([m.count for m in moments], axis=0),
        np.sum([m.first for m in moments], axis=0),
        np.sum([m.second for m in moments], axis=0),
        np.sum([m.variance for m in moments], axis=0),
        float(sum(m.weight for m in moments)),
    )


def lagged_moments(seen: Signal, measured: Signal) -> Moments:
    """Compute moments at all N circular lags: lag l compares ``seen[n]`` with ``measured[n - l]``.

    Args:
        seen: (N, V).
        measured: (N, I) on the same grid.
    """
    n, v = seen.values.shape  # the caller chooses an n for which the Fourier transform is fast
    c = v + measured.values.shape[1]
    weights, ones_measured = seen.weights(), measured.valid.astype(np.float64)
    weighted = weights[:, None] * seen.values
    f_seen = fft.rfft(weighted, axis=0)
    f_measured = fft.rfft(measured.values, axis=0).conj()
    f_one_seen, f_one_measured = fft.rfft(weights), fft.rfft(ones_measured).conj()

    def back(spectrum: NDArray[np.complex128]) -> FloatArray:
        return np.asarray(fft.irfft(spectrum, n=n, axis=0), dtype=np.float64)

    count = back(f_one_seen * f_one_measured)
    first = np.concatenate([back(f_seen * f_one_measured[:, None]), back(f_one_seen[:, None] * f_measured)], axis=1)
    second = np.empty((n, c, c))
    for a in range(c):
        for b in range(a, c):
            if b < v:
                product = back(fft.rfft(weighted[:, a] * seen.values[:, b]) * f_one_measured)
            elif a >= v:
                own = measured.values[:, a - v] * measured.values[:, b - v]
                product = back(f_one_seen * fft.rfft(own).conj())
            else:
                product = back(f_seen[:, a] * f_measured[:, b - v])
            second[:, a, b] = second[:, b, a] = product
    variance = np.concatenate([(weighted * seen.values).sum(axis=0), (measured.values**2).sum(axis=0)])
    variance = variance / np.repeat([weights.sum() or 1.0, ones_measured.sum() or 1.0], [v, c - v])
    weight = float(weights.sum())
    return Moments(count, first, second, variance * weight, weight)


def covariances(moments: Moments) -> tuple[BoolArray, FloatArray]:
    """Compute the covariances of all channels, each scaled by its deviation over the whole signal.

    Returns:
        Mask (L,) of the lags that compare enough samples, and the covariances at these lags, (number of them, C, C).
    """
    best = moments.count.max(initial=0.0)
    enough = np.asarray(moments.count >= max(LEAST_SHARE * best, 2.0 * moments.first.shape[1]))
    if moments.weight == 0:
        enough[:] = False
    count = moments.count[enough, None]
    mean = moments.first[enough] / count
    covariance = moments.second[enough] / count[..., None] - mean[:, :, None] * mean[:, None, :]
    scale = deviations(moments)
    return enough, covariance / (scale[:, None] * scale[None, :]) + RIDGE * np.eye(len(scale))


def deviations(moments: Moments) -> FloatArray:
    """Return the standard deviation (C,) of each channel over the whole signal; 1 for a constant channel."""
    scale = np.sqrt(moments.variance / (moments.weight or 1.0))
    scale[scale == 0] = 1.0
    return np.asarray(scale)


def information(moments: Moments, seen_channels: int) -> FloatArray:
    """Compute the mutual information at each lag, (L,), nats per sample; NaN where too few samples are compared."""
    v = seen_channels
    enough, covariance = covariances(moments)
    result = np.full(len(moments.count), np.nan)
    whole = np.linalg.slogdet(covariance)[1]
    parts = np.linalg.slogdet(covariance[:, :v, :v])[1] + np.linalg.slogdet(covariance[:, v:, v:])[1]
    result[enough] = np.maximum(0.5 * (parts - whole), 0.0)
    return result


@dataclass(frozen=True)
class Peak:
    """The best lag and its confidence.

    Attributes:
        offset_s: best lag, seconds.
        correlation: correlation of two one-channel signals with the same mutual information, 0 to 1.
        p_value: probability that unrelated signals show such a peak in the range.
        share: share of the likelihood over the range that lies within ``near_s`` of the peak; low if a second peak,
            e.g. at the next step of a walk, is almost as high.
        confidence: ``(1 - p_value) * share``.
    """

    offset_s: float
    correlation: float
    p_value: float
    share: float
    confidence: float


NOTHING = Peak(math.nan, 0.0, 1.0, 0.0, 0.0)


def find_peak(
    lags_s: FloatArray, curve: FloatArray, unrelated: FloatArray, channels: tuple[int, int], near_s: float = 0.1
) -> Peak:
    """Find the lag with the most information.

    Args:
        lags_s: (L,) lags to search, ascending by equal steps, seconds.
        curve: (L,) information at these lags, NaN where unknown.
        unrelated: information at impossible lags, NaN where unknown.
        channels: V and I.
        near_s: half width of a peak, seconds.
    """
    known = np.isfinite(curve)
    unrelated = unrelated[np.isfinite(unrelated)]
    if known.sum() < 3 or unrelated.size < 3 or unrelated.mean() <= 0:
        return NOTHING
    best = int(np.nanargmax(curve))
    if best in (0, len(curve) - 1) or not (known[best - 1] and known[best + 1]):
        offset = float(lags_s[best])
    else:
        offset = float(lags_s[best]) + float(lags_s[1] - lags_s[0]) * _vertex(*curve[best - 1 : best + 2])
    # For n independent samples of unrelated signals, 2 n times the information is chi-squared with V * I degrees of
    # freedom. Neighbouring samples are dependent, so choose n to fit the mean. The information of gait, which is
    # periodic, varies more; then use a gamma distribution with the observed variance, which has a longer tail.
    degrees = channels[0] * channels[1]
    mean, variance = float(unrelated.mean()), float(unrelated.var())
    independent = degrees / (2 * mean)
    shape = min(degrees / 2, mean**2 / max(variance, 1e-300))
    trials = max(1.0, known.sum() / _width(curve))
    tail = float(stats.gamma.logsf(curve[best], shape, scale=mean / shape))
    p_value = -math.expm1(-trials * math.exp(tail))
    likelihood = np.exp(independent * (np.where(known, curve, -np.inf) - curve[best]))
    share = float(likelihood[np.abs(lags_s - offset) <= near_s].sum() / likelihood.sum())
    correlation = math.sqrt(-math.expm1(-2 * float(curve[best])))
    return Peak(offset, correlation, p_value, share, (1 - p_value) * share)


def _vertex(left: float, middle: float, right: float) -> float:
    curvature = 2 * middle - left - right
    return float(np.clip((right - left) / 2 / curvature, -0.5, 0.5)) if curvature > 0 else 0.0


def _width(curve: FloatArray) -> float:
    """Return the width of a curve's peaks in lags: twice the first lag with an autocorrelation below a half."""
    filled = np.where(np.isfinite(curve), curve, np.nanmean(curve))
    centred = filled - filled.mean()
    own = np.correlate(centred, centred, mode="full")[len(centred) - 1 :]
    below = np.flatnonzero(own < 0.5 * own[0])
    return 2.0 * float(below[0]) if below.size else float(len(curve))
