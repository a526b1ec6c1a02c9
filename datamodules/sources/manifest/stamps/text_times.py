"""Times written as text: ISO 8601, ``h:m:s``, or a declared format; with an offset, in a named zone, or neither."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from datamodules.recording import FloatArray

ISO, CLOCK = "iso8601", "h:m:s"
_CLOCK = re.compile(r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)")
_TWO_PARTS = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d")
_DATE = re.compile(r"\d{4}-?\d{2}-?\d{2}[T ]\d{2}")
_OFFSET = re.compile(r"(?:Z|z|[+-]\d{2}:?(?:\d{2})?)\s*$")
_FORMAT_OFFSET = re.compile(r"(?<!%)(?:(?:Z|UTC|GMT)|([+-])(\d{2}):?(\d{2})?)\s*$")  # as letters of a format
_TIME_OF_DAY = re.compile(r"\d[T ](.*)", re.DOTALL)  # after the date, whose own -05 is no offset
_SLASHED = re.compile(
    r"\s*(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?:([ T,;_]+)(\d{1,2}):(\d{2})(:\d{2})?([.,:]\d+)?)?(.*)"
)


class TimeTextError(ValueError):
    """A time that can't be read; ``row`` counts from 0 within what was given, ``hint`` says what would help."""

    def __init__(self, row: int, text: str, hint: str = "") -> None:
        super().__init__(f"{text!r} is no time that can be read{hint}")
        self.row, self.text, self.hint = row, text, hint


@dataclass
class TimeText:
    """How times are written.

    Attributes:
        unit: ``iso8601`` or ``h:m:s``; unused with a format.
        format: as ``strptime`` has it; empty for none.
        zone: of times without an offset; empty takes them as UTC.
        offsets: whether times with an offset, and times without one, were read so far.
        two_parts: whether all times of day that were read are like 20:30: hours and minutes, or minutes and seconds.
    """

    unit: str
    format: str = ""
    zone: str = ""

    def __post_init__(self) -> None:
        self.offsets: set[bool] = set()
        self._seen_parts: set[bool] = set()

    @property
    def dated(self) -> bool:
        """Whether they tell the day; times of day begin anew at midnight."""
        return self.unit == ISO if not self.format else bool(re.search(r"%[dj]", self.format))

    @property
    def two_parts(self) -> bool:
        """See the class."""
        return self._seen_parts == {True}

    @property
    def expected(self) -> str:
        """For messages."""
        if self.format:
            return f"a time written as '{self.format}' (time.format)"
        return "a date and time (iso8601)" if self.unit == ISO else "h:m:s"

    def read(self, texts: list[str | None]) -> FloatArray:
        """Seconds since 1970 (UTC), or since midnight; None becomes NaN.

        Raises:
            TimeTextError: one can't be read.
        """
        if self.format:
            return self._formatted(texts)
        if self.unit == CLOCK:
            self._seen_parts |= {bool(_TWO_PARTS.fullmatch(text.strip())) for text in texts if text is not None}
            return np.array([_clock(row, text) for row, text in enumerate(texts)], np.float64)
        for row in range(len(texts)) if len(texts) < 1000 else (0, len(texts) - 1):
            # pandas also takes a bare number for a year.
            if (text := texts[row]) is not None and not _DATE.match(text.strip()):
                raise TimeTextError(row, text)
        try:
            return self._since_1970(texts)
        except (ValueError, OverflowError, TypeError):
            for row, text in enumerate(texts):
                try:
                    self._since_1970([text])
                except TimeTextError as error:
                    raise TimeTextError(row, str(text), error.hint) from error
                except (ValueError, OverflowError, TypeError) as error:
                    raise TimeTextError(row, str(text)) from error
            raise

    def read_one(self, text: str) -> float:
        """One time.

        Raises:
            TimeTextError: it can't be read.
        """
        return float(self.read([text])[0])

    def reads(self, text: str) -> bool:
        """Whether a text is such a time; leaves no trace."""
        try:
            return bool(np.isfinite(TimeText(self.unit, self.format, self.zone).read_one(text)))
        except TimeTextError:
            return False

    def read_stamps(self, nanoseconds: NDArray[np.int64], missing: NDArray[Any], zoned: bool) -> FloatArray:
        """Seconds of a column that holds dates, not text; NaN where missing."""
        self.offsets.add(zoned)
        if zoned or not self.zone:
            return seconds_of_dates(nanoseconds, missing)
        series = pd.Series(nanoseconds.astype("datetime64[ns]"))
        series[missing] = pd.NaT
        return self._local(series)

    def _since_1970(self, texts: list[str | None]) -> FloatArray:
        clocks = [_TIME_OF_DAY.search(text) for text in texts if text is not None]
        there = {bool(_OFFSET.search(clock[1])) for clock in clocks if clock}
        self.offsets |= there
        series = pd.Series(texts, dtype=object)
        if self.zone and there == {False}:
            return self._local(pd.to_datetime(series, format="ISO8601", errors="raise"))
        if self.zone and there == {False, True}:
            return np.concatenate([self._since_1970([text]) for text in texts])
        return _seconds(pd.to_datetime(series, utc=True, format="ISO8601", errors="raise"))

    def _formatted(self, texts: list[str | None]) -> FloatArray:
        series = pd.Series(texts, dtype=object).str.strip()
        zoned = bool(re.search("%[zZ]", self.format))
        fixed = None if zoned else _offset_in(self.format)
        parsed = pd.to_datetime(series, format=self.format, errors="coerce", utc=zoned)
        # A time that happens to fall on a whole second is often written without a fraction.
        whole = re.sub(r"[.,]%f", "", self.format)
        if whole != self.format and (left := parsed.isna() & series.notna()).any():
            parsed[left] = pd.to_datetime(series[left], format=whole, errors="coerce", utc=zoned)
        bad = (parsed.isna() & series.notna()).to_numpy()
        if bad.any():
            row = int(np.argmax(bad))
            raise TimeTextError(row, str(texts[row]))
        self.offsets.add(zoned or fixed is not None)
        if not self.dated:  # pandas puts times of day on the first day of 1900
            return _seconds(parsed) - pd.Timestamp("1900-01-01").timestamp()
        if fixed is not None:
            return _seconds(parsed) - fixed
        return self._local(parsed) if self.zone and not zoned else _seconds(parsed)

    def _local(self, series: pd.Series) -> FloatArray:
        """Of an hour that is there twice, the first one is taken: ``order`` sees where the clock is put back.

        Raises:
            TimeTextError: a time was never shown in the zone, because clocks were put forward over it.
        """
        first: NDArray[np.bool_] = np.ones(len(series), bool)
        there = series.dt.tz_localize(self.zone, ambiguous=first, nonexistent="NaT")
        if (lost := (there.isna() & series.notna()).to_numpy()).any():
            row = int(np.argmax(lost))
            raise TimeTextError(
                row,
                str(series.iloc[row]),
                f"; in {self.zone} clocks were put forward over it (daylight saving), so this clock was not: set zone "
                "to one that keeps one time, e.g. Etc/GMT-1 for UTC+1 (its sign is the other way round)",
            )
        return _seconds(there.dt.tz_convert("UTC"))


