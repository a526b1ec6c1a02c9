"""The report on a build as one HTML file that needs no network, no server, and no script to be read."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from core.durable import write_text
from core.plural import plural
from core.room import is_read_only
from datamodules.recording import STANDARD_GRAVITY
from datamodules.shards.layout import INDEX
from datamodules.windows.quality.facts import NORM_STEP_G
from experiments.reports.build.content import Quality, RecordingQuality, gather
from experiments.reports.build.drawings import COLOURS, clock_text, histogram, span_of, time_line
from experiments.reports.build.remarks import clocks_of, remarks_of
from experiments.reports.build.tables import (
    activities_table,
    clocks_table,
    reasons_table,
    settings_table,
    subjects_table,
)
from experiments.reports.build.words import share, title_of
from experiments.reports.shared.rendering import render
from experiments.reports.shared.words import duration

FILE = "quality.html"
_HERE = Path(__file__).parent
_OPEN = 40  # recordings; with more, subjects are folded
_FINE, _COARSE, _COARSEST = 500, 200, 60  # cells of a time line
_MANY = 200  # recordings; more are drawn coarsely
_BUDGET = 4 << 20  # characters of all time lines; further ones are drawn in the coarsest way
_MOST_DRAWN = 2000
_MOST_TOLD = 4  # stretches of a recording that are described in words
_MOST_UNUSABLE = 100


@dataclass(frozen=True)
class _Recording:
    name: str
    line: str
    drawing: Markup
    told: list[str]


@dataclass(frozen=True)
class _Subject:
    name: str
    anchor: str
    line: str
    recordings: list[_Recording]
    not_drawn: int


def write_if_stale(directory: Path) -> None:
    """Write the report of finished shards, if they have none or that of an earlier build."""
    page, index = directory / FILE, directory / INDEX
    if not index.is_file() or (page.is_file() and page.stat().st_mtime >= index.stat().st_mtime):
        return
    try:
        if os.access(directory, os.W_OK):  # else the folder is read-only, which its shards don't mind
            write_report(directory)
    except OSError as error:
        if not is_read_only(error):
            raise


def write_report(directory: str | Path) -> Path:
    """Write ``quality.html`` beside finished shards; the file appears whole or not at all.

    Returns:
        The path of the file.

    Raises:
        ShardError: the build did not finish, or a shard can't be read.
    """
    path = Path(directory) / FILE
    write_text(path, html(gather(directory)))
    return path


def html(quality: Quality) -> str:
    """Render the page. Text from data is escaped, and no script but the page's own may run."""
    unusable = [(one.name, one.unusable) for one in quality.recordings if one.unusable]
    colours = _colours(quality)
    return render(
        "page.quality.j2",
        _HERE,
        title=_title(quality),
        simulated=quality.index.simulated,
        figures=_figures(quality),
        remarks=remarks_of(quality),
        unusable=unusable[:_MOST_UNUSABLE],
        unusable_more=max(0, len(unusable) - _MOST_UNUSABLE),
        reasons=reasons_table(quality),
        activities=activities_table(quality),
        subject_table=subjects_table(quality),
        histograms=_histograms(quality),
        clocks=clocks_table(quality) if clocks_of(quality) else None,
        with_video=any(facts.camera for facts in quality.known),
        subjects=_subjects(quality, colours),
        is_open=len(quality.recordings) <= _OPEN,
        colours=colours,
        others=COLOURS - 1,
        settings=settings_table(quality),
        build_hash=quality.index.build_hash,
    )


def _title(quality: Quality) -> str:
    source = str(quality.index.build.get("source", ""))
    return f"{source}, {quality.directory.resolve().name}" if source else quality.directory.resolve().name


def _figures(quality: Quality) -> list[tuple[str, str, str]]:
    """List the headline figures: number, unit, and detail."""
    known = quality.known
    subjects = [subject for subject in quality.by_subject if subject]
    lost = sum(quality.lost.values())
    gaps = sum(facts.gap_s for facts in known)
    figures = [
        (f"{len(quality.recordings):,}", "recordings", f"{len(known):,} could be used"),
        (f"{len(subjects):,}", "subjects" if len(subjects) != 1 else "subject", ", ".join(_groups(quality))),
        (duration(sum(facts.duration_s for facts in known)), "of sensor data", f"{duration(gaps)} of it are gaps"),
    ]
    video = [f.video_end_s - f.video_begin_s - f.frame_hole_s for f in known
             if f.video_begin_s is not None and f.video_end_s is not None]  # fmt: skip
    if video:
        holes = sum(facts.frame_hole_s for facts in known)
        figures.append((duration(sum(video)), "of video", f"{duration(holes)} more without frames"))
    figures += [
        (f"{quality.kept:,}", "windows kept", f"of {duration(quality.index.settings.duration_s)} each"),
        (f"{lost:,}", "windows left out", share(lost, lost + quality.kept)),
    ]
    return figures


