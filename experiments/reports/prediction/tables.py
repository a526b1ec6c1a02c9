"""Tables of predictions: ``predictions.csv``, ``bouts.csv``, ``hours.csv``, ``days.csv``, and those of the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from core.durable import write_text
from core.shown_text import csv_text
from experiments.evaluation.timeline import GAP, NON_WEAR, UNSURE, Bout, Row
from experiments.inference.summary import Clock, Spent
from experiments.reports.shared.table import Table
from experiments.reports.shared.words import duration

PREDICTIONS, BOUTS, HOURS, DAYS = "predictions.csv", "bouts.csv", "hours.csv", "days.csv"
COLUMNS = ("recording", "start", "end", "activity", "probability", "status", "reason", "clock")
_WITHOUT_ACTIVITY = (UNSURE, NON_WEAR, GAP)
_LONGEST = 20  # bouts on the page


def labels_of(classes: Sequence[str]) -> list[str]:
    """The columns of sums of time: activities, then what is there instead of one."""
    return [*classes, *_WITHOUT_ACTIVITY]


def write_tables(
    folder: Path,
    rows: Sequence[Row],
    bouts: Sequence[Bout],
    hours: Sequence[Spent],
    days: Sequence[Spent],
    clocks: Mapping[str, Clock],
    classes: Sequence[str],
) -> list[Path]:
    """Write all tables; returns their paths. Times are seconds on the recording's clock, ``clock`` is for people."""
    labels = labels_of(classes)
    tables: dict[str, tuple[Sequence[str], Iterable[Sequence[object]]]] = {
        PREDICTIONS: (COLUMNS, (_row(row, clocks[row.recording]) for row in rows)),
        BOUTS: (
            ("recording", "activity", "start", "end", "seconds", "windows", "probability", "clock"),
            (
                (
                    b.recording,
                    b.activity,
                    _seconds(b.start),
                    _seconds(b.end),
                    _seconds(b.end - b.start),
                    b.windows,
                    f"{b.probability:.4f}",
                    clocks[b.recording].text(b.start),
                )
                for b in bouts
            ),
        ),
        HOURS: (("recording", "hour", *labels), (_sum(spent, labels) for spent in hours)),
        DAYS: (("recording", "day", *labels), (_sum(spent, labels) for spent in days)),
    }
    paths = []
    for name, (header, content) in tables.items():
        write_text(folder / name, csv_text(header, content))
        paths.append(folder / name)
    return paths


def days_table(days: Sequence[Spent], classes: Sequence[str]) -> Table:
    """Time in each activity, one row a day."""
    labels = [name for name in labels_of(classes) if any(spent.seconds.get(name) for spent in days)]
    rows = tuple(
        (f"{s.recording}, {s.unit}", *(duration(s.seconds[n]) if s.seconds.get(n) else "" for n in labels))
        for s in days
    )
    return Table("Time by day", "recording", tuple(labels), rows, "Every hour is in hours.csv.")


def bouts_table(bouts: Sequence[Bout], clocks: Mapping[str, Clock], classes: Sequence[str]) -> Table:
    """Number, median and longest bout of each activity."""
    rows = []
    for name in classes:
        mine = sorted((b for b in bouts if b.activity == name), key=lambda b: b.end - b.start)
        if mine:
            longest = mine[-1]
            lengths = [b.end - b.start for b in mine]
            rows.append(
                (
                    name,
                    f"{len(mine):,}",
                    duration(lengths[len(lengths) // 2]),
                    duration(lengths[-1]),
                    f"{longest.recording}, {clocks[longest.recording].text(longest.start)}",
                )
            )
    columns = ("bouts", "middle length", "longest", "when")
    return Table("Bouts", "activity", columns, tuple(rows), "Every bout is in bouts.csv.")


def _row(row: Row, clock: Clock) -> tuple[object, ...]:
    probability = "" if math.isnan(row.probability) else f"{row.probability:.4f}"
    times = (_seconds(row.start), _seconds(row.end))
    return (row.recording, *times, row.activity, probability, row.status, row.reason, clock.text(row.start))


def _sum(spent: Spent, labels: Sequence[str]) -> tuple[object, ...]:
    return (spent.recording, spent.unit, *(_seconds(spent.seconds.get(name, 0.0)) for name in labels))


def _seconds(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