def _offset_in(form: str) -> float | None:
    """Seconds from UTC where a format ends in a fixed offset, as ``%H:%M:%SZ`` does; None where it has none."""
    if not (match := _FORMAT_OFFSET.search(form)):
        return None
    seconds = int(match[2] or 0) * 3600.0 + int(match[3] or 0) * 60.0
    return -seconds if match[1] == "-" else seconds


def seconds_of_dates(nanoseconds: NDArray[np.int64], missing: NDArray[Any]) -> FloatArray:
    """Seconds since 1970, NaN where missing; a double keeps them to a quarter of a microsecond."""
    return np.where(missing, np.nan, nanoseconds / 1e9)


def _seconds(stamps: pd.Series) -> FloatArray:
    nanoseconds = stamps.dt.as_unit("ns").to_numpy("datetime64[ns]").astype(np.int64)
    return seconds_of_dates(nanoseconds, stamps.isna().to_numpy())


def _clock(row: int, text: str | None) -> float:
    if text is None:
        return float("nan")
    match = _CLOCK.fullmatch(text.strip())
    if not match or int(match[2]) > 59 or float(match[3].replace(",", ".")) >= 60:
        raise TimeTextError(row, text)
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3].replace(",", "."))


def likely_setting(text: str, declared: TimeText | None) -> str:
    """Which unit or format would read a time, for a message; "" for none."""
    if declared is not None and not declared.format:
        if declared.unit == ISO and _CLOCK.fullmatch(text.strip()):
            return f"set the unit to {CLOCK}, which is the time of day"
        if declared.unit == CLOCK and _DATE.match(text.strip()):
            return f"set the unit to {ISO}"
        if number := re.fullmatch(r"\s*(\d{5,19})([.,]\d*)?\s*", text):
            digits = len(number[1])
            unit = (
                "days" if digits < 7 else "s" if digits < 12 else "ms" if digits < 15 else "us" if digits < 18 else "ns"
            )
            return f"it is a number: set the unit to {unit} if it counts those"
    likely = likely_format(text)
    if not likely or (declared is not None and likely == f'"{declared.format}"'):
        return ""
    which = ", whichever puts the day and the month right" if " or " in likely else ""
    return f"set time.format: {likely}{which}"


def likely_format(text: str) -> str:
    """The format that a time probably has, for a message; day and month where they can't be told apart. "" for none."""
    match = _SLASHED.fullmatch(text)
    if match and match[6]:
        first, sign, second, third = match[1], match[2], match[3], match[4]
        if len(first) == 4:
            dates = [f"%Y{sign}%m{sign}%d"]
        else:
            year = "%Y" if len(third) == 4 else "%y"
            dates = [f"%d{sign}%m{sign}{year}"] * (int(second) <= 12) + [f"%m{sign}%d{sign}{year}"] * (int(first) <= 12)
        return " or ".join(f'"{date}{match[5]}{_likely_clock(match, 6)}"' for date in dates)
    half = re.fullmatch(r"\s*()()()()()(\d{1,2}):(\d{2})(:\d{2})?([.,]\d+)?(\s*[AaPp][Mm])\s*", text)
    return f'"{_likely_clock(half, 6)}"' if half else ""


def _likely_clock(match: re.Match[str], at: int) -> str:
    behind = (match[at + 4] or "").rstrip()
    half = re.fullmatch(r"(\s*)[AaPp][Mm]", behind)
    text = f"{'%I' if half else '%H'}:%M" + (":%S" if match[at + 2] else "")
    text += f"{match[at + 3][0]}%f" if match[at + 3] else ""
    if half:
        return f"{text}{half[1]}%p"
    return text + ("%z" if _OFFSET.fullmatch(behind.strip()) else "")


def is_zone(name: str) -> bool:
    """Whether a zone of that name is known."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
