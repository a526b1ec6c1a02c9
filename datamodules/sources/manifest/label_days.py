"""Labels that tell the time of day, on the day of the stamps that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datamodules.recording import ImuStream, Interval, RecordingError
from datamodules.sources.manifest import units
from datamodules.sources.manifest.spec import LabelsSpec, TimeSpec
from datamodules.sources.manifest.stamps.order import DAY_S, HOUR_S, is_there_twice


def on_day_of(
    activities: list[Interval],
    labels: LabelsSpec,
    time: TimeSpec,
    zero: float,
    streams: Sequence[ImuStream],
    path: Path,
    two_parts: bool = False,
) -> tuple[list[Interval], list[str]]:
    """Move times of day to where the stamps pass midnight, if that alone makes them fit.

    A table that is sorted by activity, and not by time, goes back within a day as if it passed midnight: of a recording
    of less than a day, each label that lies outside is put on the day on which it lies within.

    Args:
        activities: as they stand in the table, seconds.
        labels: how they are written.
        time: how the stamps are.
        zero: what the stamps show at the recording's time 0, seconds.
        streams: of the recording.
        path: of the table.
        two_parts: all its times are like 20:30.

    Returns:
        The labels, and what was done, in words.

    Raises:
        RecordingError: the stamps have dates, or count from elsewhere, and the labels tell the time of day.
    """
    if not activities or not units.is_text(labels):
        return activities, []
    if units.text_of(labels).dated:
        return (_in_its_hour(activities, labels.zone, zero, streams) if labels.zone else activities), []
    if not units.is_text(time) or units.text_of(time).dated:
        stamps = "have dates" if units.is_text(time) else "are no times of day"
        raise RecordingError(
            f"{path}: its times are times of day, those of the IMU {stamps}: nothing says on which day they were; "
            "expected dates in the labels as well (labels.unit: iso8601 or labels.format), or labels.clock: video if "
            "they count from the recording's time 0"
        )
    first, last = (min(s.times[0] for s in streams) + zero, max(s.times[-1] for s in streams) + zero)
    if two_parts and last >= HOUR_S:
        raise RecordingError(
            f"{path}: its times have two parts, as 20:30 has: hours and minutes, or minutes and seconds? expected "
            "three (20:30:00), or labels.format: '%H:%M' or '%M:%S'"
        )
    if any(i.start < last and i.end > first for i in activities):
        return _each_on_its_day(activities, first, last)
    days = float(np.floor((last - min(i.start for i in activities)) / DAY_S)) * DAY_S
    if days <= 0 or not any(i.start + days < last and i.end + days > first for i in activities):
        return activities, []
    moved = [Interval(i.start + days, i.end + days, i.activity) for i in activities]
    return moved, ["the labels begin behind midnight, as the stamps count on: they are put on that day"]


def _each_on_its_day(activities: list[Interval], first: float, last: float) -> tuple[list[Interval], list[str]]:
    """Labels outside a recording of less than a day, put within it where a number of days does so."""
    if last - first >= DAY_S:
        return activities, []
    placed, moved = [], 0
    for label in activities:
        if not (label.start < last and label.end > first):
            by = DAY_S * round(((first + last) - (label.start + label.end)) / 2 / DAY_S)
            if by and label.start + by < last and label.end + by > first:
                label = Interval(label.start + by, label.end + by, label.activity)
                moved += 1
        placed.append(label)
    if not moved:
        return activities, []
    return placed, [f"{moved} of {len(placed)} labels are put on the recording's day: rows are not in order of time"]


def _in_its_hour(activities: list[Interval], zone: str, zero: float, streams: Sequence[ImuStream]) -> list[Interval]:
    """Labels of an hour that is there twice, in the one in which the sensor measured; rows behind such a one follow."""
    first, last = (min(s.times[0] for s in streams) + zero, max(s.times[-1] for s in streams) + zero)
    placed: list[Interval] = []
    for label in activities:
        outside = not (label.start < last and label.end > first)
        back = bool(placed) and 0 < placed[-1].start - label.start < HOUR_S
        if (outside or back) and is_there_twice(label.start, zone):
            by = -HOUR_S if outside and label.start >= last else HOUR_S
            start, end = label.start + by, label.end + by * is_there_twice(label.end, zone)
            if is_there_twice(start, zone) and start < min(last, end) and end > first:
                label = Interval(start, end, label.activity)
        placed.append(label)
    return placed
