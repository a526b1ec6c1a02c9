"""How well an order mixes recordings: pairs of windows of one recording that meet in a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datamodules.sampling.order import BatchPlan


def same_recording_pairs(plan: BatchPlan, recordings: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
    """Pairs of windows of one recording in each batch of an epoch, (batches,).

    Args:
        plan: of one process.
        recordings: number of each window's recording, (N,).
        epoch: 0, 1, ...
    """
    pairs = []
    for windows in plan.batches(epoch, 0, len(plan)):
        counts = np.unique(recordings[windows], return_counts=True)[1]
        pairs.append(int((counts * (counts - 1) // 2).sum()))
    return np.array(pairs, np.int64)


def expected_pairs(recordings: NDArray[np.int64], batch_size: int) -> float:
    """Their mean under a uniform shuffle, in closed form.

    Any two windows of a batch are any two windows: the chance that they share a recording is
    sum of n_r (n_r - 1) over recordings r, divided by N (N - 1).
    """
    counts = np.unique(recordings, return_counts=True)[1].astype(np.float64)
    n = counts.sum()
    return float(batch_size * (batch_size - 1) / 2 * (counts * (counts - 1)).sum() / (n * (n - 1)))
