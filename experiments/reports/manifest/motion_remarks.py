"""Remarks on one sensor: units, axes, clocks of its parts, values that can't be, parts that hang."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from datamodules.signal import G
from datamodules.sources.manifest.spec import AccelerationSpec, GyroscopeSpec, SensorSpec
from datamodules.sources.manifest.units import acceleration_scale, gyroscope_scale
from datamodules.windows.quality.stuck import Stuck
from experiments.reports.manifest.causes import acceleration_cause, moving_cause
from experiments.reports.manifest.facts import RecordingFacts
from experiments.reports.manifest.gyroscope_remarks import has_placeholders, judge_gyroscope, judge_lag, sound
from experiments.reports.manifest.motion_facts import MotionFacts
from experiments.reports.manifest.remark import Remark, some
from experiments.reports.manifest.wear_remarks import judge_wear

Pairs = Sequence[tuple[RecordingFacts, MotionFacts]]
_FITS = (0.7, 1.35)  # norm in slow movement over g
_MANY_IMPOSSIBLE = 0.001  # share of the samples; fewer are faults of single samples
_SENTINELS = (99, 999, 9999, 99999, 999.9, 9999.9, 999.99, 9999.99)  # what stands for a missing value
_MANY_PLACEHOLDERS = 0.001  # share of the samples
_MANY_CLIPPED = 0.1  # share of the samples
_STUCK_NOTE, _STUCK_PROBLEM = 0.01, 0.2  # of the time
# Noise moves any accelerometer; a gyroscope may be cut to 0 by its device while it rests.
_HANGS = {"accelerometer": 0.05, "gyroscope": 0.6}


def judge_sensor(where: str, sensor: SensorSpec, pairs: Pairs) -> Iterator[Remark]:
    """All remarks on one placement; ``sensor`` has both of its parts, wherever they were declared."""
    assert sensor.acceleration is not None
    yield from _judge_impossible(where, sensor, pairs)
    yield from _judge_stuck(where, sensor, pairs)
    yield from judge_wear(where, sensor, pairs)
    yield from judge_acceleration(where, sensor.acceleration, pairs)
    if sensor.gyroscope is not None:
        alive = with_all_axes(pairs)
        if alive:
            yield from judge_gyroscope(where, sensor.acceleration, sensor.gyroscope, alive)
            yield from judge_lag(where, [(f, s) for f, s in alive if sound(sensor.acceleration, s)])
    for fact, s in pairs:
        if s.still_s:
            hours = s.still_s / 3600
            yield Remark(False, f"{where}: {fact.name}: {hours:.1f} h without any movement: was the sensor not worn?")
        if s.in_turn > 1:
            yield Remark(
                True,
                f"{where}: {fact.name}: the rows jump between {s.in_turn} levels, as if {s.in_turn} sensors took "
                "turns; expected the rows of one: one entry of 'imu' for each sensor, with 'rows' to tell them apart, "
                "or a file for each",
            )
        if s.alternating:
            yield Remark(
                True,
                f"{where}: {fact.name}: accelerometer and gyroscope are there in different rows; expected both in "
                "every row, or one entry of 'imu' for each of them, with 'rows' to tell them apart",
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
    yield from judge_clipped(where, sensor, pairs)


def judge_clipped(where: str, sensor: SensorSpec, pairs: Pairs) -> Iterator[Remark]:
    """A sensor that reaches the end of a range that nobody declared."""
    for i, (name, part) in enumerate((("acceleration", sensor.acceleration), ("angular rate", sensor.gyroscope))):
        if part is None or part.range:
            continue
        clipped = [
            (f.name, s.clipped[i])
            for f, s in pairs
            if (s.clipped[i] > 0 and not s.placeholders and not s.lonely)
            or (
                i == 0
                and s.largest > 1.5 * G
                and s.largest_count > 9
                and not s.placeholders
                and not s.lonely
                and s.stuck[0].whole_s < 0.2 * (s.last_s - s.first_s)
            )
        ]
        if clipped:
            share = max(share for _, share in clipped)
            often = f" (up to {_percent(share)} of the samples)" if share else ""
            yield Remark(
                share > _MANY_CLIPPED,
                f"{where}: {some([n for n, _ in clipped])}: the largest {name} is there many times over{often}, as if "
                "clipped: give the device's 'range', so that saturated windows are found",
            )


def _judge_impossible(where: str, sensor: SensorSpec, pairs: Pairs) -> Iterator[Remark]:
    for fact, s in pairs:
        sentinels = [
            text for number, text in (_as_written(sensor, *entry) for entry in s.lonely) if abs(number) in _SENTINELS
        ]
        if sentinels:
            yield Remark(
                True,
                f"{where}: {fact.name}: {', '.join(sentinels)}, and nothing else comes near: does it stand for a "
                "missing value? then name it in csv.null",
            )
        yield from _judge_placeholders(f"{where}: {fact.name}", sensor, s)
        if not s.impossible:
            continue
        values = [_as_written(sensor, *entry)[1] for entry in s.impossible_values]
        share = s.impossible / s.samples
        many = share > _MANY_IMPOSSIBLE and s.impossible > 3
        text = (
            f"{where}: {fact.name}: {s.impossible} of {s.samples} samples ({_percent(share)}) hold a value that no "
            f"sensor gives, such as {', '.join(values)}: they count as lost"
        )
        again = s.impossible_values[0][2]
        if many and again > 0.3 * s.impossible:
            text += "; does it stand for a missing value? then name it in csv.null"
        elif many and share > 0.5:
            text += "; is the unit right?"
        elif many:
            text += "; is the unit right, or were digits or columns mixed up on export?"
        yield Remark(many, text)


def _judge_placeholders(where: str, sensor: SensorSpec, facts: MotionFacts) -> Iterator[Remark]:
    for found in facts.placeholders:
        written, _ = _as_written(sensor, found.channels[0], found.value, found.samples)
        if abs(written) in _SENTINELS or (written == 0 and found.channels == (0, 1, 2)):
            continue  # said already
        if (
            written == 0
            and found.channels == (3, 4, 5)
            and facts.stuck[0].zero_rows > 0.5 * found.samples / facts.samples
        ):
            continue  # said of the whole row
        part = sensor.acceleration if found.channels[0] < 3 else sensor.gyroscope
        assert part is not None
        columns = " and ".join(f"'{part.columns[channel % 3]}'" for channel in found.channels)
        share = found.samples / facts.samples
        zeros = written == 0 and found.together
        remedy = (
            "with 'zeros: lost' beside 'acceleration' and 'gyroscope' they count"
            if zeros
            else "name it in csv.null, to count"
        )
        yield Remark(
            share > _MANY_PLACEHOLDERS,
            f"{where}: {_percent(share)} of the rows have {written:g} in column{'s' * (len(found.channels) > 1)} "
            f"{columns}, far from the rows before and behind: lost samples? {remedy} as missing",
        )


def _as_written(sensor: SensorSpec, channel: int, value: float, count: int) -> tuple[float, str]:
    """A value as it stands in the file, and in words."""
    part: AccelerationSpec | GyroscopeSpec | None = sensor.acceleration if channel < 3 else sensor.gyroscope
    assert part is not None
    scale = acceleration_scale(part) if isinstance(part, AccelerationSpec) else gyroscope_scale(part)
    number = float(f"{value / scale:.6g}")
    return number, f"{number:g} {part.unit} in column '{part.columns[channel % 3]}' ({count} times)"


def _judge_stuck(where: str, sensor: SensorSpec, pairs: Pairs) -> Iterator[Remark]:
    for fact, s in pairs:
        length = max(s.last_s - s.first_s, 1e-9)
        for name, part, stuck in (
            ("accelerometer", sensor.acceleration, s.stuck[0]),
            ("gyroscope", sensor.gyroscope, s.stuck[1]),
        ):
            if part is None or stuck is None:
                continue
            at = f"{where}: {fact.name}: the {name}"
            constant = [not np.isnan(value) for value in stuck.constant]
            if all(constant):
                leave = "leave it out of the manifest" if name == "gyroscope" else "it can't be used"
                value = "0" if stuck.zero_rows == 1 else "the same"
                yield Remark(True, f"{at} reads {value} throughout: it was off, or is broken; {leave}")
                continue
            for axis, dead in enumerate(constant):
                column = f"column '{part.columns[axis]}' ({name} {'xyz'[axis]})"
                if dead:
                    value = f"{stuck.constant[axis]:.4g}".replace("-0", "0") if not stuck.constant[axis] else "the same"
                    yield Remark(
                        True, f"{where}: {fact.name}: {column} reads {value} throughout: the axis is dead, or the "
                        "column is another one's; the build leaves all windows of this sensor out",
                    )  # fmt: skip
                elif stuck.axes[axis] > _STUCK_NOTE:
                    yield Remark(
                        stuck.axes[axis] > _STUCK_PROBLEM,
                        f"{where}: {fact.name}: {column} hangs for {stuck.axes[axis]:.0%} of the time while the others "
                        "move: the build leaves such windows out",
                    )
            zeros = stuck.zero_rows
            if zeros > _STUCK_NOTE / 10 and name == "accelerometer":
                yield Remark(
                    zeros > _STUCK_NOTE,
                    f"{where}: {fact.name}: {_percent(zeros)} of the rows are all zero: lost samples? an accelerometer "
                    "shows gravity; with 'zeros: lost' beside 'acceleration' they count as missing",
                )
            elif stuck.whole_s > _STUCK_NOTE * length:
                share = stuck.whole_s / length
                yield Remark(
                    share > _HANGS[name],
                    f"{at} hangs for {share:.0%} of the time ({stuck.whole_s:.4g} s without a change of any bit): the "
                    "build leaves such windows out",
                )


def with_all_axes(pairs: Pairs) -> Pairs:
    """Recordings in which every axis of both sensors moves: else gravity's turning says nothing of units and axes."""
    return [(f, s) for f, s in pairs if all(part is not None and _alive(part) for part in s.stuck)]


