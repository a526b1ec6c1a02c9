"""How well two many-channel signals go together at every lag, and how sure the best lag is.

At each lag the first signal's channels are compared with all linear mixtures of the second's: the canonical
correlations (Hotelling 1936) say how much they share, whatever the axes and scales of either, and for Gaussian
signals ``-1/2 sum log(1 - rho^2)`` is their mutual information in nats a sample. Its maximum over the lags is the
offset; what unrelated signals of the same kind reach is learnt from lags that are far too large to be true.

Samples are weighted so that a single event counts for less: a fall or a knock against the sensor holds more energy
than minutes of walking, and two of them that happen to lie close in time look like proof, as at the end of any two
recordings of one protocol. (A really violent one still does.)

What a lag needs are sums over the samples that both have, so stretches of a recording add up, and gaps count for
nothing.

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

RIDGE = 1e-6  # of a channel's variance over the whole signal; keeps still stretches from dividing by nothing
_EVENT_SAMPLES = 50.0  # standard deviation of the window in which a signal's liveliness is measured
_LEAST_SHARE = 0.5  # a lag counts if this share of the samples that the best lag has are compared


@dataclass(frozen=True)
class Signal:
    """A signal on the common grid; ``values`` (N, C) are zero where ``valid`` (N,) is False."""

    values: FloatArray
    valid: BoolArray

    def weights(self) -> FloatArray:
        """(N,) of mean 1 over the valid samples, 0 elsewhere: small where the signal is livelier than most of the time.

        Weights of one of two signals, the same at every lag, leave a linear relation between them what it is.
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
    """Sums over the samples that are compared at each lag; they can be added, lag by lag.

    Attributes:
        count: (L,) samples; all sums are weighted, with a mean weight of 1 (``Signal.weights``).
        first: (L, C) sums, C = V + I.
        second: (L, C, C) sums of products.
        variance: (C,) of each channel over all of its samples, times ``weight``.
        weight: samples that ``variance`` is from.
    """

    count: FloatArray
    first: FloatArray
    second: FloatArray
    variance: FloatArray
    weight: float

    def at(self, lags: NDArray[np.int64]) -> Moments:
        """Those of some lags, by their place."""
        return Moments(self.count[lags], self.first[lags], self.second[lags], self.variance, self.weight)


def add(moments: Sequence[Moments]) -> Moments:
    """The moments of all stretches together."""
    return Moments(
        np.sum([m.count for m in moments], axis=0),
        np.sum([m.first for m in moments], axis=0),
        np.sum([m.second for m in moments], axis=0),
        np.sum([m.variance for m in moments], axis=0),
        float(sum(m.weight for m in moments)),
    )


def lagged_moments(seen: Signal, measured: Signal) -> Moments:
    """Moments at all N circular lags: at lag l, ``seen[n]`` meets ``measured[n - l]``.

    Args:
        seen: (N, V).
        measured: (N, I) on the same grid.
    """
    n, v = seen.values.shape  # the caller chooses an n that the transform is quick at
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
    """Of all channels, each scaled by its deviation over the whole signal.

    Returns:
        (L,) at which lags enough samples are compared, and (the number of these, C, C).
    """
    best = moments.count.max(initial=0.0)
    enough = np.asarray(moments.count >= max(_LEAST_SHARE * best, 2.0 * moments.first.shape[1]))
    if moments.weight == 0:
        enough[:] = False
    count = moments.count[enough, None]
    mean = moments.first[enough] / count
    covariance = moments.second[enough] / count[..., None] - mean[:, :, None] * mean[:, None, :]
    scale = deviations(moments)
    return enough, covariance / (scale[:, None] * scale[None, :]) + RIDGE * np.eye(len(scale))


def deviations(moments: Moments) -> FloatArray:
    """(C,) of each channel over the whole signal; 1 for a channel that never changes."""
    scale = np.sqrt(moments.variance / (moments.weight or 1.0))
    scale[scale == 0] = 1.0
    return np.asarray(scale)


def information(moments: Moments, seen_channels: int) -> FloatArray:
    """Mutual information in nats a sample at each lag, (L,); NaN where too few samples are compared."""
    v = seen_channels
    enough, covariance = covariances(moments)
    result = np.full(len(moments.count), np.nan)
    whole = np.linalg.slogdet(covariance)[1]
    parts = np.linalg.slogdet(covariance[:, :v, :v])[1] + np.linalg.slogdet(covariance[:, v:, v:])[1]
    result[enough] = np.maximum(0.5 * (parts - whole), 0.0)
    return result


@dataclass(frozen=True)
class Peak:
    """The best lag and how sure it is.

    Attributes:
        offset_s: seconds.
        correlation: one number for the strength: the correlation of two signals with this mutual information.
        p_value: chance that signals that have nothing to do with each other show such a peak in the range.
        share: of the likelihood over the range, what lies within ``near_s`` of the peak; low where a second peak,
            of a walker's next step say, is almost as high.
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
    """The lag with the most information.

    Args:
        lags_s: (L,) ascending by equal steps: the range that is searched.
        curve: (L,) their information, NaN where unknown.
        unrelated: information at lags that can't be true, NaN where unknown.
        channels: V and I.
        near_s: what still counts as the same peak.
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
    # Of n independent samples that share nothing, 2 n times the information is chi-squared with V * I degrees of
    # freedom; neighbouring samples aren't independent, so n is what makes the mean fit. Gait repeats itself and
    # scatters more than that: then the gamma distribution with the variance that was found has the longer tail.
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
    """Lags over which a curve stays alike: the first at which its correlation with itself falls below a half."""
    filled = np.where(np.isfinite(curve), curve, np.nanmean(curve))
    centred = filled - filled.mean()
    own = np.correlate(centred, centred, mode="full")[len(centred) - 1 :]
    below = np.flatnonzero(own < 0.5 * own[0])
    return 2.0 * float(below[0]) if below.size else float(len(curve))
