"""What two people reach by chance who do the same things at the same time, as in two sessions of one protocol.

Lags that are far too large to be true tell how alike unrelated motion looks, but not how alike it looks where both
move at once: there, a pair of strangers shares every start, stop and fall. So the products of the two signals are
summed up by blocks of a second, and the blocks are given random signs (the wild bootstrap: Wu 1986; for two time series
Chwialkowski, Sejdinovic and Gretton 2014). How much moves when stays as it is, at every lag; what is lost is that all
blocks say the same. The most information that is left at any lag is what chance reaches.

Shape legend: B blocks, L lags, V and I channels of the two signals, R repetitions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from datamodules.clock_sync.correlation import RIDGE, Moments, Signal, covariances, deviations
from datamodules.recording import FloatArray

_BLOCK_SAMPLES = 100  # a second: longer than the signals remember, short enough for ten blocks in ten seconds
_REPETITIONS = 199
_SEED = 0  # the same pair has the same confidence whenever it is looked at


def block_products(seen: Signal, measured: Signal, reach: int, shift: int = 0) -> FloatArray:
    """Sums of products over each block: at lag l, ``seen[n]`` meets ``measured[n - l]`` (circular).

    Args:
        seen: (N, V).
        measured: (N, I) on the same grid.
        reach: lags from -reach to reach are looked at, in samples.
        shift: added to all lags, for a window that a drift has moved.

    Returns:
        (B, L, V, I), weighted as in ``correlation.lagged_moments``; their sum over the blocks is its sum of products.
        0 at lags that the shift takes out of the range, which ``drift.along`` does not count either.
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


def together(products: Sequence[FloatArray], moments: Moments, seen_channels: int, found: float) -> float:
    """Chance that two who move at the same times, and have no more in common, show so much information at some lag.

    Args:
        products: of each window, (B, L, V, I) from ``block_products``.
        moments: of all windows together, (L,).
        seen_channels: V.
        found: the most information of any lag, nats a sample.

    Returns:
        0 to 1. With B blocks it is at least 2 ** (1 - B): so often all signs are alike.
    """
    enough, covariance = covariances(moments)
    blocks = np.concatenate(products)[:, enough]
    if len(blocks) == 0 or not enough.any():
        return 1.0
    v = seen_channels
    # In the axes in which either signal is white, the products are canonical correlations. Both have no slow level, so
    # that their means, which go with the signs, are left out.
    scale = deviations(moments)
    blocks = blocks / (moments.count[enough, None, None] * scale[:v, None] * scale[None, v:])
    white = _whitening(covariance[:, :v, :v]) @ blocks @ _whitening(covariance[:, v:, v:])
    if v > white.shape[3]:
        white = white.transpose(0, 1, 3, 2)
    signs = np.random.default_rng(_SEED).choice([-1.0, 1.0], size=(_REPETITIONS, len(white)))
    mixed = (signs @ white.reshape(len(white), -1)).reshape(_REPETITIONS, *white.shape[1:])
    rest = np.linalg.det(np.eye(mixed.shape[2]) - mixed @ mixed.transpose(0, 1, 3, 2))
    most = (-0.5 * np.log(np.clip(rest, np.finfo(np.float64).tiny, 1.0))).max(axis=1)
    # The largest of many: a Gumbel distribution, by its moments.
    width = max(float(most.std()), np.finfo(np.float64).tiny) * math.sqrt(6) / math.pi
    middle = float(most.mean()) - np.euler_gamma * width
    tail = -math.expm1(-math.exp(min((middle - found) / width, 700.0)))
    return max(tail, 2.0 ** (1 - len(white)))


def _whitening(covariance: FloatArray) -> FloatArray:
    """Inverse square roots, (L, C, C)."""
    sizes, axes = np.linalg.eigh(covariance)
    # By the ridge none is smaller, but for rounding.
    return np.asarray((axes / np.sqrt(np.maximum(sizes, RIDGE))[:, None, :]) @ axes.transpose(0, 2, 1))
