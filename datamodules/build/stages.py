"""Where the time of a build goes: seconds by stage, added up over recordings and processes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

# In the order in which a recording meets them.
STAGES = {
    "load": "reading the sensor's file and the labels",
    "check": "checking them",
    "clocks": "comparing the clocks of camera and sensor",
    "cut": "the video's time stamps, cutting and resampling the sensor's windows",
    "decode": "decoding and scaling frames",
    "encode": "frames to JPEG",
    "judge": "judging pictures and collecting facts for the report",
    "write": "writing shards, or the pieces that they are put together from",
    "pack": "pieces to shards",
}


class StageTimes:
    """Wall-clock seconds by stage of one process.

    Stages don't nest: time that a ``timed`` block spends in another one counts twice.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add what happens inside to a stage of ``STAGES``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - started

    def each(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """The same items; the time that it takes to make them counts, what is done with them does not."""
        iterator = iter(items)
        while True:
            started = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds[stage] += time.perf_counter() - started
            yield item

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add those of a worker."""
        for stage, value in seconds.items():
            self.seconds[stage] += value


def describe(seconds: Mapping[str, float]) -> list[str]:
    """One line a stage that took time, the longest first."""
    total = sum(seconds.values())
    rows = sorted(seconds.items(), key=lambda row: -row[1])
    return [f"{value:8.1f} s {value / total:5.0%}  {stage}: {STAGES[stage]}" for stage, value in rows if value > 0]
