"""Remarks on one sensor: units, axes, clocks of its parts, values that can't be, parts that hang."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from datamodules.signal import G
from datamodules.sources.manifest.spec import AccelerationSpec, GyroscopeSpec, SensorSpec
from datamodules.sources.manifest.units import acceleration_scale, gyroscope_scale
from experiments.reports.manifest.causes import acceleration_cause, gyroscope_cause, moving_cause
from experiments.reports.manifest.facts import RecordingFacts
from experiments.reports.manifest.motion_facts import MotionFacts
from experiments.reports.manifest.remark import Remark, some
from experiments.reports.manifest.wear_remarks import judge_wear

Pairs = Sequence[tuple[RecordingFacts, MotionFacts]]
_FITS = (0.7, 1.35)  # norm in slow movement over g
_SURE_LAG_S = 0.05  # a filter in the sensor delays by up to this
_SURE_FIT = 0.7  # correlation
_SURE_GAIN = 1.0  # of what the best fit leaves unexplained
_MANY_IMPOSSIBLE = 0.001  # share of the samples; fewer are faults of single samples
_SENTINELS = (99, 999, 9999, 99999, 999.9, 9999.9, 999.99, 9999.99)  # what stands for a missing value
_STUCK_NOTE, _STUCK_PROBLEM = 0.01, 0.2  # of the time
# Noise moves any accelerometer; a gyroscope may be cut to 0 by its device while it rests.
_HANGS = {"accelerometer": 0.05, "gyroscope": 0.6}


def judge_sensor(where: str, sensor: SensorSpec, pairs: Pairs) -> Iterator[Remark]:
    """All remarks on one placement; ``sensor`` has both of its parts, wherever they were declared."""
    assert sensor.acceleration is not None
    yield from _judge_impossible(where, sensor, pairs)
    yield from _judge_stuck(where, sensor, pairs)
    yield from judge_wear(where, sensor, pairs)
    yield from _judge_acceleration(where, sensor.acceleration, pairs)
    if sensor.gyroscope is not None:
        alive = [(f, s) for f, s in pairs if s.stuck[1] is not None and s.stuck[1].zero_rows < 1]
        if alive:
            yield from _judge_gyroscope(where, sensor.gyroscope, alive)
            yield from _judge_lag(where, alive)
    for fact, s in pairs:
        if s.still_s:
            hours = s.still_s / 3600
            yield Remark(False, f"{where}: {fact.name}: {hours:.1f} h without any movement: was the sensor not worn?")
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
    clipped = [
        f.name
        for f, s in pairs
        if not sensor.acceleration.range
        and s.largest > 1.5 * G
        and s.largest_count > 9
        and s.stuck[0].whole_s < 0.2 * (s.last_s - s.first_s)
    ]
    if clipped:
        yield Remark(
            False,
            f"{where}: {some(clipped)}: the largest acceleration is there many times over, as if clipped: give the "
            "device's 'range', so that saturated windows are found",
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
            text += "; were digits or columns mixed up on export?"
        yield Remark(many, text)


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
                    "shows gravity; with 'zeros: lost' beside the sensor's columns they count as missing",
                )
            elif stuck.whole_s > _STUCK_NOTE * length:
                share = stuck.whole_s / length
                yield Remark(
                    share > _HANGS[name],
                    f"{at} hangs for {share:.0%} of the time ({stuck.whole_s:.4g} s without a change of any bit): the "
                    "build leaves such windows out",
                )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def _judge_acceleration(where: str, spec: AccelerationSpec, pairs: Pairs) -> Iterator[Remark]:
    by_cause: dict[str, list[tuple[str, float]]] = {}
    fits, unclear = [], []
    for fact, s in pairs:
        rest = s.rest
        if np.isnan(rest.median) or not np.isnan(s.stuck[0].constant).any():
            continue
        if not np.isnan(rest.norm):
            if cause := acceleration_cause(spec, rest.norm, rest.spread):
                by_cause.setdefault(cause, []).append((fact.name, rest.norm))
            else:
                fits.append(fact.name)
        elif not np.isnan(rest.slow) and _FITS[0] <= rest.slow / G <= _FITS[1]:
            fits.append(fact.name)
        else:
            moving = rest.slow if not np.isnan(rest.slow) else rest.median
            if cause := moving_cause(spec, moving):
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


def _judge_gyroscope(where: str, spec: GyroscopeSpec, pairs: Pairs) -> Iterator[Remark]:
    turnings = [s.turning for _, s in pairs if s.turning is not None]
    fitting = [t for t in turnings if t.correlation > 0.4]
    factor = float(np.median([t.factor for t in fitting])) if fitting else None
    rates = [s.fast_rate for _, s in pairs if not np.isnan(s.fast_rate)]
    if rates and (cause := gyroscope_cause(spec, max(rates), factor)):
        yield Remark(True, f"{where}: gyroscope: {cause}")
    other = [t for t in turnings if t.other_correlation > 0.6 and t.other_correlation > t.correlation + 0.25]
    lagging = [s for _, s in pairs if s.lag is not None and s.lag.correlation > 0.6 > s.lag.unmoved]
    if len(other) > len(turnings) / 2 and len(lagging) <= len(turnings) / 2:
        names = [t.other_axes for t in other]
        axes = max(set(names), key=names.count)
        yield Remark(
            True,
            f"{where}: the gyroscope's axes don't fit the accelerometer's: gravity turns as if its x y z were {axes} "
            "of what was declared (are the columns in the right order, and both sensors' axes the same?)",
        )
    if not turnings:
        yield Remark(False, f"{where}: the sensor turns too little to compare its gyroscope with its accelerometer")
    elif not fitting and not other and not lagging:
        yield Remark(False, f"{where}: whether the gyroscope's unit is right can't be told from how gravity turns")


def _judge_lag(where: str, pairs: Pairs) -> Iterator[Remark]:
    for fact, s in pairs:
        lag = s.lag
        if lag is None or lag.correlation < _SURE_FIT or lag.high - lag.low > max(0.2, abs(lag.seconds)):
            continue
        surely = lag.low > _SURE_LAG_S or lag.high < -_SURE_LAG_S
        # In walking, what is no gravity swings with the step and shifts the best fit a little, in a flat maximum.
        if surely and lag.correlation - lag.unmoved > _SURE_GAIN * (1 - lag.correlation):
            late = "late" if lag.seconds > 0 else "early"
            yield Remark(
                True,
                f"{where}: {fact.name}: the gyroscope is {abs(lag.seconds):.2f} s {late} against the accelerometer "
                f"(95 %: {min(abs(lag.low), abs(lag.high)):.2f} to {max(abs(lag.low), abs(lag.high)):.2f} s; gravity's "
                f"turning and the angular rate then correlate at {lag.correlation:.2f}, as they are at "
                f"{lag.unmoved:.2f}): were the two put together right?",
            )


def _ranges(sensor: SensorSpec, pairs: Pairs) -> Iterator[tuple[str, str, float, float, float, str]]:
    """Recording, what, largest value, scale of its unit, declared range and unit."""
    for fact, s in pairs:
        a = sensor.acceleration
        assert a is not None
        yield fact.name, "acceleration", s.largest, acceleration_scale(a), a.range, a.unit
        if sensor.gyroscope is not None:
            g = sensor.gyroscope
            yield fact.name, "angular rate", s.largest_rate, gyroscope_scale(g), g.range, g.unit
