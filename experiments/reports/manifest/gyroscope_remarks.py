"""Remarks on a gyroscope beside its accelerometer: unit, axes, lag, and whether both are of one recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from datamodules.sources.manifest.spec import AccelerationSpec, GyroscopeSpec
from experiments.reports.manifest.causes import acceleration_cause, gyroscope_cause
from experiments.reports.manifest.facts import RecordingFacts
from experiments.reports.manifest.motion_facts import MotionFacts
from experiments.reports.manifest.remark import Remark, some
from experiments.reports.manifest.turning import LARGEST_LAG_S, Turning

Pairs = Sequence[tuple[RecordingFacts, MotionFacts]]
_MIXED = 0.01  # share of placeholders that spoils what rest tells
_SWING = 8.0  # factor between a gyroscope and what a swinging accelerometer shows of it
_SURE_LAG_S = 0.05  # a filter in the sensor delays by up to this
_SURE_FIT_MOVING = 0.9  # where the sensor is never steady
_SURE_FIT = 0.7  # correlation
_NO_FIT = 0.6  # of a gyroscope that is of another recording: those of real ones reach 0.93 where the sensor is steady
_NEARLY, _TIMES_WORSE = 0.9, 4.0  # of what a fit leaves unexplained
_SURE_GAIN = 1.0  # of what the best fit leaves unexplained


def has_placeholders(facts: MotionFacts) -> bool:
    """Whether accelerations are mixed with so many that stand for lost samples that they tell no unit."""
    return any(p.channels[0] < 3 and p.samples > _MIXED * facts.samples for p in facts.placeholders)


def sound(spec: AccelerationSpec, facts: MotionFacts) -> bool:
    """Whether the accelerometer's direction can be gravity's: a scale doesn't turn it, an offset does."""
    if has_placeholders(facts) or np.isnan(facts.rest.norm):
        return not has_placeholders(facts)
    cause = acceleration_cause(spec, facts.rest.norm, facts.rest.spread, facts.unsigned)
    return not cause or "look like" in cause or "off by" in cause


def judge_gyroscope(where: str, acceleration: AccelerationSpec, spec: GyroscopeSpec, pairs: Pairs) -> Iterator[Remark]:
    """Unit and axes; where the accelerometer itself is wrong, rates alone."""
    rates = [s.fast_rate for _, s in pairs if not np.isnan(s.fast_rate)]
    if not (pairs := [(f, s) for f, s in pairs if sound(acceleration, s)]):
        if rates and (cause := gyroscope_cause(spec, max(rates), None)):
            yield Remark(True, f"{where}: gyroscope: {cause}")
        return
    turnings = [s.turning for _, s in pairs if s.turning is not None]
    fitting = [t for t in turnings if t.correlation > 0.4]
    factor = _factor(fitting)
    if rates and (cause := gyroscope_cause(spec, max(rates), factor)):
        yield Remark(True, f"{where}: gyroscope: {cause}")
    other = [t for t in turnings if t.other_correlation > _least_fit(t) and _fits_better(t)]
    lagging = [s for _, s in pairs if s.lag is not None and s.lag.correlation > 0.6 > s.lag.unmoved]
    if len(other) > len(turnings) / 2 and len(lagging) <= len(turnings) / 2:
        names = [t.other_axes for t in other]
        axes = max(set(names), key=names.count)
        yield Remark(
            True,
            f"{where}: the gyroscope's axes don't fit the accelerometer's: gravity turns as if its x y z were {axes} "
            "of what was declared (are the columns in the right order, and both sensors' axes the same?)",
        )
    strange = [
        (f.name, best) for f, s in pairs if s.turning is not None and s.turning.steady and (best := _best(s)) < _NO_FIT
    ]
    if strange:
        yield Remark(
            True,
            f"{where}: {some([n for n, _ in strange])}: the gyroscope does not fit how gravity turns in the "
            f"accelerometer, with no order of axes and no lag up to {LARGEST_LAG_S:g} s (correlation at best "
            f"{max(best for _, best in strange):.2f}): are both of one recording, and on one clock?",
        )
    if not turnings:
        yield Remark(False, f"{where}: the sensor turns too little to compare its gyroscope with its accelerometer")
    elif not fitting and not other and not lagging and not strange:
        yield Remark(False, f"{where}: whether the gyroscope's unit is right can't be told from how gravity turns")


def _least_fit(turning: Turning) -> float:
    """Correlation that is needed for a claim; a swinging arm may look like other axes, too."""
    return 0.6 if turning.steady else 0.85


def _fits_better(turning: Turning) -> bool:
    """Whether other axes fit so much better that it is no chance; two that turn alike, exchanged, still fit in part."""
    found, declared = turning.other_correlation, turning.correlation
    nearly = turning.steady and found > _NEARLY and 1 - declared > _TIMES_WORSE * (1 - found)
    return found > declared + 0.25 or (nearly and declared < _NEARLY)


def _best(facts: MotionFacts) -> float:
    """Correlation of the gyroscope with gravity's turning, with the best axes and the best lag."""
    assert facts.turning is not None
    return max(facts.turning.other_correlation, facts.lag.correlation if facts.lag is not None else 0.0)


def _factor(fitting: Sequence[Turning]) -> float | None:
    """What the angular rates miss; None if it can't be told."""
    sure = [t.factor for t in fitting if t.steady and t.correlation > _SURE_FIT]
    if sure:
        return float(np.median(sure))
    # A swinging arm looks like a scale that is some times too large or too small.
    rough = [t.factor for t in fitting if t.correlation > _SURE_FIT]
    factor = float(np.median(rough)) if rough else 1.0
    return factor if not 1 / _SWING < factor < _SWING else None


def judge_lag(where: str, pairs: Pairs) -> Iterator[Remark]:
    """The gyroscope's clock against the accelerometer's."""
    for fact, s in pairs:
        lag = s.lag
        # A swinging arm looks like a gyroscope that is late or early by a part of the swing.
        steady = s.turning is not None and s.turning.steady
        least, widest = (_SURE_FIT, 0.2) if steady else (_SURE_FIT_MOVING, 0.1)
        if lag is None or lag.correlation < least:
            continue
        if lag.high - lag.low > (max(widest, abs(lag.seconds)) if steady else widest):
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
