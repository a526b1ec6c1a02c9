"""Faults that only a whole recording tells, seen stretch by stretch: axes that hang, and time without wear.

The rules are those of the build and of ``check_import``.

Shape legend: W windows, K stretches of time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import ImuStream
from datamodules.signal import BoolArray
from datamodules.windows.quality.possible import without_impossible
from datamodules.windows.quality.stationary import RestFinder, non_wear
from datamodules.windows.quality.stuck import HungFinder


class Watch:
    """Looks at the stretches of one recording; keeps none of them."""

    def __init__(self) -> None:
        self._axes, self._rest = HungFinder(), RestFinder()
        self._step = 0.0
        self.begin = self.end = float("nan")  # of the samples, seconds

    def see(self, stretch: ImuStream) -> None:
        """Look at the next stretch."""
        possible, _ = without_impossible(stretch)
        self._axes.add(possible.times, possible.values)
        self._rest.add(possible.times, possible.values[:, :3])
        if np.isnan(self.begin):
            self.begin = float(stretch.times[0])
            self._step = float(np.median(np.diff(stretch.times))) if stretch.times.size > 1 else 0.0
        self.end = float(stretch.times[-1])

    def dead(self) -> tuple[str, ...]:
        """Axes that never change while others of their sensor do, in words."""
        return tuple(hung.describe() for hung in self._axes.found().stretches if hung.dead)

    def hangs(self, starts: NDArray[np.float64], duration_s: float) -> BoolArray:
        """(W,) windows in which an axis hangs, so that the build would leave them out."""
        hung = self._axes.found()
        found: BoolArray = np.zeros(len(starts), bool)
        if not hung.stretches:
            return found
        firsts = np.maximum(starts, self.begin)
        lasts = np.minimum(starts + duration_s - self._step, self.end)
        for i, (first, last) in enumerate(zip(firsts.tolist(), lasts.tolist(), strict=True)):
            found[i] = hung.within(first, last) is not None
        return found

    def not_worn(self) -> NDArray[np.float64]:
        """(K, 2) stretches in which the sensor was not worn, seconds."""
        return np.array(non_wear(self._rest.found()), np.float64).reshape(-1, 2)