def _groups(quality: Quality) -> list[str]:
    """Count subjects by group, such as "10 parkinson"."""
    of = {facts.subject: facts.population for facts in quality.known}
    return [f"{count} {name}" for name, count in sorted(Counter(of.values()).items())]


def _colours(quality: Quality) -> dict[str, int]:
    """Number the colours of activities: the longest have their own, the others share one."""
    seconds: Counter[str] = Counter()
    for facts in quality.known:
        seconds.update(facts.labelled_s)
    longest = sorted(seconds, key=lambda name: (-seconds[name], name))
    return {name: min(number, COLOURS - 1) for number, name in enumerate(longest)}


def _histograms(quality: Quality) -> list[Markup]:
    known = quality.known
    if not known:
        return []
    rates = np.array([facts.rate_hz for facts in known])
    middle = float(np.median(rates))
    reach = max(0.02 * middle, 1.1 * float(np.abs(rates - middle).max()))
    counts, edges = np.histogram(rates, 31, (middle - reach, middle + reach))
    norms = np.sum([facts.norm_counts for facts in known], axis=0)
    shares = 100 * norms / max(1, norms.sum())
    steps = NORM_STEP_G * np.arange(norms.size + 1)
    made = [
        histogram(counts.tolist(), edges.tolist(), "Recordings by the sensor's rate", "Hz"),
        histogram(
            shares.tolist(), steps.tolist(), "Samples by the length of the acceleration", "g; 1 at rest", mark=1.0
        ),
    ]
    offsets = np.array([1000 * row.offset_s for row in clocks_of(quality) if row.offset_s is not None])
    if offsets.size:
        reach = 100.0 * np.ceil(0.011 * float(np.abs(offsets).max()) + 1e-9)
        counts, edges = np.histogram(offsets, 41, (-reach, reach))
        made.append(histogram(counts.tolist(), edges.tolist(), "Recordings by the clocks' offset", "ms", mark=0.0))
    return made


def _subjects(quality: Quality, colours: dict[str, int]) -> list[_Subject]:
    found = []
    spent, drawn = 0, 0
    fine = _FINE if len(quality.recordings) <= _MANY else _COARSE
    for number, (subject, recordings) in enumerate(quality.by_subject.items(), 1):
        usable = [one for one in recordings if one.facts is not None]
        shown = []
        for one in usable[: max(0, _MOST_DRAWN - drawn)]:
            cells = fine if spent < _BUDGET else _COARSEST
            drawing = time_line(one, quality.index.settings, colours, cells)
            spent += len(drawing)
            shown.append(_Recording(one.name, _line(one), drawing, _stretches(one)))
        drawn += len(shown)
        if not usable:
            continue
        kept, lost = sum(one.kept for one in usable), sum(sum(one.lost.values()) for one in usable)
        length = duration(sum(one.facts.duration_s for one in usable if one.facts is not None))
        line = f"{plural(len(usable), 'recording')}, {length}, {plural(kept, 'window')} kept, {lost:,} left out"
        found.append(_Subject(subject or "unknown", f"subject-{number}", line, shown, len(usable) - len(shown)))
    return found


def _line(one: RecordingQuality) -> str:
    """Describe a recording in figures."""
    facts = one.facts
    assert facts is not None
    parts = [duration(facts.duration_s), f"{facts.placement}, {facts.rate_hz:.1f} Hz"]
    if facts.norm is not None:
        parts.append(f"median {facts.norm / STANDARD_GRAVITY:.2f} g")
    if facts.frame_rate_hz is not None:
        parts.append(f"{facts.camera} {facts.frame_rate_hz:.1f} frames/s")
    if facts.gap_count:
        parts.append(f"{plural(facts.gap_count, 'gap')} ({duration(facts.gap_s)})")
    offset = facts.clock.get("clock_offset_s")
    if isinstance(offset, int | float):
        parts.append(f"clocks {1000 * offset:+.0f} ms")
    lost = ", ".join(f"{title_of(reason)} {count:,}" for reason, count in one.lost.most_common())
    parts.append(f"{plural(one.kept, 'window')} kept" + (f", left out: {lost}" if lost else ""))
    return " · ".join(parts)


def _stretches(one: RecordingQuality) -> list[str]:
    """Describe the first stretches that were left out, from the build's index."""
    begin = span_of(one.facts)[0] if one.facts is not None else 0.0
    rows = [row for row in one.left_out if row["reason"] in one.lost]
    told = [f"at {clock_text(max(0.0, row['start_s'] - begin))}: {_brief(row['detail'])}" for row in rows[:_MOST_TOLD]]
    return told + ([f"and {len(rows) - _MOST_TOLD:,} more, all in index.json"] if len(rows) > _MOST_TOLD else [])


def _brief(detail: str) -> str:
    """Shorten a file's path in a cause to its name; the index has the whole path."""
    file, colon, cause = detail.partition(": ")
    return f"{Path(file).name}{colon}{cause}"
