"""Facts of all recordings -> what is a problem, and what is worth knowing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from datamodules.sources.manifest.spec import GroupSpec, LabelsSpec, ManifestSpec, whole_sensor
from datamodules.sources.manifest.spelling import as_number
from experiments.reports.manifest.copies import find_copies
from experiments.reports.manifest.facts import RecordingFacts
from experiments.reports.manifest.motion_remarks import judge_sensor
from experiments.reports.manifest.remark import Remark, some
from experiments.reports.manifest.words import duration

_LISTED_NOTES = 5
_LABELS_TO_JUDGE, _SHORT_LABEL_S = 3, 1.0
_SPANS = (0.5, 1.1)  # of the recording that labels reach over
_RATE_SLACK = 0.01
_LEADING = re.compile(r"(?<!\d)0+(?=\d)")  # zeros before a number
_NOTHING = ("", "na", "nan", "nat", "null", "none", "nil", "missing", "nodata", "novalue", "ref", "value", "div0")
_EPOCH = 1e8  # seconds; stamps beyond three years count from 1970


def judge(manifest: ManifestSpec, facts: Sequence[RecordingFacts]) -> list[Remark]:
    """All remarks, group by group; what several recordings share is said once."""
    remarks = [Remark(True, fact.error) for fact in facts if fact.error]
    for name, group in manifest.groups.items():
        mine = [fact for fact in facts if fact.group == name and not fact.error]
        for placement in dict.fromkeys(placement for imu in group.imu for placement in imu.sensors):
            pairs = [(f, s) for f in mine for s in f.sensors if s.placement == placement]
            if pairs:
                remarks += judge_sensor(f"{name}, {placement}", whole_sensor(group, placement), pairs)
        remarks += _judge_notes(name, mine)
        remarks += _judge_clock(name, group, mine)
        remarks += _judge_videos(name, group, mine)
        if group.labels is not None:
            remarks += _judge_labels(name, mine)
            remarks += _judge_activities(name, group.labels, mine)
    return [*remarks, *_judge_people([fact for fact in facts if not fact.error])]


def _judge_people(facts: Sequence[RecordingFacts]) -> Iterator[Remark]:
    """Recordings that are there twice, and people who may have two names."""
    for shared in find_copies([fact.marks for fact in facts]):
        one, other = facts[shared.one], facts[shared.other]
        said = f"of '{one.subject}': was a file copied, or does one export hold the other?"
        if one.subject != other.subject:
            said = (
                f"under two people, '{one.subject}' and '{other.subject}'; an evaluation refuses that: is one a copy?"
            )
        yield Remark(
            False,
            f"{one.group}: {one.name} and {other.name} hold the same samples ({shared.share:.0%} of the shorter one) "
            f"{said}",
        )
    names = sorted({fact.subject for fact in facts})
    for alike in _grouped(names, lambda name: _LEADING.sub("", _folded(name))):
        yield Remark(
            False, f"the people {alike} differ in zeros or signs only: if they are one, 'people' makes them so"
        )


def _grouped(names: Sequence[str], key: Callable[[str], str]) -> list[str]:
    """Lists of those names that have one key."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(key(name), []).append(name)
    return [", ".join(f"'{name}'" for name in some_names) for some_names in found.values() if len(some_names) > 1]


def _judge_notes(name: str, facts: Sequence[RecordingFacts]) -> Iterator[Remark]:
    """What was left out or put right when files were read."""
    said = [(fact.name, note) for fact in facts for note in fact.notes]
    for recording, note in said[: 4 * _LISTED_NOTES]:
        yield Remark(False, f"{name}: {recording}: {note}")
    if len(said) > 4 * _LISTED_NOTES:
        yield Remark(False, f"{name}: {len(said) - 4 * _LISTED_NOTES} more notes of this kind")


