"""Rows of several sensors in turn, read as if they were one sensor's.

A logger that writes two devices into one file, without saying which a row is of, gives a signal that jumps between two
levels at every row. In movement a sample is nearer to the next one than to one further away. A tremor may come again
after four samples at 20 Hz, but its beat does not keep step with the samples; that of sensors in turn does.

Shape legend: N samples.
"""

from __future__ import annotations

import numpy as np

from datamodules.recording import FloatArray
from datamodules.signal import G

_MOST = 4  # sensors that take turns
_BLOCK, _BLOCKS = 120, 200  # samples of a block, a multiple of 2, 3 and 4, and how many blocks are looked at
_LEAST = 8  # blocks that tell anything
_FURTHER = 3.0  # times as far is the next row as the sensor's own next one
_LEAST_STEP = 0.05 * G  # m/s^2; below it a coarse sensor may alternate between two of its values
_IN_STEP = 0.3  # cosine between the levels of two blocks that follow each other
_SHARE = 0.8  # of the blocks in which it is so


def sensors_in_turn(values: FloatArray) -> int:
    """Count the sensors whose rows alternate; 1 where it is one sensor's signal, or can't be told.

    Args:
        values: (N, 6) m/s^2 and rad/s, in the order of the file; the acceleration alone is looked at.
    """
    blocks = len(values) // _BLOCK
    chosen = np.unique(np.linspace(0, blocks - 1, min(_BLOCKS, blocks)).astype(np.int64))
    seen = values[: blocks * _BLOCK, :3].reshape(blocks, _BLOCK, 3)[chosen]
    seen = seen[np.isfinite(seen).all(axis=(1, 2))]
    if len(seen) < _LEAST:
        return 1
    steps = {k: np.median(np.linalg.norm(seen[:, k:] - seen[:, :-k], axis=2), axis=1) for k in range(1, _MOST + 1)}
    for k in range(2, _MOST + 1):
        others = np.min([steps[j] for j in range(1, k)], axis=0)
        if np.mean((others > _FURTHER * steps[k]) & (others > _LEAST_STEP)) >= _SHARE and _keeps_step(seen, k):
            return k
    return 1


def _keeps_step(seen: FloatArray, k: int) -> bool:
    """Whether every k-th sample has the same level in one block as in the next."""
    levels = seen.reshape(len(seen), _BLOCK // k, k, 3).mean(axis=1)
    levels -= levels.mean(axis=1, keepdims=True)
    flat = levels.reshape(len(seen), -1)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    return bool(np.mean((flat[1:] * flat[:-1]).sum(axis=1) > _IN_STEP) >= _SHARE)
