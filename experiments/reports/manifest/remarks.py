"""Facts of all recordings -> what is a problem, and what is worth knowing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datamodules.signal import G
from datamodules.sources.manifest.spec import GroupSpec, ManifestSpec, SensorSpec
from datamodules.sources.manifest.units import acceleration_scale, gyroscope_scale
from experiments.reports.manifest.causes import acceleration_cause, gyroscope_cause
from experiments.reports.manifest.facts import RecordingFacts
from experiments.reports.manifest.motion_facts import MotionFacts
from experiments.reports.manifest.words import duration

_NAMED = 3
_EPOCH = 1e8  # seconds; stamps beyond three years count from 1970


@dataclass(frozen=True)
class Remark:
    """A problem, or a note that needs no action."""

    problem: bool
    text: str


def judge(manifest: ManifestSpec, facts: Sequence[RecordingFacts]) -> list[Remark]:
    """All remarks, group by group; what several recordings share is said once."""
    remarks = [Remark(True, fact.error) for fact in facts if fact.error]
    for name, group in manifest.groups.items():
        mine = [fact for fact in facts if fact.group == name and not fact.error]
        for imu in group.imu:
            for placement, sensor in imu.sensors.items():
                pairs = [(f, s) for f in mine for s in f.sensors if s.placement == placement]
                if pairs:
                    remarks += _judge_sensor(f"{name}, {placement}", sensor, pairs)
        remarks += _judge_clock(name, group, mine)
        remarks += _judge_videos(name, group, mine)
        if group.labels is not None:
            remarks += _judge_labels(name, mine)
    return remarks


Pairs = Sequence[tuple[RecordingFacts, MotionFacts]]


def _judge_sensor(where: str, sensor: SensorSpec, pairs: Pairs) -> Iterator[Remark]:
    yield from _judge_acceleration(where, sensor, pairs)
    if sensor.gyroscope is not None:
        yield from _judge_gyroscope(where, sensor, pairs)
    for fact, s in pairs:
        if s.alternating:
            yield Remark(
                True,
                f"{where}: {fact.name}: accelerometer and gyroscope are there in different rows; "
                "expected both in every row (write them into one, at the times of one of them)",
            )
        elif s.lost > 0.5:
            yield Remark(True, f"{where}: {fact.name}: {s.lost:.0%} of the samples are missing values")
        elif s.lost > 0.01:
            yield Remark(False, f"{where}: {fact.name}: {s.lost:.1%} of the samples are missing values")
    for named, what, largest, scale, limit, unit in _ranges(sensor, pairs):
        if limit and largest > 1.02 * limit * scale:
            yield Remark(
                True,
                f"{where}: {named}: the {what} reaches {largest / scale:.4g} {unit}, beyond its declared range of "
                f"{limit:g} {unit}",
            )
    clipped = [
        f.name for f, s in pairs if not sensor.acceleration.range and s.largest > 1.5 * G and s.largest_count > 9
    ]
    if clipped:
        yield Remark(
            False,
            f"{where}: {_some(clipped)}: the largest acceleration is there many times over, as if clipped: give the "
            "device's 'range', so that saturated windows are found",
        )


def _judge_acceleration(where: str, sensor: SensorSpec, pairs: Pairs) -> Iterator[Remark]:
    by_cause: dict[str, list[tuple[str, float]]] = {}
    for fact, s in pairs:
        if np.isnan(s.rest_norm):
            continue
        cause = acceleration_cause(sensor.acceleration, s.rest_norm, s.rest_spread)
        if cause:
            by_cause.setdefault(cause, []).append((fact.name, s.rest_norm))
    for cause, found in by_cause.items():
        norms = [norm for _, norm in found]
        yield Remark(
            "calibration" not in cause,
            f"{where}: {_some([name for name, _ in found])}: at rest the acceleration is {np.median(norms):.3g} m/s^2, "
            f"expected 9.81: {cause}",
        )
    axes = [s.gravity_axis for _, s in pairs if max(map(abs, s.gravity)) > 0.8]
    usual = max(set(axes), key=axes.count) if axes else ""
    opposite = [f.name for f, s in pairs if usual and max(map(abs, s.gravity)) > 0.8 and s.gravity_axis[1] == usual[1]
                and s.gravity_axis != usual]  # fmt: skip
    if opposite:
        yield Remark(False, f"{where}: {_some(opposite)}: worn the other way round than the rest (up is not {usual})")


def _judge_gyroscope(where: str, sensor: SensorSpec, pairs: Pairs) -> Iterator[Remark]:
    assert sensor.gyroscope is not None
    turnings = [s.turning for _, s in pairs if s.turning is not None]
    fitting = [t for t in turnings if t.correlation > 0.4]
    factor = float(np.median([t.factor for t in fitting])) if fitting else None
    fast = float(np.nanmax([s.fast_rate for _, s in pairs]))
    if cause := gyroscope_cause(sensor.gyroscope, fast, factor):
        yield Remark(True, f"{where}: gyroscope: {cause}")
    other = [t for t in turnings if t.other_correlation > 0.6 and t.other_correlation > t.correlation + 0.25]
    if len(other) > len(turnings) / 2:
        names = [t.other_axes for t in other]
        axes = max(set(names), key=names.count)
        yield Remark(
            True,
            f"{where}: the gyroscope's axes don't fit the accelerometer's: gravity turns as if its x y z were {axes} "
            "of what was declared (are the columns in the right order, and both sensors' axes the same?)",
        )
    if not turnings:
        yield Remark(False, f"{where}: the sensor turns too little to compare its gyroscope with its accelerometer")
    elif not fitting and not other:
        yield Remark(False, f"{where}: whether the gyroscope's unit is right can't be told from how gravity turns")


def _judge_clock(name: str, group: GroupSpec, facts: Sequence[RecordingFacts]) -> Iterator[Remark]:
    rates = [(fact.name, s.rate_hz) for fact in facts for s in fact.sensors[:1]]
    if rates:
        usual = float(np.median([rate for _, rate in rates]))
        if not 20 <= usual <= 1000:
            yield Remark(True, f"{name}: the IMU's rate is {usual:.4g} Hz; expected 20 to 1000")
        if other := [f"{n} ({rate:.4g} Hz)" for n, rate in rates if abs(rate / usual - 1) > 0.05]:
            yield Remark(False, f"{name}: {_some(other)}: another rate than the usual {usual:.4g} Hz")
    for fact in facts:
        s = fact.sensors[0]
        share = s.gap_s / max(fact.length_s, 1e-9)
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
            yield Remark(False, f"{name}: {_some(lacking)}: without the video of camera '{video.camera}'")
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
                f"data ({fact.start_s:.2f} to {fact.end_s:.2f} s): are labels.clock and labels.unit right?",
            )
        if fact.doubly_s > 0.5:
            yield Remark(False, f"{name}: {fact.name}: {fact.doubly_s:.1f} s have more than one activity")
    length, covered = sum(fact.length_s for fact in facts), sum(total.values())
    if total and covered < 0.01 * length:
        yield Remark(
            True, f"{name}: labels cover only {duration(covered)} of {duration(length)}: is labels.unit right?"
        )
    if facts and not total:
        yield Remark(True, f"{name}: no recording has a label, though the manifest names labels")
    alike: Mapping[str, list[str]] = {}
    alike = {key: [a for a in total if _folded(a) == key] for key in {_folded(a) for a in total}}
    for names in alike.values():
        if len(names) > 1:
            text = ", ".join(f"'{n}'" for n in sorted(names))
            yield Remark(True, f"{name}: the activities {text} differ in spelling only; labels.names can make them one")


def _ranges(sensor: SensorSpec, pairs: Pairs) -> Iterator[tuple[str, str, float, float, float, str]]:
    """Recording, what, largest value, scale of its unit, declared range and unit."""
    for fact, s in pairs:
        a = sensor.acceleration
        yield fact.name, "acceleration", s.largest, acceleration_scale(a), a.range, a.unit
        if sensor.gyroscope is not None:
            g = sensor.gyroscope
            yield fact.name, "angular rate", s.largest_rate, gyroscope_scale(g), g.range, g.unit


def _folded(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
