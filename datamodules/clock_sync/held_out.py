"""Prediction of held-out seconds: whether the relation at the best lag holds where it was not fitted.

With twelve channels and ten seconds, canonical correlations are high at every lag: each lag fits its own mixture. So
the recording is divided into folds of about a second. At each lag the mixtures are fitted to all folds but one, and
judged on that one. A chance fit predicts nothing there, and an event that two strangers share is one fold of many. The
best lag is then compared with all others: those within the search, impossibly large ones, and the sensor's data run
backwards. In a steady walk these predict well too, and the best lag hardly exceeds them.

Shape legend: F folds, L lags, V and I channels of the two signals, C = V + I, K = min(V, I), n samples of a fold.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.clock_sync.correlation import LEAST_SHARE, RIDGE, Signal
from datamodules.clock_sync.motion_signals import RATE_HZ
from datamodules.recording import FloatArray

FOLD_S = 1.0
EVENT_S = 3.0  # a fall, with the filters' memory
_MOST_FOLDS = 30  # over all windows; longer folds beyond
_LEAST_FOLDS = 4
_STEP = 2  # samples between the lags that are compared
_NEAR = 4  # samples; the best lag is looked for this close to the offset
_PEAK = 15  # samples; lags further away than this are other lags
_FAR_STEP = 5  # samples between impossible lags
_MOST_FAR = 250  # impossible lags of each kind
_FLATTEN = 1e-3  # share of the largest variance that is added to all directions before whitening
_MOST_CORRELATION = 0.9999


def margin(pairs: Sequence[tuple[Signal, Signal]], shifts: Sequence[int], reach: int, guard: int, peak: float) -> float:
    """Compare what the best lag predicts of held-out seconds with what any other lag does.

    Args:
        pairs: both signals of each window, on the grid of the window.
        shifts: lags to add in each window, for a drift.
        reach: largest lag of the search, samples.
        guard: lags up to this are neither possible nor impossible, samples.
        peak: the best lag, samples.

    Returns:
        Information at the best lag divided by the largest information of all other lags; 0 if nothing can be compared.
        For a chance peak it is about 1 or less.
    """
    lengths = [int(seen.valid.sum()) for seen, _ in pairs]
    count = min(_MOST_FOLDS, round(sum(lengths) / (FOLD_S * RATE_HZ)))
    folds = max(1, round(count / max(len(pairs), 1)))
    if folds * len(pairs) < _LEAST_FOLDS:
        return 0.0
    near = np.arange(-reach, reach + 1, _STEP)
    size = min(len(seen.valid) for seen, _ in pairs)
    far, backwards = _spread(guard + 1, size - guard), _spread(0, size)
    possible, impossible, reversed_ = [], [], []
    for (seen, measured), shift in zip(pairs, shifts, strict=True):
        turned = Signal(measured.values[::-1], measured.valid[::-1])
        for part in _folds(seen, folds):
            possible.append(_sums(part, measured, near + shift))
            impossible.append(_sums(part, measured, far))
            reversed_.append(_sums(part, turned, backwards))
    channels = pairs[0][0].values.shape[1]
    event = math.ceil(EVENT_S * RATE_HZ * len(possible) / sum(lengths))
    if event >= len(possible) - 1:
        return 0.0
    curve, *others = (predicted(np.stack(sums), channels, event) for sums in (possible, impossible, reversed_))
    away = np.abs(near - peak)
    best = np.nanmax(np.where(away <= _NEAR, curve, 0.0), initial=0.0)
    others.append(curve[away > _PEAK])
    most = max(float(np.nanmax(other, initial=0.0)) for other in others)
    return float(best / most) if most > 0 else 0.0


def _spread(first: int, end: int) -> NDArray[np.int64]:
    return np.arange(first, end, max(_FAR_STEP, -(-(end - first) // _MOST_FAR)), dtype=np.int64)


def _folds(seen: Signal, folds: int) -> Iterator[tuple[int, FloatArray, FloatArray]]:
    """Yield the first sample of each fold, its values (n, V) and its weights (n,)."""
    valid = np.flatnonzero(seen.valid)
    if valid.size == 0:
        return
    weights = seen.weights()
    edges = np.linspace(int(valid[0]), int(valid[-1]) + 1, folds + 1).round().astype(int).tolist()
    for begin, end in itertools.pairwise(edges):
        yield begin, seen.values[begin:end], weights[begin:end]


def _sums(part: tuple[int, FloatArray, FloatArray], measured: Signal, lags: NDArray[np.int64]) -> FloatArray:
    """Sum products of 1 and all channels over one fold, (L, C + 1, C + 1); the first row counts and sums."""
    begin, values, weights = part
    v, channels = values.shape[1], values.shape[1] + measured.values.shape[1]
    places = (begin + np.arange(len(values)) - lags[:, None]) % len(measured.valid)
    both = weights * measured.valid[places]  # (L, n)
    own = np.concatenate([np.ones((len(values), 1)), values], axis=1)
    lagged = measured.values[places]  # (L, n, I), 0 where not valid
    sums = np.empty((len(lags), channels + 1, channels + 1))
    sums[:, : v + 1, : v + 1] = (both @ (own[:, :, None] * own[:, None, :]).reshape(len(own), -1)).reshape(
        -1, v + 1, v + 1
    )
    sums[:, : v + 1, v + 1 :] = (own * weights[:, None]).T @ lagged
    sums[:, v + 1 :, : v + 1] = sums[:, : v + 1, v + 1 :].transpose(0, 2, 1)
    sums[:, v + 1 :, v + 1 :] = (lagged * weights[:, None]).transpose(0, 2, 1) @ lagged
    return sums


def predicted(sums: FloatArray, seen_channels: int, event: int) -> FloatArray:
    """Compute the information about held-out folds at each lag.

    Args:
        sums: (F, L, C + 1, C + 1) from each fold.
        seen_channels: V.
        event: folds in a row that a single event fills; the information is that without them.

    Returns:
        (L,) nats per sample, from the held-out canonical correlations; NaN at lags that compare too few samples.
    """
    v = seen_channels
    whole = sums.sum(axis=0)
    scale = np.sqrt(np.maximum(np.diagonal(whole, axis1=1, axis2=2)[:, 1:].max(axis=0, initial=0.0), 1e-300))
    unit = np.concatenate([[1.0], scale])
    sums, whole = sums / (unit[:, None] * unit), whole / (unit[:, None] * unit)
    best = whole[:, 0, 0].max(initial=0.0)
    enough = whole[:, 0, 0] >= max(LEAST_SHARE * best, 1e-9)
    width = min(v, len(scale) - v)
    parts = np.empty((3, len(sums), whole.shape[0], width))  # products, power of the seen, power of the measured
    for k, fold in enumerate(sums):
        rest = whole - fold
        mean = rest[:, 0, 1:] / np.maximum(rest[:, :1, 0], 1e-9)
        covariance = _central(rest, mean)
        mix_seen, mix_measured = _canonical(covariance, v)
        held = _central(fold, mean)
        parts[0, k] = ((held[:, :v, v:] @ mix_measured) * mix_seen).sum(axis=1)
        parts[1, k] = ((held[:, :v, :v] @ mix_seen) * mix_seen).sum(axis=1)
        parts[2, k] = ((held[:, v:, v:] @ mix_measured) * mix_measured).sum(axis=1)
    return np.where(enough, _without_an_event(parts, event), np.nan)


def _without_an_event(parts: FloatArray, event: int) -> FloatArray:
    """Compute the least information, (L,), that is left when any ``event`` folds in a row are left out.

    Args:
        parts: (3, F, L, K) products of the canonical mixtures, and the powers of both signals.
        event: folds that a single event fills.
    """
    sums = np.concatenate([np.zeros_like(parts[:, :1]), parts.cumsum(axis=1)], axis=1)
    left = sums[:, -1:] - (sums[:, event:] - sums[:, :-event])
    size = np.sqrt(np.maximum(left[1], 0.0) * np.maximum(left[2], 0.0))
    correlations = np.divide(left[0], size, out=np.zeros_like(size), where=size > 0)
    # A negative correlation predicts wrongly, which is no information.
    correlations = np.clip(correlations, 0.0, _MOST_CORRELATION)
    return np.asarray((-0.5 * np.log1p(-(correlations**2)).sum(axis=2)).min(axis=0))


def _central(sums: FloatArray, mean: FloatArray) -> FloatArray:
    """Sum products of the channels' deviations from a mean (L, C), which may be that of other folds; (L, C, C)."""
    first, count = sums[:, 0, 1:], sums[:, 0, 0][:, None, None]
    crossed = first[:, :, None] * mean[:, None, :]
    return np.asarray(
        sums[:, 1:, 1:] - crossed - crossed.transpose(0, 2, 1) + count * mean[:, :, None] * mean[:, None, :]
    )


def _canonical(covariance: FloatArray, v: int) -> tuple[FloatArray, FloatArray]:
    """Compute the canonical mixtures of both signals, (L, V, K) and (L, I, K)."""
    whiten_seen, whiten_measured = _whitening(covariance[:, :v, :v]), _whitening(covariance[:, v:, v:])
    left, _, right = np.linalg.svd(whiten_seen @ covariance[:, :v, v:] @ whiten_measured, full_matrices=False)
    return whiten_seen @ left, whiten_measured @ right.transpose(0, 2, 1)


def _whitening(covariance: FloatArray) -> FloatArray:
    """Compute inverse square roots, (L, C, C), of covariances with a share of the largest variance added."""
    sizes, axes = np.linalg.eigh(covariance)
    sizes = np.maximum(sizes, 0.0) + _FLATTEN * sizes[:, -1:] + RIDGE * 1e-6
    return np.asarray((axes / np.sqrt(sizes)[:, None, :]) @ axes.transpose(0, 2, 1))
