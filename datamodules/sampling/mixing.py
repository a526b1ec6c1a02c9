"""A measure of how well an order mixes recordings: pairs of windows of one recording in the same batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datamodules.sampling.order import BatchPlan


def same_recording_pairs(plan: BatchPlan, recordings: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
    """Count the pairs of windows of one recording in each batch of an epoch, (batches,).

    Args:
        plan: the batches of one process.
        recordings: number of each window's recording, (N,).
        epoch: 0, 1, ...
    """
    pairs = []
    for windows in plan.batches(epoch, 0, len(plan)):
        counts = np.unique(recordings[windows], return_counts=True)[1]
        pairs.append(int((counts * (counts - 1) // 2).sum()))
    return np.array(pairs, np.int64)


def expected_pairs(recordings: NDArray[np.int64], batch_size: int) -> float:
    """Compute the expected number of such pairs per batch under a uniform shuffle, in closed form.

    Under a uniform shuffle, two windows of a batch are a uniform draw of two of the N windows. Their probability to
    share a recording is the sum of n_r (n_r - 1) over recordings r, divided by N (N - 1).

    Args:
        recordings: number of each window's recording, (N,).
        batch_size: windows in a batch.
    """
    counts = np.unique(recordings, return_counts=True)[1].astype(np.float64)
    n = counts.sum()
    return float(batch_size * (batch_size - 1) / 2 * (counts * (counts - 1)).sum() / (n * (n - 1)))
