"""A manifest, and what was found by it, in plain words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from datamodules.signal import G
from datamodules.sources.manifest.spec import (
    FIRST_SAMPLE,
    STAMPS,
    AccelerationSpec,
    Column,
    CsvSpec,
    GroupSpec,
    GyroscopeSpec,
    ImuSpec,
    LabelsSpec,
    TimeSpec,
)
from datamodules.windows.settings import WindowSettings
from experiments.reports.manifest.facts import RecordingFacts, VideoFacts
from experiments.reports.manifest.motion_facts import MotionFacts

_LISTED_PEOPLE = 40
_UNITS = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "iso8601": "dates and times (ISO 8601, UTC where there is no zone)",
    "h:m:s": "hours:minutes:seconds",
}


def describe_group(name: str, group: GroupSpec, facts: Sequence[RecordingFacts]) -> Iterator[str]:
    """What the manifest says of a group, one line a thing."""
    people = list(dict.fromkeys(fact.subject for fact in facts))
    listed = ", ".join(people[:8]) + (", ..." if len(people) > 8 else "")
    yield f"Group '{name}': {_count(len(facts), 'recording')} of {_count(len(people), 'subject')} ({listed})"
    for name_there, person in group.people.items():
        nobody = "" if person in people else "; no recording is of either"
        yield f"  '{name_there}' is another name of '{person}'{nobody}"
    for imu in group.imu:
        yield from _describe_imu(imu)
    time = group.imu[0].time
    if time.column is not None:
        zero = {STAMPS: "when the stamps show 0", FIRST_SAMPLE: "at the first sample"}.get(
            str(group.zero), f"when the stamps show {group.zero}"
        )
        yield f"  the recording's time 0 is {zero}"
    if group.imu_clock_offset_s:
        yield f"  known clock offset: {group.imu_clock_offset_s} s are added to the IMU's times"
    for video in group.videos:
        start = f"its first frame at {video.start_s} s"
        yield f"  camera '{video.camera}': {video.files}, {start}{_optional(video.optional)}"
    if not group.videos:
        yield "  no video"
    yield f"  {_describe_labels(group.labels)}" if group.labels is not None else "  no labels"
    if group.details is not None:
        yield f"  details of each recording: {group.details.file}"


def _describe_imu(imu: ImuSpec) -> Iterator[str]:
    yield f"  motion data: {imu.files}{_format(imu)}{_optional(imu.optional)}"
    if imu.row_rules:
        rules = [f"'{rule.value}' in column {_column(rule.column)}" for rule in imu.row_rules]
        yield f"    only rows with {' and '.join(rules)}"
    if imu.time.column is not None:
        repeated = "; of samples with one stamp the first is kept" if imu.time.repeated == "first" else ""
        yield f"    time: column {_column(imu.time.column)}, in {_time(imu.time)}{repeated}"
    else:
        yield f"    time: no column; {imu.time.rate_hz:g} samples a second from time 0 on"
    for placement, sensor in imu.sensors.items():
        gyroscope = (
            _part(sensor.gyroscope) if sensor.gyroscope is not None else "none: three channels are marked missing"
        )
        if sensor.acceleration is None:
            yield f"    sensor at {placement}: gyroscope {gyroscope}, to the acceleration of another entry"
        else:
            yield f"    sensor at {placement}: acceleration {_part(sensor.acceleration)}; gyroscope {gyroscope}"


def _part(part: AccelerationSpec | GyroscopeSpec) -> str:
    unit = part.unit
    if isinstance(part, AccelerationSpec) and unit == "lsb":
        unit = f"raw counts, {part.per_g:g} in one g"
    elif isinstance(part, GyroscopeSpec) and unit == "lsb":
        unit = f"raw counts, {part.per_deg_s:g} in one deg/s"
    limit = f", up to {part.range:g}" if part.range else ""
    return f"x y z = {' '.join(map(_column, part.columns))} in {unit}{limit}"


def _time(when: TimeSpec | LabelsSpec) -> str:
    zone = f", in the zone {when.zone}" if when.zone else ""
    return (f"dates and times written as {when.format}" if when.format else _UNITS[when.unit]) + zone


def _format(imu: ImuSpec) -> str:
    ending = imu.files.rsplit(".", 1)[-1].lower()
    if imu.format in ("parquet", "npy") or (imu.format == "auto" and ending in ("parquet", "pq", "npy")):
        return ""
    return f" ({_csv(imu.csv, tab=ending == 'tsv')})"


def _csv(csv: CsvSpec, tab: bool = False) -> str:
    separator = csv.separator or ("\t" if tab else ",")
    shown = {"\t": "tabs", " ": "blanks"}.get(separator, f"'{separator}'")
    header = "a header names the columns" if csv.header else "no header"
    return f"{shown} between columns, '{csv.decimal}' before decimals, {csv.encoding}, {header}"


def _describe_labels(labels: LabelsSpec) -> str:
    if labels.column is not None:
        return f"labels: column {_column(labels.column)} of the motion data"
    if not labels.files:
        return f"labels: of the whole recording, {labels.activity} of its files' names"
    clock = "from the recording's time 0" if labels.clock == "video" else "on the clock of the IMU's stamps"
    columns = f"{_column(labels.start)}, {_column(labels.end)}, {_column(labels.activity)}"
    return f"labels: {labels.files}, {columns}, in {_time(labels)} {clock}{_optional(labels.optional)}"


def describe_recording(fact: RecordingFacts) -> Iterator[str]:
    """What was found in a recording."""
    if fact.error:
        yield f"  {fact.name} ({fact.subject}): can't be used"
        return
    yield f"  {fact.name} ({fact.subject}): {duration(fact.length_s)}, {fact.start_s:.2f} to {fact.end_s:.2f} s"
    for sensor in fact.sensors:
        yield f"    {sensor.placement}: {_motion(sensor)}"
    for video in fact.videos:
        yield f"    camera '{video.camera}': {_video(video)}"
    if fact.seconds:
        share = sum(fact.seconds.values()) / max(fact.length_s, 1e-9)
        yield f"    labels: {_count(sum((fact.intervals or {}).values()), 'interval')}, {share:.0%} of the time"


def _motion(s: MotionFacts) -> str:
    gaps = f"{_count(s.gaps, 'gap')} ({s.gap_s:.4g} s)" if s.gaps else "no gaps"
    lost = f", {s.lost:.1%} missing values" if s.lost else ""
    rest = f"{s.rest_norm:.3g} m/s^2 ({s.rest_norm / G:.3g} g)"
    if np.isnan(s.rest_norm):
        slow = s.rest.slow if not np.isnan(s.rest.slow) else s.rest.median
        rest = "never measured" if np.isnan(slow) else f"never, {slow:.3g} m/s^2 ({slow / G:.3g} g) in movement"
    up = f", up is {s.gravity_axis} ({max(map(abs, s.gravity)):.0%})" if max(map(abs, s.gravity)) > 0.5 else ""
    turns = "no gyroscope" if np.isnan(s.fast_rate) else f"turns at up to {s.fast_rate:.3g} rad/s"
    return f"{s.samples} samples at {s.rate_hz:.4g} Hz, {gaps}{lost}; at rest {rest}{up}; {turns}"


def _video(v: VideoFacts) -> str:
    if v.error:
        return "can't be read"
    when = f"{v.first_s:.2f} to {v.last_s:.2f} s"
    decoder = f"; decoded by {v.decoder}" if v.decoder else ""
    return f"{v.frames} frames at {v.rate_hz:.4g} Hz, {when}; {v.overlap_s:.2f} s with the IMU{decoder}"


def window_table(facts: Sequence[RecordingFacts], settings: WindowSettings) -> Iterator[str]:
    """How many windows an experiment would keep, by activity and subject, and why others are left out."""
    placements = dict.fromkeys(counts.placement for fact in facts for counts in fact.windows)
    for placement in placements:
        mine = [(f, c) for f in facts for c in f.windows if c.placement == placement]
        kept, reasons = Counter[str](), Counter[str]()
        people: dict[str, Counter[str]] = {}
        for fact, counts in mine:
            kept.update(counts.kept)
            reasons.update(counts.left_out)
            people.setdefault(fact.subject, Counter()).update(counts.kept)
        why = ", ".join(f"{reason} {number}" for reason, number in reasons.most_common())
        cut = f"Windows of {settings.duration_s:g} s every {settings.stride_s:g} s"
        yield (
            f"{cut}, {placement}: {sum(kept.values())} kept"
            + (f", {sum(reasons.values())} left out ({why})" if reasons else ", none left out")
        )
        for subject, counts_of in list(people.items())[:_LISTED_PEOPLE]:
            parts = [f"{activity or 'unlabelled'} {number}" for activity, number in counts_of.most_common()]
            yield f"  {subject}: {', '.join(parts) or 'none'}"
        if len(people) > _LISTED_PEOPLE:
            yield f"  ... and {len(people) - _LISTED_PEOPLE} subjects more"


def activity_table(facts: Sequence[RecordingFacts]) -> Iterator[str]:
    """Seconds, intervals and people of each activity, the longest first."""
    seconds: dict[str, float] = {}
    intervals: dict[str, int] = {}
    people: dict[str, set[str]] = {}
    for fact in facts:
        for activity, length in (fact.seconds or {}).items():
            seconds[activity] = seconds.get(activity, 0.0) + length
            intervals[activity] = intervals.get(activity, 0) + (fact.intervals or {}).get(activity, 0)
            people.setdefault(activity, set()).add(fact.subject)
    if not seconds:
        return
    total = sum(fact.length_s for fact in facts)
    yield f"Activities ({sum(seconds.values()) / max(total, 1e-9):.0%} of {duration(total)}):"
    for activity in sorted(seconds, key=lambda name: -seconds[name]):
        who = _count(len(people[activity]), "subject")
        yield f"  {activity}: {duration(seconds[activity])} in {_count(intervals[activity], 'interval')}, {who}"


def duration(seconds: float) -> str:
    """In the unit that suits."""
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.3g} s"


def _column(column: Column) -> str:
    return f"'{column}'" if isinstance(column, str) else f"no. {column}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _optional(optional: bool) -> str:
    return ", where there is one" if optional else ""
