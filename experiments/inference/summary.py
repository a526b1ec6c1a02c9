"""Time spent in each activity, by hour and by day."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo

from experiments.evaluation.timeline import Row

_CALENDAR = 1e9  # a clock that shows more seconds counts from 1970: it is past September 2001
_HOUR_S, _DAY_S = 3600, 86400


@dataclass(frozen=True)
class Clock:
    """How a recording's seconds are told.

    Attributes:
        origin: of a recording whose clock is no calendar's: its first second.
        zone: of the calendar; None for a recording without one.
    """

    origin: float
    zone: tzinfo | None

    @classmethod
    def of(cls, start: float, zone: tzinfo) -> Clock:
        """Read the clock from a recording's first second: seconds since 1970 are a calendar's."""
        return cls(0.0, zone) if start >= _CALENDAR else cls(start, None)

    def text(self, seconds: float) -> str:
        """``2024-05-03 08:00:05``, or hours, minutes and seconds since the begin."""
        if self.zone is not None:
            return datetime.fromtimestamp(seconds, self.zone).strftime("%Y-%m-%d %H:%M:%S")
        whole = math.floor(seconds - self.origin + 1e-6)
        return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"

    def unit(self, seconds: float, length_s: int) -> tuple[str, float]:
        """The name of the hour or day that this second lies in, and the second at which it ends."""
        if self.zone is None:
            number = math.floor((seconds - self.origin) / length_s + 1e-9)
            name = f"{'hour' if length_s == _HOUR_S else 'day'} {number + 1}"
            return name, self.origin + (number + 1) * length_s
        here = datetime.fromtimestamp(seconds, self.zone)
        offset = (here.utcoffset() or timezone.utc.utcoffset(None)).total_seconds()
        number = math.floor((seconds + offset) / length_s + 1e-12)
        end = (number + 1) * length_s - offset
        return here.strftime("%Y-%m-%d %H:00" if length_s == _HOUR_S else "%Y-%m-%d"), end


@dataclass(frozen=True)
class Spent:
    """Seconds by activity (and ``unsure``, ``gap``, ``non-wear``) in one hour or day of a recording."""

    recording: str
    unit: str
    seconds: dict[str, float]


def by_hour(rows: Iterable[Row], clocks: dict[str, Clock]) -> list[Spent]:
    """Sum up by hour; a row that lies in two hours counts in both, by its share."""
    return _by(rows, clocks, _HOUR_S)


def by_day(rows: Iterable[Row], clocks: dict[str, Clock]) -> list[Spent]:
    """Sum up by day."""
    return _by(rows, clocks, _DAY_S)


def _by(rows: Iterable[Row], clocks: dict[str, Clock], length_s: int) -> list[Spent]:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        for unit, seconds in _split(row, clocks[row.recording], length_s):
            spent = found.setdefault((row.recording, unit), {})
            spent[row.label] = spent.get(row.label, 0.0) + seconds
    return [Spent(recording, unit, seconds) for (recording, unit), seconds in found.items()]


def _split(row: Row, clock: Clock, length_s: int) -> Iterator[tuple[str, float]]:
    at = row.start
    while at < row.end - 1e-9:
        unit, end = clock.unit(at, length_s)
        until = min(row.end, end)
        if until <= at:  # rounding
            until = min(row.end, at + 1e-3)
        yield unit, until - at
        at = until
