"""Predictions as one HTML page that needs no network, no server, and no other file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.durable import write_text
from experiments.evaluation.timeline import GAP, NON_WEAR, SURE, UNSURE, Bout, Row
from experiments.inference.head_facts import HeadFacts
from experiments.inference.summary import Clock, Spent
from experiments.reports.prediction.tables import bouts_table, days_table
from experiments.reports.shared.rendering import render
from experiments.reports.shared.words import duration

FILE = "predictions.html"
_HERE = Path(__file__).parent


def write_page(
    path: Path,
    head: HeadFacts,
    rows: Sequence[Row],
    bouts: Sequence[Bout],
    days: Sequence[Spent],
    clocks: Mapping[str, Clock],
    picture: Path,
    notes: Sequence[str],
    simulated: bool,
) -> None:
    """Write the page; the file appears whole or not at all.

    Args:
        path: of the page.
        head: that predicted.
        rows: of all recordings.
        bouts: of all recordings.
        days: time by day.
        clocks: recording -> its clock.
        picture: the drawn time line; its bytes go into the page.
        notes: for readers.
        simulated: a recording, or the head, is simulated.
    """
    about = dict(head.about)
    estimate = about["estimate"]
    text = render(
        "page.prediction.j2",
        _HERE,
        title=", ".join(list(clocks)[:3]) + (f" and {len(clocks) - 3} more" if len(clocks) > 3 else ""),
        simulated=simulated,
        figures=_figures(rows),
        trust=_trust(estimate),
        picture=base64.b64encode(picture.read_bytes()).decode(),
        tables=[days_table(days, head.classes), bouts_table(bouts, clocks, head.classes)],
        notes=list(notes),
        head=f"{head.method}, {len(head.classes)} activities, from {about['experiment']}: {about['target']}",
    )
    write_text(path, text)


def _figures(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Time in all, and what of it has an answer."""
    names = {SURE: "with an activity", UNSURE: "unsure", NON_WEAR: "not worn", GAP: "without usable samples"}
    spent = {status: sum(row.end - row.start for row in rows if row.status == status) for status in names}
    total = sum(spent.values())
    return [
        (duration(total), "recorded"),
        *((duration(seconds), names[status]) for status, seconds in spent.items() if seconds),
    ]


def _trust(estimate: Mapping[str, float | None]) -> str:
    """One sentence on what the answers are worth."""
    mean, low, high = estimate["mean"], estimate["low"], estimate["high"]
    if mean is None:
        return "Nobody was left out when this head was fitted: how often it is right on another person is not known."
    interval = ""
    if low is not None and high is not None:
        interval = f" (95 % interval over people: {100 * max(0, low):.0f} to {100 * min(1, high):.0f} %)"
    return (
        f"On people whom it never saw, this head recognised {100 * mean:.0f} % of the windows, averaged over"
        f" activities{interval}. On other people, sensors and days it may be less."
    )
