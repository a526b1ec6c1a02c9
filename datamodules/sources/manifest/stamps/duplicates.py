"""Rows that were written twice: the same stamp and the same values once more.

Samples of a coarse sensor at rest may be alike, and so may stamps that were cut to whole seconds. Rows count as written
twice only where next to all samples that share a stamp share all their values, and samples with stamps of their own
hardly ever do. Where a file begins anew from its first row on, the logger may have been started again: that is left to
:mod:`order`.

Shape legend: N samples, C columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray

_ALIKE = 0.95  # of the samples that share a stamp
_START = 50  # samples from the first one to its double; a nearer one is no new start
_BY_CHANCE = 0.05  # of the samples that follow each other by stamps of their own


def written_twice(times: FloatArray, values: Sequence[FloatArray]) -> NDArray[np.int64]:
    """Samples that are there before, none where that is not certain.

    Args:
        times: (N,) seconds, in the file's order.
        values: (N, C) of each sensor; NaN equals NaN.
    """
    none: NDArray[np.int64] = np.empty(0, np.int64)
    steps = np.diff(times)
    if (steps > 0).all():
        return none
    order = np.argsort(times, kind="stable")
    same = np.flatnonzero(np.diff(times[order]) == 0)
    first, again = order[same], order[same + 1]
    if not same.size or bool(((first == 0) & (again - first > _START)).any()):
        return none
    alike = _alike(values, first, again)
    rising = np.flatnonzero(steps > 0)
    by_chance = float(_alike(values, rising, rising + 1).mean()) if rising.size else 1.0
    if alike.mean() < _ALIKE or by_chance > _BY_CHANCE:
        return none
    return np.sort(again[alike])


def _alike(values: Sequence[FloatArray], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.ones(a.size, bool)
    for array in values:
        for column in array.T:
            found &= (column[a] == column[b]) | (np.isnan(column[a]) & np.isnan(column[b]))
    return found
