"""Time lines and histograms as small SVG images, written by hand because one page may hold a thousand.

A time line has four lanes: sensor, video, labels, windows. Each lane is painted onto a row of cells, and written as one
path per colour. The size of a drawing thus depends on the number of cells, and not on the recording. Colours are
classes of ``page.css``.

Shape legend: R cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from core.shown_text import visible
from datamodules.windows.quality.facts import RecordingFacts
from datamodules.windows.settings import WindowSettings
from experiments.reports.build.content import NO_WINDOWS, WHOLE, RecordingQuality
from experiments.reports.build.words import VIDEO_REASONS
from experiments.reports.shared.words import duration

Cells = NDArray[np.int16]

COLOURS = 9  # colours of activities; further activities share the last
WIDTH = 1000
_LANE, _GAP, _AXIS = 8, 3, 13
_LEFT = 58  # room for the names of lanes
_NICE = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_MOST_TICKS = 9


def time_line(quality: RecordingQuality, settings: WindowSettings, colours: Mapping[str, int], cells: int) -> Markup:
    """Draw sensor with gaps, video with holes, labels, and kept and left-out windows, over time.

    Args:
        quality: a recording that could be used.
        settings: settings that windows were cut with.
        colours: number of each activity's colour.
        cells: R, the finest detail; each lane takes at most some 20 bytes per cell.

    Raises:
        ValueError: there are no facts about this recording.
    """
    facts = quality.facts
    if facts is None:
        raise ValueError(f"recording {quality.name} could not be used, so there is no time line")
    begin, end = span_of(facts)
    scale = cells / max(end - begin, 1e-9)

    def lane(stretches: Iterable[tuple[float, float, int]]) -> Cells:
        return _paint([((a - begin) * scale, (b - begin) * scale, what) for a, b, what in stretches], cells)

    rows: list[tuple[str, Cells, Sequence[str]]] = [
        ("sensor", lane([(facts.begin_s, facts.end_s, 0), *((a, b, 1) for a, b in facts.gaps)]), ("sensor", "gap"))
    ]
    if facts.video_begin_s is not None and facts.video_end_s is not None:
        shown = [(facts.video_begin_s, facts.video_end_s, 0), *((a, b, 1) for a, b in facts.frame_holes)]
        rows.append(("video", lane(shown), ("video", "gap")))
    if facts.labels:
        labels = [(float(a), float(b), colours.get(str(what), COLOURS - 1)) for a, b, what in facts.labels]
        rows.append(("labels", lane(labels), [f"a{number}" for number in range(COLOURS)]))
    rows.append(("windows", lane(_windows(quality, settings)), ("kept", "out", "out-video", "out-other")))
    height = len(rows) * (_LANE + _GAP) + _AXIS
    parts = []
    for number, (name, row, classes) in enumerate(rows):
        top = number * (_LANE + _GAP)
        parts.append(f'<text x="0" y="{top + _LANE - 1}">{name}</text>')
        parts += _paths(row, classes, top, (WIDTH - _LEFT) / cells)
    parts += _ticks(begin, end, height)
    counts = f"{quality.kept} windows kept, {sum(quality.lost.values())} left out, {facts.gap_count} gaps of the sensor"
    label = _escaped(f"{quality.name}: {duration(facts.duration_s)}, {counts}")
    return Markup(
        f'<svg class="line" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def span_of(facts: RecordingFacts) -> tuple[float, float]:
    """Compute the span of a time line: from the first start to the last end of sensor and video, seconds."""
    begin = facts.begin_s if facts.video_begin_s is None else min(facts.begin_s, facts.video_begin_s)
    return begin, facts.end_s if facts.video_end_s is None else max(facts.end_s, facts.video_end_s)


def clock_text(seconds: float) -> str:
    """Write a time as on the axis of a time line: 1:05, 2:00:00."""
    hours, rest = divmod(math.floor(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def _windows(quality: RecordingQuality, settings: WindowSettings) -> list[tuple[float, float, int]]:
    """List windows for painting, kept ones first, so that left-out windows are painted over them."""
    # Windows that overlap are drawn up to the next one's start.
    length = min(settings.duration_s, settings.stride_s) if settings.layout == "grid" else settings.duration_s
    found = [(start, start + length, 0) for start in quality.starts.tolist()]
    for row in quality.left_out:
        reason, start = str(row["reason"]), float(row["start_s"])
        if reason in WHOLE and quality.facts is not None:
            found.append((quality.facts.begin_s, quality.facts.end_s, 1))
        elif reason not in NO_WINDOWS:
            kind = 2 if reason in VIDEO_REASONS else 3 if reason == "no_label" else 1
            found.append((start, start + length, kind))
    return found


def _paint(stretches: Iterable[tuple[float, float, int]], cells: int) -> Cells:
    """Paint stretches onto cells, (R,), -1 for nothing; each takes a cell at least, and the last one wins."""
    row: Cells = np.full(cells, -1, np.int16)
    for begin, end, what in stretches:
        first = min(max(math.floor(begin + 0.5), 0), cells)
        last = min(max(math.floor(end + 0.5), 0), cells)
        if last == first and 0 <= begin < cells:
            first = min(math.floor(begin), cells - 1)
            last = first + 1
        row[first:last] = what
    return row


def _paths(row: Cells, classes: Sequence[str], top: int, step: float) -> list[str]:
    """Write one path for each class in a row."""
    edges = np.flatnonzero(np.diff(row)) + 1
    begins, ends = [0, *edges.tolist()], [*edges.tolist(), row.size]
    drawn: dict[int, list[str]] = {}
    for begin, end in zip(begins, ends, strict=True):
        if (what := int(row[begin])) >= 0:
            width = f"{(end - begin) * step:.4g}"
            drawn.setdefault(what, []).append(f"M{_LEFT + begin * step:.5g} {top}h{width}v{_LANE}h-{width}z")
    return [f'<path class="{classes[what]}" d="{"".join(paths)}"/>' for what, paths in sorted(drawn.items())]


def _ticks(begin: float, end: float, height: int) -> list[str]:
    length = end - begin
    step = next((nice for nice in _NICE if length / nice <= _MOST_TICKS), _NICE[-1] * math.ceil(length / 86400 / 9))
    scale = (WIDTH - _LEFT) / max(length, 1e-9)
    found = []
    for number in range(int(length // step) + 1):
        at = _LEFT + number * step * scale
        anchor = ' text-anchor="end"' if at > WIDTH - 30 else ""
        found.append(f'<text x="{at:.5g}" y="{height - 2}"{anchor}>{clock_text(number * step)}</text>')
        found.append(f'<path class="tick" d="M{at:.5g} 0v{height - _AXIS}"/>')
    return found


def histogram(
    counts: Sequence[float], edges: Sequence[float], title: str, axis: str, mark: float | None = None
) -> Markup:
    """Draw bars over an axis.

    Args:
        counts: heights of the bars.
        edges: edges of the bars, one more than bars, ascending.
        title: title of the counts.
        axis: title of the horizontal axis, with its unit.
        mark: place of a dashed line; None draws none.
    """
    width, height, left, bottom, top = 460, 190, 8, 36, 22
    low, high = edges[0], edges[-1]
    scale = (width - 2 * left) / (high - low)
    highest = max([*counts, 1e-9])
    tall = height - bottom - top
    parts = [f'<text x="{left}" y="13" class="head">{_escaped(title)}</text>']
    for count, a, b in zip(counts, edges[:-1], edges[1:], strict=True):
        if count > 0:
            # A small bar must be visible too.
            bar = max(1.5, tall * count / highest)
            x, y, w = left + (a - low) * scale, height - bottom - bar, max(1.0, (b - a) * scale - 0.6)
            parts.append(f'<path class="bar" d="M{x:.5g} {y:.5g}h{w:.4g}v{bar:.5g}h-{w:.4g}z"/>')
    floor = height - bottom
    parts.append(f'<path class="axis" d="M{left} {floor}h{width - 2 * left}"/>')
    for number in range(5):
        value = low + (high - low) * number / 4
        anchor = ("start", "middle", "middle", "middle", "end")[number]
        x = left + (value - low) * scale
        parts.append(f'<text x="{x:.5g}" y="{floor + 14}" text-anchor="{anchor}">{value:.4g}</text>')
    if mark is not None and low <= mark <= high:
        parts.append(f'<path class="mark" d="M{left + (mark - low) * scale:.5g} {top}v{tall}"/>')
    parts.append(f'<text x="{width / 2}" y="{height - 4}" text-anchor="middle">{_escaped(axis)}</text>')
    label = _escaped(f"{title}, over {axis}")
    return Markup(
        f'<svg class="histogram" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _escaped(text: str) -> Markup:
    return escape(visible(text))
