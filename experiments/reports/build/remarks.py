"""Remarks on a build: the points to look at first, in plain words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.plural import plural
from datamodules.clock_sync.apply_offset import describe_agreement
from datamodules.clock_sync.result import DISAGREE_S
from datamodules.recording import STANDARD_GRAVITY
from experiments.reports.build.content import WHOLE, Quality, RecordingQuality
from experiments.reports.build.words import listed, meaning_of, settings_of, share, title_of

# In reversed order in tables.
_VERDICTS = (
    "not looked at",
    "agree",
    "seem to agree",
    "can't tell",
    "disagreed, shifted",
    "seem to disagree",
    "disagree",
)
_FEW_KEPT = 0.5
_MANY_LOST = 0.1
_OTHER_RATE = 0.02  # deviation from most recordings of the same device
_JITTER = 0.8  # of the rate; jitter if one distance of samples in twenty is slower than that
_OTHER_NORM = 0.15  # deviation from 1 g; running reaches it, and so does a sensor whose scale is 15 % off
_COVERED = 0.9  # share of the sensor's time that the video should cover


@dataclass(frozen=True)
class Remark:
    """A sentence, and whether something is wrong (``problem``) or may be (``look``)."""

    kind: str
    text: str


def remarks_of(quality: Quality) -> list[Remark]:
    """List problems and possible problems of a build, problems first; empty if nothing stands out."""
    found = [*_recordings(quality), *_subjects(quality), *_reasons(quality), *_sensors(quality), *_clocks(quality)]
    found += [*_video(quality), *_labels(quality)]
    return sorted(found, key=lambda remark: remark.kind != "problem")


def _names(recordings: list[RecordingQuality]) -> str:
    return listed([recording.name for recording in recordings])


def _recordings(quality: Quality) -> Iterator[Remark]:
    unusable = [one for one in quality.recordings if one.unusable]
    total = plural(len(quality.recordings), "recording")
    if unusable:
        yield Remark(
            "problem", f"{len(unusable)} of {total} could not be used: {_names(unusable)}. The causes are below."
        )
    empty = [one for one in quality.recordings if not one.kept and not one.unusable]
    if empty:
        reasons = sorted({title_of(str(row["reason"])) for one in empty for row in one.left_out})
        cause = f" ({', '.join(reasons)})" if reasons else ""
        yield Remark("problem", f"{len(empty)} of {total} gave no window{cause}: {_names(empty)}.")


def _subjects(quality: Quality) -> Iterator[Remark]:
    few = []
    for subject, recordings in quality.by_subject.items():
        kept = sum(one.kept for one in recordings)
        lost = sum(sum(one.lost.values()) for one in recordings)
        if subject and kept < _FEW_KEPT * (kept + lost):
            few.append(f"{subject} ({share(kept, kept + lost)})")
    if few:
        many = plural(len(few), "subject")
        yield Remark("problem", f"Fewer than half of the windows were kept of {many}: {listed(few)}.")


def _reasons(quality: Quality) -> Iterator[Remark]:
    total = quality.kept + sum(quality.lost.values())
    for reason, count in quality.lost.most_common():
        if count >= _MANY_LOST * total and total:
            why, names = meaning_of(reason, quality.index.settings), settings_of(reason)
            setting = f" The setting is {names}." if names else ""
            yield Remark(
                "look", f"{share(count, total)} of the windows were left out, {title_of(reason)}: {why}.{setting}"
            )
    for fault, count in quality.index.counts.get("fault", {}).items():
        verb = "was" if count == 1 else "were"
        yield Remark("look", f"{plural(count, 'window')} {verb} kept though marked: {title_of(fault)}.")


def _sensors(quality: Quality) -> Iterator[Remark]:
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)
    for facts in quality.known:
        rates[facts.device, facts.placement].append(facts.rate_hz)
    usual = {key: float(np.median(values)) for key, values in rates.items()}
    other = [
        f"{f.recording} ({f.rate_hz:.1f} Hz, others {usual[f.device, f.placement]:.1f})"
        for f in quality.known
        if abs(f.rate_hz / usual[f.device, f.placement] - 1) > _OTHER_RATE
    ]
    if other:
        yield Remark("look", f"{plural(len(other), 'recording')} measured at another rate than most: {listed(other)}.")
    jitter = [f.recording for f in quality.known if f.rate_low_hz < _JITTER * f.rate_hz]
    if jitter:
        many = plural(len(jitter), "recording")
        text = "One distance of samples in twenty is a quarter longer than most, or more."
        yield Remark("look", f"Time stamps jitter in {many}: {listed(jitter)}. {text}")
    off = [
        f"{f.recording} ({f.norm / STANDARD_GRAVITY:.2f} g)"
        for f in quality.known
        if f.norm is not None and abs(f.norm / STANDARD_GRAVITY - 1) > _OTHER_NORM
    ]
    if off:
        many = plural(len(off), "recording")
        text = "Vigorous movement has this effect, and so has a wrong scale."
        yield Remark("look", f"The median acceleration of {many} is not near 1 g: {listed(off)}. {text}")
    repeated = [f for f in quality.known if f.repeated]
    if repeated:
        samples = plural(sum(f.repeated for f in repeated), "sample")
        names = listed([f.recording for f in repeated])
        yield Remark(
            "look", f"{samples} of {plural(len(repeated), 'recording')} share another one's time stamp: {names}."
        )


@dataclass(frozen=True)
class ClockRow:
    """The build's estimate of the clocks of one recording; see ``clock_sync.apply_offset``.

    ``offset_s`` is the offset in the middle of the recording, ``apart_s`` the largest offset.
    """

    recording: str
    offset_s: float | None
    apart_s: float | None
    drift_ppm: float | None
    confidence: float | None
    verdict: str
    note: str


def clocks_of(quality: Quality) -> list[ClockRow]:
    """List recordings with estimated clocks: disagreeing clocks first, and large offsets before small ones."""
    found = []
    for facts in quality.known:
        if said := describe_agreement(facts.clock):
            offset, drift, confidence = (
                _number(facts.clock.get(f"clock_{name}")) for name in ("offset_s", "drift_ppm", "confidence")
            )
            apart = _number(facts.clock.get("clock_apart_s", offset))
            note = str(facts.clock.get("clock_note", ""))
            found.append(ClockRow(facts.recording, offset, apart, drift, confidence, said, note))
    return sorted(found, key=lambda row: (-(_VERDICTS.index(row.verdict)), -abs(row.apart_s or 0)))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _clocks(quality: Quality) -> Iterator[Remark]:
    rows = clocks_of(quality)
    dropped = {one.name for one in quality.recordings if any(row["reason"] in WHOLE for row in one.left_out)}
    off = [row for row in rows if row.verdict == "disagree" and row.recording not in dropped]
    if off:
        text = f"The clocks of camera and sensor disagree by more than {DISAGREE_S} s, and nothing was shifted"
        names = [f"{row.recording} ({row.apart_s or 0:+.2f} s)" for row in off]
        yield Remark("problem", f"{text}, in {plural(len(off), 'recording')}: {listed(names)}.")
    likely = [f"{row.recording} ({row.apart_s or 0:+.2f} s)" for row in rows if row.verdict == "seem to disagree"]
    if likely:
        text = f"The clocks of camera and sensor seem to disagree by more than {DISAGREE_S} s"
        yield Remark("look", f"{text}, in {plural(len(likely), 'recording')}: {listed(likely)}.")
    shifted = [f"{row.recording} ({row.apart_s or 0:+.2f} s)" for row in rows if row.verdict == "disagreed, shifted"]
    if shifted:
        text = "The sensor's stamps were shifted because the clocks disagreed"
        yield Remark("look", f"{text}, in {plural(len(shifted), 'recording')}: {listed(shifted)}.")
    unknown = [row.recording for row in rows if row.verdict in ("can't tell", "not looked at")]
    if unknown:
        many = f"{len(unknown)} of {plural(len(rows), 'recording')}"
        yield Remark("look", f"It is unknown if the clocks of camera and sensor agree in {many}: {listed(unknown)}.")


def _video(quality: Quality) -> Iterator[Remark]:
    little = []
    for facts in quality.known:
        if facts.video_begin_s is None or facts.video_end_s is None:
            continue
        both = min(facts.end_s, facts.video_end_s) - max(facts.begin_s, facts.video_begin_s) - facts.frame_hole_s
        if both < _COVERED * facts.duration_s:
            little.append(f"{facts.recording} ({share(max(0.0, both), facts.duration_s)})")
    if little:
        many = plural(len(little), "recording")
        yield Remark(
            "look", f"The video covers less than {_COVERED:.0%} of the sensor's time in {many}: {listed(little)}."
        )


def _labels(quality: Quality) -> Iterator[Remark]:
    subjects: dict[str, set[str]] = defaultdict(set)
    for recording in quality.recordings:
        for activity in recording.activities:
            subjects[activity].add(recording.subject)
    unlabelled = sum(recording.activities[""] for recording in quality.recordings)
    if unlabelled and len(subjects) > 1:
        yield Remark("look", f"{share(unlabelled, quality.kept)} of the kept windows have no label.")
    lonely = [name for name, who in sorted(subjects.items()) if name and len(who) == 1]
    if lonely and len(quality.by_subject) > 1:
        verb = "comes" if len(lonely) == 1 else "come"
        yield Remark("look", f"{listed(lonely)} {verb} from one subject only, and can't be tested on other subjects.")
