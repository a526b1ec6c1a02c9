"""From a figure that can't be right to the setting that is probably wrong.

A sensor at rest measures 9.81 m/s^2, that is 1 g, 1000 mg, or as many counts as its scale has in one g. What stands in
the file at rest therefore says the unit, whatever was declared.
"""

from __future__ import annotations

import math

from datamodules.signal import DEGREE, G
from datamodules.sources.manifest.spec import AccelerationSpec, GyroscopeSpec
from datamodules.sources.manifest.units import acceleration_scale, gyroscope_scale

FINE, TOLERABLE = 0.10, 0.20  # deviation of the norm at rest from g
FASTEST = 50.0  # rad/s; the widest gyroscopes end at 70, those of wearables at 35
_CLOSE = 0.06
_HALF, _NOTHING = 0.5, 0.01
_NO_GRAVITY = 0.2
_MOVING = (0.3, 3.0)  # of g, as the build takes a median for a person's
_AT_REST = {  # what stands in the file at rest -> what that is
    G: "m/s^2: set unit: m/s^2",
    1.0: "g: set unit: g",
    1000.0: "mg: set unit: mg",
    1 / G: f"g that were divided by 9.81 once more: set unit: lsb and per_g: {1 / G:.4f}",
    G * G: f"m/s^2 that were multiplied by 9.81 once more: set unit: lsb and per_g: {G * G:.2f}",
    1000 * G: f"mm/s^2 (or mg times 9.81): set unit: lsb and per_g: {1000 * G:.1f}",
    100 * G: f"cm/s^2: set unit: lsb and per_g: {100 * G:.2f}",
}
_COUNTS = [2**k for k in range(6, 17)]  # counts in one g, as data sheets have them: 64 to 65536


def acceleration_cause(spec: AccelerationSpec, rest_norm: float, rest_spread: float, unsigned: bool = False) -> str:
    """Why the norm at rest is not 9.81 m/s^2; empty if it is, within 10 %.

    Args:
        spec: what was declared.
        rest_norm: m/s^2 at rest, as the declared unit makes it.
        rest_spread: standard deviation over mean of the norm, at rest.
        unsigned: no value is negative.
    """
    if abs(rest_norm / G - 1) <= FINE:
        return ""
    found = rest_norm / acceleration_scale(spec)
    # Without gravity, what is left at rest is noise: its norm varies as much as it is large.
    if rest_spread > 0.2 and rest_norm < 0.5 * G:
        return "this looks like acceleration without gravity ('linear acceleration'): export the raw acceleration"
    if unsigned and spec.unit == "lsb":
        return (
            f"declared is lsb with per_g: {spec.per_g:g}; no value is negative: these look like unsigned counts, with "
            "no acceleration in the middle of their range (or negative ones beyond it): export them with their sign"
        )
    close = sorted((abs(math.log(found / value)), text) for value, text in _AT_REST.items() if _near(found, value))
    texts = [f"these look like {text}" for _, text in close]
    texts += [
        f"these look like raw counts with {n} in one g: set unit: lsb and per_g: {n}"
        for n in _COUNTS
        if _near(found, n) and not (spec.unit == "lsb" and _near(spec.per_g, n))
    ]
    declared = f"declared is {spec.unit}" + (f" with per_g: {spec.per_g:g}" if spec.unit == "lsb" else "")
    if texts:
        return f"{', or '.join(texts)} ({declared})"
    if abs(rest_norm / G - 1) <= TOLERABLE:
        return f"{declared}; off by {rest_norm / G - 1:+.0%}: the sensor needs calibration, or it was never at rest"
    # A scale that is off by a part is an offset, or a sensor that needs calibration; next to nothing is no scale.
    if _HALF <= rest_norm / G <= 1 / _HALF or found < _NOTHING:
        return (
            f"{declared}; no unit makes {found:.4g} in the file 9.81 m/s^2: does the sensor measure, and is it "
            "calibrated?"
        )
    return (
        f"{declared}; no unit makes {found:.4g} in the file 9.81 m/s^2: if the device's scale is known, set unit: lsb "
        f"and per_g; {found:.4g} in one g would fit"
    )


def moving_cause(spec: AccelerationSpec, norm: float, steady: float = 1.0) -> str:
    """Why the norm of a sensor that never rests can't be right; empty if it may be. Advises no scale.

    Args:
        spec: what was declared.
        norm: m/s^2, median in movement, as the declared unit makes it.
        steady: length of the mean acceleration of some seconds over ``norm``.
    """
    if steady < _NO_GRAVITY:
        return (
            "the sensor never rests, but over some seconds its acceleration comes to nothing: this looks like "
            "acceleration without gravity ('linear acceleration'): export the raw acceleration"
        )
    if _MOVING[0] <= norm / G <= _MOVING[1]:
        return ""
    found = norm / acceleration_scale(spec)
    units = [unit for unit, one in (("m/s^2", G), ("g", 1.0), ("mg", 1000.0)) if 0.7 <= found / one <= 2.0]
    units = [unit for unit in units if unit != spec.unit]
    looks = f"these look like {units[0]}: set unit: {units[0]}" if len(units) == 1 else "is the unit right?"
    return (
        f"the sensor never rests, but its acceleration is {norm:.3g} m/s^2 in the median, expected some 9.81: {looks} "
        f"(declared is {spec.unit})"
    )


def gyroscope_cause(spec: GyroscopeSpec, fast_rate: float, factor: float | None) -> str:
    """Why the angular rates can't be right; empty if they can.

    Args:
        spec: what was declared.
        fast_rate: rad/s that one sample in a thousand exceeds, as the declared unit makes it.
        factor: that makes the rates fit the turning of gravity; None if that can't be told.
    """
    impossible = fast_rate > FASTEST
    if not impossible and (factor is None or 0.5 <= factor <= 2):
        return ""
    scale = gyroscope_scale(spec)
    declared = f"declared is {spec.unit}" + (f" with per_deg_s: {spec.per_deg_s:g}" if spec.unit == "lsb" else "")
    if impossible:
        seen = f"rates reach {fast_rate:.4g} rad/s, nobody turns faster than {FASTEST:g}"
    else:
        assert factor is not None
        seen = f"in the accelerometer gravity turns {factor:.3g} times as fast as the gyroscope says"
        if factor < 1:
            seen = f"the gyroscope says {1 / factor:.3g} times the rate at which gravity turns in the accelerometer"
    if factor is not None:
        fitting = [unit for unit, value in (("deg/s", DEGREE), ("rad/s", 1.0)) if 0.6 < factor * scale / value < 1.7]
        if fitting and fitting[0] != spec.unit:
            return f"{seen}: these look like {fitting[0]} ({declared})"
        return f"{seen}: per_deg_s near {DEGREE / (factor * scale):.3g} would fit ({declared})"
    if spec.unit == "rad/s" and fast_rate * DEGREE <= FASTEST:
        return f"{seen}: these look like deg/s ({declared})"
    return f"{seen}: these look like raw counts: set unit: lsb and per_deg_s ({declared})"


def _near(a: float, b: float) -> bool:
    return a > 0 and b > 0 and abs(math.log(a / b)) <= _CLOSE
