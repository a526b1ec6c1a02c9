"""Tables of the report on a build."""

from __future__ import annotations

from collections import Counter

from experiments.reports.build.content import NO_WINDOWS, Quality
from experiments.reports.build.remarks import clocks_of
from experiments.reports.build.words import in_order, meaning_of, settings_of, share, title_of
from experiments.reports.shared.table import Table
from experiments.reports.shared.words import duration

UNLABELLED = "no label"
_MOST_CLOCKS = 100


def reasons_table(quality: Quality) -> Table:
    """Make the table of left-out stretches, by reason."""
    everything = Counter(str(row["reason"]) for one in quality.recordings for row in one.left_out)
    total = quality.kept + sum(quality.lost.values())
    rows = []
    for reason in in_order(list(everything)):
        hit = [one for one in quality.recordings if any(row["reason"] == reason for row in one.left_out)]
        subjects = {one.subject for one in hit if one.subject}
        rows.append(
            (
                title_of(reason),
                f"{everything[reason]:,}",
                share(everything[reason], total) if reason not in NO_WINDOWS else "",
                f"{len(hit):,}",
                f"{len(subjects):,}" if subjects else "",
                meaning_of(reason, quality.index.settings),
                settings_of(reason),
            )
        )
    return Table(
        "Left out, by reason",
        "reason",
        ("stretches", "of all windows", "recordings", "subjects", "when", "setting"),
        tuple(rows),
        "A window with several faults counts for the first fault. Ends of recordings, and stretches that are shorter "
        "than a window, are not windows and have no share.",
    )


def subjects_table(quality: Quality) -> Table:
    """Make the table of subjects, one row each; empty columns are left out."""
    rows = []
    for subject, recordings in quality.by_subject.items():
        facts = [one.facts for one in recordings if one.facts is not None]
        kept = sum(one.kept for one in recordings)
        lost: Counter[str] = sum((one.lost for one in recordings), Counter())
        video = sum(f.video_end_s - f.video_begin_s - f.frame_hole_s for f in facts
                    if f.video_begin_s is not None and f.video_end_s is not None)  # fmt: skip
        rows.append(
            (
                subject or "unknown",
                ", ".join(sorted({f.population for f in facts})),
                f"{len(recordings):,}",
                duration(sum(f.duration_s for f in facts)),
                duration(video) if video else "",
                duration(sum(f.gap_s for f in facts)) if any(f.gap_count for f in facts) else "",
                f"{kept:,}",
                f"{sum(lost.values()):,}",
                share(kept, kept + sum(lost.values())),
                ", ".join(f"{title_of(reason)} {count:,}" for reason, count in lost.most_common(3)),
            )
        )
    columns = ("group", "recordings", "sensor", "video", "gaps", "kept", "left out", "kept, %", "most frequent reasons")
    told = [number for number in range(len(columns)) if any(row[number + 1] for row in rows)]
    return Table(
        "Subjects",
        "subject",
        tuple(columns[number] for number in told),
        tuple((row[0], *(row[number + 1] for number in told)) for row in rows),
    )


def activities_table(quality: Quality) -> Table:
    """Make the table of kept windows by activity (rows) and subject (columns); transposed with many subjects."""
    subjects = [subject for subject in quality.by_subject if subject]
    counts = {subject: sum((one.activities for one in quality.by_subject[subject]), Counter()) for subject in subjects}
    activities = quality.activities
    totals = sum(counts.values(), Counter())
    if len(subjects) > len(activities):
        rows = [_row(subject, [counts[subject][a] for a in activities]) for subject in subjects]
        last = _row("all subjects", [totals[a] for a in activities])
        return Table(
            "Kept windows by subject and activity",
            "subject",
            (*(a or UNLABELLED for a in activities), "all"),
            (*rows, last),
        )
    rows = [_row(a or UNLABELLED, [counts[subject][a] for subject in subjects]) for a in activities]
    last = _row("all", [sum(counts[subject].values()) for subject in subjects])
    return Table("Kept windows by activity and subject", "activity", (*subjects, "all"), (*rows, last))


def _row(name: str, counts: list[int]) -> tuple[str, ...]:
    return (name, *(f"{count:,}" if count else "" for count in counts), f"{sum(counts):,}")


def clocks_table(quality: Quality) -> Table:
    """Make the table of offsets between the clocks of camera and sensor, if the build estimated them."""
    found = clocks_of(quality)
    rows = tuple(
        (
            row.recording,
            f"{1000 * row.offset_s:+.0f}" if row.offset_s is not None else "",
            f"{row.drift_ppm:+.0f}" if row.drift_ppm is not None else "",
            f"{row.confidence:.3f}" if row.confidence is not None else "",
            f"{row.verdict}: {row.note}" if row.note else row.verdict,
        )
        for row in found[:_MOST_CLOCKS]
    )
    more = f" The first {_MOST_CLOCKS} of {len(found)}." if len(found) > _MOST_CLOCKS else ""
    note = f"Sensor stamps + offset = video stamps. Clocks that certainly disagree come first.{more}"
    columns = ("offset, ms", "drift, ppm", "confidence", "verdict")
    return Table("Clocks of camera and sensor", "recording", columns, rows, note)


def settings_table(quality: Quality) -> Table:
    """Make the table of the build's settings."""
    window = vars(quality.index.settings)
    build = quality.index.build
    asked = [("source", build.get("source")), ("placement", build.get("placement")), ("camera", build.get("camera"))]
    rows = [(name, f"{value}") for name, value in asked if value]
    rows += [(f"window.{name}", f"{value}") for name, value in window.items()]
    return Table("Settings of this build", "setting", ("value",), tuple(rows))
