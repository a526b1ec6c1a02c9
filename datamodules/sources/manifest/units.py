"""Units of measurement and of time, as they stand in a manifest, into m/s^2, rad/s and seconds."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datamodules.recording import FloatArray
from datamodules.signal import DEGREE, MILLI_G, G
from datamodules.sources.manifest.spec import AccelerationSpec, GyroscopeSpec

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}  # of one tick
TEXT_TIMES = ("iso8601", "h:m:s")
_ACCELERATION = {"m/s^2": 1.0, "g": G, "mg": MILLI_G}
_GYROSCOPE = {"rad/s": 1.0, "deg/s": DEGREE}
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
_DATE = re.compile(r"\d{4}-?\d{2}-?\d{2}[T ]\d{2}")

SLOWEST_HZ, FASTEST_HZ = 5.0, 5000.0  # no motion sensor is beyond; more than 20 to 1000 Hz needs a look


class TimeTextError(ValueError):
    """A time that can't be read; ``row`` counts from 0 within what was given."""

    def __init__(self, row: int, text: str) -> None:
        super().__init__(text)
        self.row, self.text = row, text


def acceleration_scale(spec: AccelerationSpec) -> float:
    """m/s^2 of one unit."""
    return G / spec.per_g if spec.unit == "lsb" else _ACCELERATION[spec.unit]


def gyroscope_scale(spec: GyroscopeSpec) -> float:
    """rad/s of one unit."""
    return DEGREE / spec.per_deg_s if spec.unit == "lsb" else _GYROSCOPE[spec.unit]


def read_times(texts: list[str | None], unit: str) -> FloatArray:
    """Seconds of stamps written as dates and times (since 1970, UTC) or as h:m:s; None becomes NaN.

    Raises:
        TimeTextError: one can't be read.
    """
    if unit == "h:m:s":
        return np.array([_clock(row, text) for row, text in enumerate(texts)], np.float64)
    for row in range(len(texts)) if len(texts) < 1000 else (0, len(texts) - 1):
        # pandas also takes a bare number for a year.
        if (text := texts[row]) is not None and not _DATE.match(text.strip()):
            raise TimeTextError(row, text)
    try:
        return _since_1970(texts)
    except (ValueError, OverflowError, TypeError):
        for row, text in enumerate(texts):
            try:
                _since_1970([text])
            except (ValueError, OverflowError, TypeError) as error:
                raise TimeTextError(row, str(text)) from error
        raise


def read_time(text: str, unit: str) -> float:
    """Seconds of one stamp in any unit.

    Raises:
        TimeTextError: it can't be read.
    """
    if unit in TEXT_TIMES:
        return float(read_times([text], unit)[0])
    try:
        value = float(text) * SECONDS[unit]
    except (ValueError, OverflowError) as error:
        raise TimeTextError(0, text) from error
    if not np.isfinite(value):
        raise TimeTextError(0, text)
    return value


def _since_1970(texts: list[str | None]) -> FloatArray:
    stamps = pd.to_datetime(pd.Series(texts, dtype=object), utc=True, format="ISO8601", errors="raise")
    return seconds_of_dates(
        stamps.dt.as_unit("ns").to_numpy("datetime64[ns]").astype(np.int64), stamps.isna().to_numpy()
    )


def seconds_of_dates(nanoseconds: NDArray[np.int64], missing: NDArray[Any]) -> FloatArray:
    """Seconds since 1970, NaN where missing; a double keeps them to a quarter of a microsecond."""
    return np.where(missing, np.nan, nanoseconds / 1e9)


def _clock(row: int, text: str | None) -> float:
    if text is None:
        return float("nan")
    match = _CLOCK.fullmatch(text.strip())
    if not match or int(match[2]) > 59 or float(match[3].replace(",", ".")) >= 60:
        raise TimeTextError(row, text)
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3].replace(",", "."))


def likely_time_unit(rate_hz: float, unit: str) -> str:
    """The unit that stamps probably have, where the declared one gives this rate; "" if none makes sense."""
    if unit not in SECONDS or not rate_hz > 0:
        return ""
    for other, seconds in SECONDS.items():
        if other != unit and 10 <= rate_hz * SECONDS[unit] / seconds <= 2000:
            return other
    return ""
