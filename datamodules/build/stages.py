"""Time of a build by stage, summed over recordings and processes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

# In the order of a recording's way through the build.
STAGES = {
    "load": "reading the sensor's file and the labels",
    "check": "checking samples and labels",
    "clocks": "comparing the clocks of camera and sensor",
    "cut": "reading the video's time stamps, cutting windows and resampling the sensor",
    "decode": "decoding and scaling frames",
    "encode": "encoding frames as JPEG",
    "quality": "checking pictures and collecting facts for the report",
    "write": "writing shards and pieces of shards",
    "pack": "packing pieces into shards",
}


class StageTimes:
    """Wall-clock seconds of one process by stage.

    Stages must not nest: time in a nested ``timed`` block would count twice.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time inside the block to a stage of ``STAGES``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - started

    def each(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """Yield the items and add the time of producing them to a stage; the caller's time does not count."""
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
        """Add the seconds of a worker."""
        for stage, value in seconds.items():
            self.seconds[stage] += value


def describe(seconds: Mapping[str, float]) -> list[str]:
    """Describe each stage that took time in one line, the longest first."""
    total = sum(seconds.values())
    rows = sorted(seconds.items(), key=lambda row: -row[1])
    return [f"{value:8.1f} s {value / total:5.0%}  {stage}: {STAGES[stage]}" for stage, value in rows if value > 0]
