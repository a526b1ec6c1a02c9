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
from datamodules.signal import BoolArray, find_gaps, resample, resampling_matrix, samples_near


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
        kept: matrices in memory, about 1.5 MB each at 100 Hz and 5 s.
    """

    def __init__(self, after: int = 20, kept: int = 4) -> None:
        self._after, self._kept = after, kept
        self._counts: OrderedDict[tuple[object, ...], int] = OrderedDict()
        self._matrices: OrderedDict[tuple[object, ...], FloatArray] = OrderedDict()

    def __call__(
        self, times: FloatArray, values: FloatArray, at: FloatArray, rate_hz: float, max_gap_s: float
    ) -> tuple[FloatArray, BoolArray]:
        """Resample values (N, C) at ``times`` (N,) to the times ``at`` (T,); see ``signal.resample``."""
        if not at.size:
            return resample(times, values, at, rate_hz, max_gap_s)
        near = samples_near(times, at, rate_hz, max_gap_s)
        some, measured = times[near], values[near]
        whole = len(some) > 1 and some[0] <= at[0] and some[-1] >= at[-1] and bool(np.isfinite(measured).all())
        if not whole or len(find_gaps(some, max_gap_s)):
            return resample(times, values, at, rate_hz, max_gap_s)
        pattern = np.rint((some - at[0]) * 1e6)
        key = (pattern.tobytes(), at.size, rate_hz, max_gap_s)
        matrix = self._matrices.get(key)
        if matrix is None:
            if not self._worth_it(key):
                return resample(times, values, at, rate_hz, max_gap_s)
            matrix = resampling_matrix(pattern / 1e6, at - at[0], rate_hz)
            self._matrices[key] = matrix
            while len(self._matrices) > self._kept:
                self._matrices.popitem(last=False)
        return matrix @ measured, np.ones(at.size, dtype=bool)

    def _worth_it(self, key: tuple[object, ...]) -> bool:
        """Count a pattern; True from its ``after``-th window on. Only the last 64 patterns are counted."""
        count = self._counts.pop(key, 0) + 1
        self._counts[key] = count
        while len(self._counts) > 64:
            self._counts.popitem(last=False)
        return count > self._after
