"""A picture of what was done when: a line a recording, or a line a day of long ones."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments.evaluation.timeline import GAP, NON_WEAR, UNSURE, Row
from experiments.inference.summary import Clock
from experiments.reports.shared.pictures import save_figure

FILE = "timeline.png"
# Okabe and Ito's palette works with any kind of colour vision; further activities take Tol's muted one.
_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#332288", "#117733",
    "#882255", "#44AA99", "#999933", "#AA4499", "#DDCC77", "#88CCEE", "#661100",
)  # fmt: skip
_INSTEAD = {UNSURE: "#DDDDDD", NON_WEAR: "#BBBBBB", GAP: "#FFFFFF"}
_MOST_LINES = 60
_DAY_S = 86400.0
_LONG_S = 1.5 * _DAY_S  # a longer recording has a line a day


def draw_timeline(rows: Sequence[Row], clocks: Mapping[str, Clock], classes: Sequence[str], path: Path) -> int:
    """Draw the rows into a PNG file.

    Returns:
        The number of lines that were left out, because the picture would be too long.
    """
    colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(classes)} | _INSTEAD
    lines = _lines(rows, clocks)
    drawn = lines[:_MOST_LINES]
    longest = max((spans[-1][1] for _, spans in drawn), default=1.0)
    scale, unit = (3600.0, "hours") if longest > 3600 else (60.0, "minutes") if longest > 120 else (1.0, "seconds")
    figure = Figure(figsize=(11, 1.4 + 0.32 * max(1, len(drawn))), layout="constrained")
    axes = figure.add_subplot()
    for at, (_, spans) in enumerate(drawn):
        for label in {label for *_, label in spans}:
            bars = [(begin / scale, (end - begin) / scale) for begin, end, name in spans if name == label]
            axes.broken_barh(bars, (at - 0.4, 0.8), color=colours[label], linewidth=0)
    axes.set_yticks(range(len(drawn)), [name for name, _ in drawn], fontsize=8)
    axes.set_ylim(len(drawn) - 0.5, -0.5)
    axes.set_xlim(0, longest / scale)
    axes.set_xlabel(f"{unit} of the day" if any(_whole_days(n, clocks) for n in clocks) else unit)
    axes.spines[["top", "right"]].set_visible(False)
    shown = {label for _, spans in drawn for *_, label in spans}
    patches = [
        Patch(facecolor=colour, edgecolor="#888888", linewidth=0.5, label=name)
        for name, colour in colours.items()
        if name in shown
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(6, max(1, len(patches))), fontsize=8)
    save_figure(figure, path, dpi=110)
    return len(lines) - len(drawn)


def _whole_days(name: str, clocks: Mapping[str, Clock]) -> bool:
    return clocks[name].zone is not None


def _lines(rows: Sequence[Row], clocks: Mapping[str, Clock]) -> list[tuple[str, list[tuple[float, float, str]]]]:
    """Name of each line, and its stretches: begin, end and label, seconds from the line's left end."""
    found: dict[str, list[tuple[float, float, str]]] = {}
    for recording, group in itertools.groupby(rows, lambda row: row.recording):
        mine, clock = list(group), clocks[recording]
        by_day = clock.zone is not None or mine[-1].end - mine[0].start > _LONG_S
        for begin, end, label in _merged(mine):
            at = begin
            while at < end - 1e-6:
                day, midnight = clock.unit(at, int(_DAY_S)) if by_day else ("", np.inf)
                until = min(end, midnight)
                zero = midnight - _DAY_S if by_day else mine[0].start
                found.setdefault(f"{recording} {day}".strip(), []).append((at - zero, until - zero, label))
                at = until
    return list(found.items())


def _merged(rows: Sequence[Row]) -> list[tuple[float, float, str]]:
    merged: list[tuple[float, float, str]] = []
    for row in rows:
        if merged and merged[-1][2] == row.label and row.start - merged[-1][1] < 1e-3:
            merged[-1] = (merged[-1][0], row.end, row.label)
        else:
            merged.append((row.start, row.end, row.label))
    return merged
