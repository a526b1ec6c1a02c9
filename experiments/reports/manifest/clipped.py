"""Flat tops: a sensor at the end of its range gives its largest value again and again, however the movement goes on.

A coarse sensor at rest stays at one value, too, but gets there by its smallest step. Shape legend: N samples.
"""

from __future__ import annotations

import numpy as np

from datamodules.recording import FloatArray

_RUN = 3  # samples of a flat top
_LEAST = 4  # flat tops
_STEPS = 3.0  # smallest steps by which they are reached


def clipped_share(values: FloatArray) -> float:
    """Share of the samples in flat tops, of the axis that has most of them.

    Args:
        values: (N, 3) of one sensor.
    """
    return max((_share(column[np.isfinite(column)]) for column in values.T), default=0.0)


def _share(column: FloatArray) -> float:
    if column.size < 2:
        return 0.0
    starts = np.flatnonzero(np.concatenate([[True], column[1:] != column[:-1]]))
    level, length = column[starts], np.diff(np.append(starts, column.size))
    steps = np.abs(np.diff(level))
    if steps.size < 2:
        return 0.0
    smallest = float(steps.min())
    share = 0.0
    for end in (float(level.max()), float(level.min())):
        tops = np.flatnonzero((level[1:-1] == end) & (length[1:-1] >= _RUN)) + 1
        sharp = tops[np.minimum(steps[tops - 1], steps[tops]) > _STEPS * smallest]
        if sharp.size >= _LEAST:
            share += float(length[sharp].sum()) / column.size
    return share