def _judge_clock(name: str, group: GroupSpec, facts: Sequence[RecordingFacts]) -> Iterator[Remark]:
    rates = [(fact.name, s.rate_hz) for fact in facts for s in fact.sensors[:1]]
    if rates:
        usual = float(np.median([rate for _, rate in rates]))
        # Of exactly 20 Hz, stamps in milliseconds make 19.999.
        if not 20 * (1 - _RATE_SLACK) <= usual <= 1000 * (1 + _RATE_SLACK):
            yield Remark(True, f"{name}: the IMU's rate is {usual:.4g} Hz; expected 20 to 1000")
        if other := [f"{n} ({rate:.4g} Hz)" for n, rate in rates if abs(rate / usual - 1) > 0.05]:
            yield Remark(False, f"{name}: {some(other)}: another rate than the usual {usual:.4g} Hz")
    for fact in facts:
        s = fact.sensors[0]
        # What the manifest leaves out as not worn is a gap that was asked for.
        share = (s.gap_s - fact.not_worn_s) / max(fact.length_s - fact.not_worn_s, 1e-9)
        if share > 0.2:
            yield Remark(
                True, f"{name}: {fact.name}: {share:.0%} of its time is gaps (the longest {s.longest_gap_s:.3g} s)"
            )
        if s.unsteady > 0.05:
            yield Remark(
                False, f"{name}: {fact.name}: {s.unsteady:.0%} of its steps are far from the median: unsteady stamps"
            )
        if fact.repeated:
            yield Remark(
                False, f"{name}: {fact.name}: {fact.repeated} samples left out, their stamps were there before"
            )
    if group.imu[0].time.column is None:
        rate = group.imu[0].time.rate_hz
        pairs = [(f, v) for f in facts for v in f.videos[:1] if v.last_s > v.first_s]
        ratios = [(f.length_s + 1 / rate) / (v.last_s - v.first_s) for f, v in pairs]
        if ratios and not 0.9 <= np.median(ratios) <= 1.1 and np.ptp(ratios) < 0.04 * np.median(ratios):
            yield Remark(
                True,
                f"{name}: at rate_hz: {rate:g} the IMU lasts {np.median(ratios):.3g} times as long as the video; at "
                f"{rate * np.median(ratios):.4g} Hz both would be equally long",
            )


def _judge_videos(name: str, group: GroupSpec, facts: Sequence[RecordingFacts]) -> Iterator[Remark]:
    for video in group.videos:
        lacking = [f.name for f in facts if video.camera not in [v.camera for v in f.videos]]
        if lacking:
            yield Remark(False, f"{name}: {some(lacking)}: without the video of camera '{video.camera}'")
    for fact in facts:
        for seen in fact.videos:
            if seen.error:
                yield Remark(True, f"{name}: {fact.name}: {seen.error}")
                continue
            shorter = min(fact.length_s, seen.last_s - seen.first_s)
            if seen.overlap_s < 0.5 * shorter:
                hint = "check 'zero', 'start_s' and 'imu_clock_offset_s'"
                if abs(fact.start_s) > _EPOCH:
                    hint = "the IMU's stamps count from 1970: set 'zero' to what they show when the video starts"
                elif shorter > 0 and max(fact.length_s, seen.last_s - seen.first_s) / shorter > 300:
                    hint = "one lasts hundreds of times as long as the other: check time.unit"
                yield Remark(
                    True,
                    f"{name}: {fact.name}: IMU ({fact.start_s:.2f} to {fact.end_s:.2f} s) and camera '{seen.camera}' "
                    f"({seen.first_s:.2f} to {seen.last_s:.2f} s) share only {seen.overlap_s:.2f} s: {hint}",
                )
            if not 5 <= seen.rate_hz <= 240:
                yield Remark(
                    False, f"{name}: {fact.name}: camera '{seen.camera}' has {seen.rate_hz:.3g} frames a second"
                )
            if seen.longest_gap_s > max(0.5, 3 / max(seen.rate_hz, 1e-9)):
                yield Remark(
                    False,
                    f"{name}: {fact.name}: camera '{seen.camera}' lacks frames for up to {seen.longest_gap_s:.2f} s",
                )


