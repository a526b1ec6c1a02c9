"""Chance level of two signals that move at the same times, e.g. of two people in sessions of one protocol.

Impossibly large lags show the similarity of unrelated motion at different times. They do not show it for motion at the
same time: two unrelated people in one protocol share every start, stop and fall. So the products of the two signals
are summed by blocks of a second, and each block gets a random sign (the wild bootstrap: Wu 1986; for two time series
Chwialkowski, Sejdinovic and Gretton 2014). The signs keep the amount of motion at each time and lag, and destroy the
agreement between the blocks. The largest remaining information at any lag is the chance level.

Shape legend: B blocks, L lags, V and I channels of the two signals, R repetitions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from datamodules.clock_sync.correlation import RIDGE, Moments, Signal, covariances, deviations
from datamodules.recording import FloatArray

_BLOCK_SAMPLES = 100  # a second: longer than the signals' memory, short enough for ten blocks in ten seconds
_REPETITIONS = 199
_SEED = 0  # fixed, so that repeated estimates of a pair have the same confidence


def block_products(seen: Signal, measured: Signal, reach: int, shift: int = 0) -> FloatArray:
    """Sum products over each block: at lag l, ``seen[n]`` times ``measured[n - l]`` (circular).

    Args:
        seen: (N, V).
        measured: (N, I) on the same grid.
        reach: largest lag, samples; lags go from -reach to reach.
        shift: added to all lags, for a window that a drift has moved.

    Returns:
        (B, L, V, I), weighted as in ``correlation.lagged_moments``, whose products are the sum over the blocks.
        0 at lags that the shift moves out of the range, which ``drift.sum_along_drift`` does not count either.
    """
    valid = np.flatnonzero(seen.valid)
    channels = seen.values.shape[1], measured.values.shape[1]
    if valid.size == 0:
        return np.empty((0, 2 * reach + 1, *channels))
    weighted = seen.weights()[:, None] * seen.values
    begin, end = int(valid[0]), int(valid[-1]) + 1
    edges = np.linspace(begin, end, max(1, round((end - begin) / _BLOCK_SAMPLES)) + 1).round().astype(int)
    blocks = []
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        places = np.arange(first - reach - shift, last + reach - shift) % len(seen.valid)
        lagged = np.lib.stride_tricks.sliding_window_view(measured.values[places], last - first, axis=0)[::-1]
        blocks.append(np.einsum("nv,lin->lvi", weighted[first:last], lagged, optimize=True))
    products = np.stack(blocks)
    products[:, np.abs(np.arange(-reach, reach + 1) + shift) > reach] = 0.0
    return products


def simultaneous_p_value(products: Sequence[FloatArray], moments: Moments, seen_channels: int, found: float) -> float:
    """Compute the p-value of a peak for unrelated signals that move at the same times.

    Args:
        products: products of each window, (B, L, V, I) from ``block_products``.
        moments: moments summed over all windows, (L,).
        seen_channels: V.
        found: largest information of any lag, nats per sample.

    Returns:
        Probability that such signals reach ``found`` at any lag, 0 to 1. With B blocks it is at least 2 ** (1 - B),
        the probability that all signs are equal.
    """
    enough, covariance = covariances(moments)
    blocks = np.concatenate(products)[:, enough]
    if len(blocks) == 0 or not enough.any():
        return 1.0
    v = seen_channels
    # After whitening both signals, the products are canonical correlations. The means, which the signs would change,
    # are left out: both signals are high-pass filtered.
    scale = deviations(moments)
    blocks = blocks / (moments.count[enough, None, None] * scale[:v, None] * scale[None, v:])
    white = _whitening(covariance[:, :v, :v]) @ blocks @ _whitening(covariance[:, v:, v:])
    if v > white.shape[3]:
        white = white.transpose(0, 1, 3, 2)
    signs = np.random.default_rng(_SEED).choice([-1.0, 1.0], size=(_REPETITIONS, len(white)))
    mixed = (signs @ white.reshape(len(white), -1)).reshape(_REPETITIONS, *white.shape[1:])
    rest = np.linalg.det(np.eye(mixed.shape[2]) - mixed @ mixed.transpose(0, 1, 3, 2))
    most = (-0.5 * np.log(np.clip(rest, np.finfo(np.float64).tiny, 1.0))).max(axis=1)
    # The maximum of many values follows a Gumbel distribution; fit it by its moments.
    width = max(float(most.std()), np.finfo(np.float64).tiny) * math.sqrt(6) / math.pi
    middle = float(most.mean()) - np.euler_gamma * width
    tail = -math.expm1(-math.exp(min((middle - found) / width, 700.0)))
    return max(tail, 2.0 ** (1 - len(white)))


def _whitening(covariance: FloatArray) -> FloatArray:
    """Compute inverse square roots, (L, C, C)."""
    sizes, axes = np.linalg.eigh(covariance)
    # The ridge is a lower bound of the eigenvalues, except for rounding.
    return np.asarray((axes / np.sqrt(np.maximum(sizes, RIDGE))[:, None, :]) @ axes.transpose(0, 2, 1))
