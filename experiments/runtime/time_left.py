"""The time that a whole run still takes."""

from __future__ import annotations

import time
from collections.abc import Callable


class TimeLeft:
    """An estimate from the steps since the clock was started, validation included.

    Args:
        total: steps of the whole run.
        done: steps that were done before, in an earlier part of the run.
        clock: seconds.
    """

    def __init__(self, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._first = done
        self._clock = clock
        self._started = clock()

    def seconds(self, done: int) -> float | None:
        """Estimate the seconds that are left after ``done`` steps; None before the first."""
        if done <= self._first:
            return None
        rate = (self._clock() - self._started) / (done - self._first)
        return rate * max(0, self._total - done)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the clock was started."""
        return self._clock() - self._started


def in_words(seconds: float) -> str:
    """Write a duration: ``40 s``, ``12 min``, ``2 h 10 min``, ``3 d 4 h``."""
    if seconds < 60:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"
