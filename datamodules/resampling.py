"""Resampling of many windows of one recording: what repeats is computed once.

Resampling is linear. Where the samples of windows lie at the same times since each window's start, as with a steady
clock, it is one matrix for all of them.

Shape legend: N raw samples, T resampled samples, C channels.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

import numpy as np

from datamodules.recording import FloatArray
from datamodules.signal import BoolArray, has_gap, resample, resampling_matrix, samples_near

_ROWS = 50  # of a block
_NOTHING = 1e-12  # of a matrix, whose rows add up to 1


class Resampling(Protocol):
    """The signature of :func:`datamodules.signal.resample`."""

    def __call__(
        self, times: FloatArray, values: FloatArray, at: FloatArray, rate_hz: float, max_gap_s: float
    ) -> tuple[FloatArray, BoolArray]:
        """Resample values (N, C) at ``times`` (N,) to the times ``at`` (T,)."""


class RememberedResampling:
    """``signal.resample`` with a memory, for windows one behind the other.

    The first windows of a pattern of times, and all with gaps or lost samples, go through ``signal.resample`` itself.
    From then on the matrix that it amounts to is used. Times are compared by microseconds. Results differ by less than
    the accuracy of ``resample``, whose own fine grid depends on rounding.

    Args:
        after: windows of a pattern before its matrix is made, which costs as much as about 40 windows.
        kept: matrices in memory, about 0.5 MB each at 100 Hz and 5 s.
    """

    def __init__(self, after: int = 20, kept: int = 4) -> None:
        self._after, self._kept = after, kept
        self._counts: OrderedDict[tuple[object, ...], int] = OrderedDict()
        self._matrices: OrderedDict[tuple[object, ...], _Banded] = OrderedDict()

    def __call__(
        self, times: FloatArray, values: FloatArray, at: FloatArray, rate_hz: float, max_gap_s: float
    ) -> tuple[FloatArray, BoolArray]:
        """Resample values (N, C) at ``times`` (N,) to the times ``at`` (T,); see ``signal.resample``."""
        if not at.size:
            return resample(times, values, at, rate_hz, max_gap_s)
        near = samples_near(times, at, rate_hz, max_gap_s)
        some, measured = times[near], values[near]
        whole = len(some) > 1 and some[0] <= at[0] and some[-1] >= at[-1] and bool(np.isfinite(measured).all())
        if not whole or has_gap(some, max_gap_s):
            return resample(times, values, at, rate_hz, max_gap_s)
        pattern = np.rint((some - at[0]) * 1e6)
        key = (pattern.tobytes(), at.size, rate_hz, max_gap_s)
        matrix = self._matrices.get(key)
        if matrix is None:
            if not self._worth_it(key):
                return resample(times, values, at, rate_hz, max_gap_s)
            matrix = _Banded(resampling_matrix(pattern / 1e6, at - at[0], rate_hz))
            self._matrices[key] = matrix
            while len(self._matrices) > self._kept:
                self._matrices.popitem(last=False)
        return matrix.times(measured), np.ones(at.size, dtype=bool)

    def _worth_it(self, key: tuple[object, ...]) -> bool:
        """Count a pattern; True from its ``after``-th window on. Only the last 64 patterns are counted."""
        count = self._counts.pop(key, 0) + 1
        self._counts[key] = count
        while len(self._counts) > 64:
            self._counts.popitem(last=False)
        return count > self._after


class _Banded:
    """A matrix whose rows depend on few columns, as blocks of rows with the columns that they need.

    A resampled value depends on the samples within about half a second. What is left out is below ``_NOTHING``, for
    samples of size 1.
    """

    def __init__(self, matrix: FloatArray) -> None:
        self._blocks: list[tuple[slice, FloatArray]] = []
        for first in range(0, len(matrix), _ROWS):
            rows = matrix[first : first + _ROWS]
            used = np.flatnonzero(np.abs(rows).max(axis=0) > _NOTHING)
            columns = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 0)
            self._blocks.append((columns, np.ascontiguousarray(rows[:, columns])))

    def times(self, values: FloatArray) -> FloatArray:
        """The product with values (N, C)."""
        return np.concatenate([block @ values[columns] for columns, block in self._blocks])
