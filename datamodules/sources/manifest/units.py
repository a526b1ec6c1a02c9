"""Units of measurement and of time, as they stand in a manifest, into m/s^2, rad/s and seconds."""

from __future__ import annotations

import datetime
import zoneinfo

import numpy as np
from numpy.typing import NDArray

from datamodules.signal import DEGREE, MILLI_G, G
from datamodules.sources.manifest.spec import AccelerationSpec, GyroscopeSpec, LabelsSpec, TimeSpec
from datamodules.sources.manifest.stamps.text_times import TimeText, TimeTextError

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "days": 86400.0}  # of one tick
TEXT_TIMES = ("iso8601", "h:m:s")
_ACCELERATION = {"m/s^2": 1.0, "g": G, "mg": MILLI_G}
_GYROSCOPE = {"rad/s": 1.0, "deg/s": DEGREE}
_DAY_0 = datetime.datetime(1899, 12, 30)  # of spreadsheets, for all days from March 1900 on

EPOCH_S = 1e8  # seconds; stamps beyond three years count from 1970
SLOWEST_HZ, FASTEST_HZ = 5.0, 5000.0  # no motion sensor is beyond; more than 20 to 1000 Hz needs a look


def acceleration_scale(spec: AccelerationSpec) -> float:
    """m/s^2 of one unit."""
    return G / spec.per_g if spec.unit == "lsb" else _ACCELERATION[spec.unit]


def gyroscope_scale(spec: GyroscopeSpec) -> float:
    """rad/s of one unit."""
    return DEGREE / spec.per_deg_s if spec.unit == "lsb" else _GYROSCOPE[spec.unit]


def counts_from_1970(times: NDArray[np.float64], spec: TimeSpec | LabelsSpec) -> bool:
    """Whether stamps, in their unit, count from 1970, which is always UTC; those of a device's start are smaller."""
    counted = {**SECONDS, "days": 0.0}  # spreadsheets count days from 1900, by the local clock
    return bool(abs(float(np.median(times))) * counted.get(spec.unit, 0.0) > EPOCH_S)


def calendar_shift(first: float, spec: TimeSpec, zone: str) -> float:
    """Seconds to add to a spreadsheet's days, which count from 1900 by the local clock, so that they count from 1970.

    Args:
        first: stamp of the recording, in seconds. Its offset from UTC holds for all, as for a clock without a zone.
        spec: how the stamps are written.
        zone: of the local clock; empty for UTC.

    Returns:
        0 for stamps that are no days of a calendar.
    """
    if spec.unit != "days" or spec.format or first < EPOCH_S:
        return 0.0
    local = _DAY_0 + datetime.timedelta(seconds=first)
    return local.replace(tzinfo=zoneinfo.ZoneInfo(zone or "UTC")).timestamp() - first


def is_text(spec: TimeSpec | LabelsSpec) -> bool:
    """Whether its times are written as text."""
    return bool(spec.format) or spec.unit in TEXT_TIMES


def text_of(spec: TimeSpec | LabelsSpec) -> TimeText:
    """How its times are written, where they are text."""
    return TimeText(spec.unit, spec.format, spec.zone)


def read_time(text: str, spec: TimeSpec) -> float:
    """Seconds of one stamp.

    Raises:
        TimeTextError: it can't be read.
    """
    if is_text(spec):
        try:
            return text_of(spec).read_one(text)
        except TimeTextError:
            # A stamp in a manifest may be written as dates are, whatever the file has.
            return TimeText("iso8601", zone=spec.zone).read_one(text) if spec.format else text_of(spec).read_one(text)
    try:
        value = float(text) * SECONDS[spec.unit]
    except (ValueError, OverflowError) as error:
        raise TimeTextError(0, text) from error
    if not np.isfinite(value):
        raise TimeTextError(0, text)
    return value


def likely_time_unit(rate_hz: float, unit: str) -> str:
    """The unit that stamps probably have, where the declared one gives this rate; "" if none makes sense."""
    if unit not in SECONDS or not rate_hz > 0:
        return ""
    for other, seconds in SECONDS.items():
        if other != unit and 10 <= rate_hz * SECONDS[unit] / seconds <= 2000:
            return other
    return ""