def _alive(stuck: Stuck) -> bool:
    return bool(np.isnan(stuck.constant).all())


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"


def judge_acceleration(where: str, spec: AccelerationSpec, pairs: Pairs) -> Iterator[Remark]:
    """Unit of the acceleration, by its size at rest or in movement."""
    by_cause: dict[str, list[tuple[str, float]]] = {}
    fits, unclear = [], []
    for fact, s in pairs:
        rest = s.rest
        # Without one of its axes, the acceleration's size tells no unit.
        if np.isnan(rest.median) or not np.isnan(s.stuck[0].constant).all() or has_placeholders(s):
            continue
        if not np.isnan(rest.norm):
            if cause := acceleration_cause(spec, rest.norm, rest.spread, s.unsigned):
                by_cause.setdefault(cause, []).append((fact.name, rest.norm))
            else:
                fits.append(fact.name)
        elif not np.isnan(rest.slow) and _FITS[0] <= rest.slow / G <= _FITS[1]:
            fits.append(fact.name)
        else:
            moving = rest.slow if not np.isnan(rest.slow) else rest.median
            if cause := moving_cause(spec, moving, rest.steady):
                yield Remark(True, f"{where}: {fact.name}: {cause}")
            else:
                unclear.append(fact.name)
    for cause, found in by_cause.items():
        norms = [norm for _, norm in found]
        yield Remark(
            "calibration" not in cause,
            f"{where}: {some([name for name, _ in found])}: at rest the acceleration is {np.median(norms):.3g} m/s^2, "
            f"expected 9.81: {cause}",
        )
    if unclear:
        by = f"; by the sensor's other recordings ({some(fits)}) it is right" if fits else ""
        yield Remark(
            False,
            f"{where}: {some(unclear)}: the sensor never rests, so the unit can't be told from "
            f"{'it' if len(unclear) == 1 else 'them'}{by}",
        )
    sure = [(f, s) for f, s in pairs if not np.isnan(s.rest.norm) and max(map(abs, s.gravity)) > 0.8]
    axes = [s.gravity_axis for _, s in sure]
    usual = max(set(axes), key=axes.count) if axes else ""
    opposite = [f.name for f, s in sure if s.gravity_axis[1] == usual[1] and s.gravity_axis != usual]
    if opposite:
        yield Remark(False, f"{where}: {some(opposite)}: worn the other way round than the rest (up is not {usual})")


def _ranges(sensor: SensorSpec, pairs: Pairs) -> Iterator[tuple[str, str, float, float, float, str]]:
    """Recording, what, largest value, scale of its unit, declared range and unit."""
    for fact, s in pairs:
        a = sensor.acceleration
        assert a is not None
        yield fact.name, "acceleration", s.largest, acceleration_scale(a), a.range, a.unit
        if sensor.gyroscope is not None:
            g = sensor.gyroscope
            yield fact.name, "angular rate", s.largest_rate, gyroscope_scale(g), g.range, g.unit