def _judge_labels(name: str, facts: Sequence[RecordingFacts]) -> Iterator[Remark]:
    total: dict[str, float] = {}
    for fact in facts:
        for activity, seconds in (fact.seconds or {}).items():
            total[activity] = total.get(activity, 0.0) + seconds
        length = sum((fact.seconds or {}).values()) + fact.outside_s
        if fact.outside_s > 0.02 * length + 0.5:
            yield Remark(
                fact.outside_s > 0.5 * length,
                f"{name}: {fact.name}: {fact.outside_s:.1f} of {length:.1f} labelled seconds lie outside the motion "
                f"data ({fact.start_s:.2f} to {fact.end_s:.2f} s): are labels.clock and labels.unit right?"
                f"{_label_unit(fact)}",
            )
        elif unit := _label_unit(fact):
            yield Remark(
                True,
                f"{name}: {fact.name}: all labels lie within {fact.label_span_s:.3g} s of {fact.length_s:.3g} s, and "
                f"last less than a second: is labels.unit right?{unit}",
            )
        lag = fact.label_lag
        if (
            lag is not None
            and lag.explained > 0.3
            and lag.high - lag.low < 1
            and min(abs(lag.low), abs(lag.high)) > 0.5
        ):
            late = "late" if lag.seconds > 0 else "early"
            yield Remark(
                lag.explained > lag.unmoved + 0.1,
                f"{name}: {fact.name}: the labels are {abs(lag.seconds):.1f} s {late} against the motion (95 %: "
                f"{min(abs(lag.low), abs(lag.high)):.1f} to {max(abs(lag.low), abs(lag.high)):.1f} s; moved by it they "
                f"explain {lag.explained:.0%} of how much the sensor moves, as they are {lag.unmoved:.0%}): is their "
                "clock right?",
            )
        if fact.doubly_s > 0.5:
            most = fact.doubly_s > 0.5 * sum((fact.seconds or {}).values())
            yield Remark(most, f"{name}: {fact.name}: {fact.doubly_s:.1f} s have more than one activity")
    length, covered = sum(fact.length_s for fact in facts), sum(total.values())
    if total and covered < 0.01 * length:
        yield Remark(
            True, f"{name}: labels cover only {duration(covered)} of {duration(length)}: is labels.unit right?"
        )
    if facts and not total:
        yield Remark(True, f"{name}: no recording has a label, though the manifest names labels")


def _judge_activities(name: str, labels: LabelsSpec, facts: Sequence[RecordingFacts]) -> Iterator[Remark]:
    """Names that are one activity, or none."""
    found = sorted({activity for fact in facts for activity in fact.seconds or {}})
    for alike in _grouped(found, _folded_activity):
        yield Remark(True, f"{name}: the activities {alike} differ in spelling only; labels.names can make them one")
    asked_for = set(labels.names.values())
    if none := [f"'{activity}'" for activity in found if _means_none(activity) and activity not in asked_for]:
        yield Remark(
            True,
            f"{name}: the activity {', '.join(none)} seems to stand for a missing one, and would be learned as one: "
            "name it in labels.unlabelled, or give it another name in labels.names",
        )


def _label_unit(fact: RecordingFacts) -> str:
    """What labels seem to count whose span fits the recording by a factor that a wrong unit makes; "" for none."""
    count, ratio = sum((fact.intervals or {}).values()), fact.label_span_s / max(fact.length_s, 1e-9)
    if count < _LABELS_TO_JUDGE or not ratio:
        return ""
    rate = fact.sensors[0].rate_hz
    kinds = [(1000.0, "milliseconds"), (1e6, "microseconds"), (rate, f"samples of the IMU ({rate:.4g} a second)")]
    if ratio < 1:
        seconds = sum((fact.seconds or {}).values())
        kinds = [(1 / 60, "minutes"), (1 / 3600, "hours")] if seconds < count * _SHORT_LABEL_S else []
    for factor, kind in kinds:
        if _SPANS[0] <= ratio / factor <= _SPANS[1]:
            return f" (they seem to count {kind})"
    return ""


def _folded_activity(name: str) -> str:
    """Of 1 and 1.0 the same."""
    number = as_number(name)
    return _folded(name) if number is None else f"{number:.15g}"


def _means_none(activity: str) -> bool:
    """Whether it is a sign, a spreadsheet's error, a negative number, or a word for nothing."""
    number = as_number(activity)
    return (number is not None and number < 0) or _folded(activity) in _NOTHING


def _folded(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())
