"""Checks of a manifest that the types of its fields cannot express, before any file is read."""

from __future__ import annotations

import codecs
import datetime
from collections.abc import Sequence
from typing import NoReturn

from core.suggestions import did_you_mean
from datamodules.formats.tsdf import TIME_ENCODINGS
from datamodules.formats.video import FITS
from datamodules.sources.manifest import spec as s
from datamodules.sources.manifest.errors import ManifestError, shown
from datamodules.sources.manifest.stamps.text_times import is_zone
from datamodules.sources.manifest.units import is_text, text_of

_UNIT_ALIASES = {
    "m/s2": "m/s^2", "m/s²": "m/s^2", "m/s/s": "m/s^2", "dps": "deg/s", "°/s": "deg/s", "degrees/s": "deg/s",
    "G": "g", "mG": "mg", "LSB": "lsb", "counts": "lsb", "raw": "lsb", "µs": "us", "seconds": "s", "iso": "iso8601",
}  # fmt: skip


def check_manifest(manifest: s.ManifestSpec, file: str) -> None:
    """Raise a ManifestError that names the first key that makes no sense."""
    if not manifest.groups:
        raise ManifestError(f"{file}: groups: expected at least one group of files")
    for name, group in manifest.groups.items():
        _check_group(group, f"{file}: groups.{name}")


def _check_group(group: s.GroupSpec, where: str) -> None:
    if not group.imu:
        _fail(f"{where}.imu", "expected at least one entry: which files hold motion data")
    placements: list[str] = []
    accelerations: list[str] = []
    gyroscopes: list[str] = []
    for i, imu in enumerate(group.imu):
        _check_imu(imu, f"{where}.imu.{i}")
        placements += imu.sensors
        accelerations += [placement for placement, sensor in imu.sensors.items() if sensor.acceleration is not None]
        gyroscopes += [placement for placement, sensor in imu.sensors.items() if sensor.gyroscope is not None]
        if imu.time.restarts == "parts" and group.imu[0].time.restarts != "parts":
            _fail(f"{where}.imu.{i}.time.restarts", "the first entry's files say which recordings there are, and it is")
    if group.imu[0].optional:
        _fail(f"{where}.imu.0.optional", "the first entry's files say which recordings there are; they can't lack it")
    for placement in placements:
        if placement not in accelerations:
            _fail(f"{where}.imu", f"the sensor at {placement} has no 'acceleration' in any entry; expected its columns")
    _check_once(accelerations, f"{where}.imu", "sensors are at the placement")
    _check_once(gyroscopes, f"{where}.imu", "gyroscopes are at the placement")
    _check_once([video.camera for video in group.videos], f"{where}.videos", "cameras are named")
    for i, video in enumerate(group.videos):
        _check_choice(video.fit, FITS, f"{where}.videos.{i}.fit")
        if not video.camera:
            _fail(f"{where}.videos.{i}.camera", "expected a name")
    if group.labels is not None:
        _check_labels(group.labels, f"{where}.labels")
    if group.details is not None:
        _check_csv(group.details.csv, f"{where}.details.csv")
        if not group.details.csv.header:
            _fail(f"{where}.details.csv.header", "the details' columns need names")
    _check_choice(group.orphans, ("error", "allow"), f"{where}.orphans")
    for key in ("subject", "population"):
        if not getattr(group, key).strip():
            _fail(f"{where}.{key}", "expected a name")
    for name, person in group.people.items():
        if not person.strip() or person in group.people:
            _fail(f"{where}.people.{name}", f"expected the person's name, found {shown(person)}")
    time = group.imu[0].time
    if time.column is None and group.zero != s.STAMPS:
        _fail(f"{where}.zero", "samples that come by a rate have no stamps; expected no 'zero'")
    if time.column is not None and is_text(time) and text_of(time).dated and group.zero == s.STAMPS:
        _fail(
            f"{where}.zero",
            f"stamps that are dates don't show 0 at the recording's time 0 (the video's start); expected "
            f"'{s.FIRST_SAMPLE}', a date and time, or a column of the details",
        )
    if len({imu.time.column is None for imu in group.imu}) > 1 and group.zero != s.STAMPS:
        _fail(f"{where}.zero", "one entry of 'imu' has stamps, another a rate: nothing says how they fit together")


def _check_imu(imu: s.ImuSpec, where: str) -> None:
    _check_choice(imu.format, s.FORMATS, f"{where}.format")
    _check_csv(imu.csv, f"{where}.csv")
    _check_choice(imu.tsdf.scale_factors, ("", "apply", "ignore"), f"{where}.tsdf.scale_factors")
    _check_choice(imu.tsdf.time, ("", *TIME_ENCODINGS), f"{where}.tsdf.time")
    if not imu.sensors:
        _fail(f"{where}.sensors", "expected at least one: the placement, and its columns")
    time = imu.time
    if (time.column is None) == (time.rate_hz == 0):
        _fail(f"{where}.time", "expected either a column with its unit, or rate_hz")
    if time.column is not None:
        _check_column(time.column, f"{where}.time.column")
        _check_when(time, f"{where}.time")
        _check_choice(time.repeated, ("error", "first"), f"{where}.time.repeated")
        _check_choice(time.restarts, ("error", "parts"), f"{where}.time.restarts")
    elif time.format or time.zone or time.restarts != "error":
        _fail(f"{where}.time", "samples that come by a rate have no stamps; expected no format, zone or restarts")
    elif not 5 <= time.rate_hz <= 5000:
        _fail(f"{where}.time.rate_hz", f"expected 20 to 1000 samples a second, found {shown(time.rate_hz)}")
    if isinstance(imu.rows, list) and not imu.rows:
        _fail(f"{where}.rows", "expected at least one column with its value, or no 'rows'")
    for rule in imu.row_rules:
        _check_column(rule.column, f"{where}.rows.column")
    for placement, sensor in imu.sensors.items():
        at = f"{where}.sensors.{placement}"
        if placement == "any":
            _fail(at, "'any' is no place on a body; expected e.g. right_wrist")
        acceleration = sensor.acceleration
        if acceleration is not None:
            _check_part(acceleration, acceleration.per_g, "per_g", s.ACCELERATION_UNITS, f"{at}.acceleration")
        elif sensor.gyroscope is None:
            _fail(at, "expected 'acceleration', 'gyroscope', or both")
        if (twice := sensor.twice) is not None:
            _fail(at, f"column {shown(twice)} stands for two axes; expected a column of its own for each")
        _check_choice(sensor.zeros, ("keep", "lost"), f"{at}.zeros")
        _check_choice(sensor.non_wear, ("keep", "drop"), f"{at}.non_wear")
        for key, asked in (("calibrate", sensor.calibrate), ("non_wear", sensor.non_wear != "keep")):
            if asked and acceleration is None:
                _fail(f"{at}.{key}", "it is about the acceleration; expected it beside the entry's 'acceleration'")
        if sensor.gyroscope is not None:
            _check_part(sensor.gyroscope, sensor.gyroscope.per_deg_s, "per_deg_s", s.GYROSCOPE_UNITS, f"{at}.gyroscope")


def _check_when(when: s.TimeSpec | s.LabelsSpec, where: str) -> None:
    """Unit or format, and zone."""
    if when.format:
        if when.unit not in ("", "s", "iso8601", "h:m:s") or "%" not in when.format:
            _fail(f"{where}.format", f"expected e.g. '%d/%m/%Y %H:%M:%S.%f', and no unit; found {shown(when.format)}")
        try:
            text = datetime.datetime(2024, 3, 25, 13, 45, 59, 123000, datetime.timezone.utc).strftime(when.format)
            text_of(when).read_one(text)
        except (ValueError, TypeError, OverflowError):
            _fail(f"{where}.format", f"{shown(when.format)} can't be read back; expected e.g. '%d/%m/%Y %H:%M:%S.%f'")
        if "%p" in when.format and "%I" not in when.format:
            _fail(f"{where}.format", "AM and PM (%p) count with the hours of a twelve-hour clock only; expected %I")
    else:
        _check_choice(when.unit, s.TIME_UNITS, f"{where}.unit")
    if when.zone:
        if not is_text(when) or not text_of(when).dated:
            _fail(f"{where}.zone", "only dates are in a zone; expected unit: iso8601, or a format with a date")
        if not is_zone(when.zone):
            _fail(f"{where}.zone", f"no zone {shown(when.zone)}; expected e.g. Europe/Berlin or UTC")


def _check_part(
    part: s.AccelerationSpec | s.GyroscopeSpec, counts: float, key: str, units: Sequence[str], where: str
) -> None:
    if len(part.columns) != 3:
        _fail(f"{where}.columns", f"expected three columns, for x, y, z; found {len(part.columns)}")
    for i, column in enumerate(part.columns):
        _check_column(column, f"{where}.columns.{i}")
    _check_choice(part.unit, units, f"{where}.unit")
    if part.unit == "lsb" and not 1e-6 <= counts <= 1e9:
        _fail(f"{where}.{key}", f"raw counts need their scale; expected a number above 0, found {shown(counts)}")
    if part.unit != "lsb" and counts:
        _fail(f"{where}.{key}", f"only raw counts (unit: lsb) have a scale; the unit is {part.unit}")
    if not 0 <= part.range <= 1e9:
        _fail(f"{where}.range", f"expected the largest value in {part.unit}, or 0; found {shown(part.range)}")


def _check_labels(labels: s.LabelsSpec, where: str) -> None:
    from_names = isinstance(labels.activity, str) and "{" in labels.activity
    if from_names + (labels.column is not None) + (labels.files != "") != 1:
        _fail(
            where,
            "expected either 'files' (tables of intervals), or 'column' (of the IMU file), or 'activity' with a "
            "{group} of the IMU files' names",
        )
    for key in ("start", "end", "activity"):
        _check_column(getattr(labels, key), f"{where}.{key}")
    if labels.column is not None:
        _check_column(labels.column, f"{where}.column")
    _check_when(labels, where)
    _check_choice(labels.clock, ("video", "imu"), f"{where}.clock")
    if is_text(labels) and text_of(labels).dated and labels.clock == "video" and labels.files:
        _fail(f"{where}.clock", "labels with dates are on the clock of the IMU's stamps; expected 'imu'")
    _check_csv(labels.csv, f"{where}.csv")
    for text, name in labels.names.items():
        if not name.strip():
            _fail(f"{where}.names.{text}", "expected a name (what has no label goes into 'unlabelled')")


def _check_csv(csv: s.CsvSpec, where: str) -> None:
    if csv.separator and (len(csv.separator) != 1 or not csv.separator.isascii() or csv.separator in '"\r\n\0'):
        _fail(f"{where}.separator", f"expected one character, found {shown(csv.separator)}")
    _check_choice(csv.decimal, (".", ","), f"{where}.decimal")
    if csv.decimal == (csv.separator or ","):
        _fail(f"{where}.separator", f"columns and decimals are both told by '{csv.decimal}'; expected another")
    if len(csv.comment) > 8 or csv.comment != csv.comment.strip() or not csv.comment.isascii():
        _fail(f"{where}.comment", f"expected the sign before comments, e.g. '%'; found {shown(csv.comment)}")
    if csv.thousands:
        bad = len(csv.thousands) != 1 or csv.thousands.isalnum() or csv.thousands in "+-[]^\\\0\r\n"
        if bad or csv.thousands in (csv.decimal, csv.separator):
            _fail(
                f"{where}.thousands", f"expected another sign than for decimals, e.g. ','; found {shown(csv.thousands)}"
            )
    if csv.separator and (csv.separator.isalnum() or csv.separator in "+-."):
        _fail(f"{where}.separator", f"'{csv.separator}' is a part of numbers or names; expected e.g. ',' or ';'")
    for key in ("skip_lines", "skip_below_header"):
        if not 0 <= getattr(csv, key) <= 10_000:
            _fail(f"{where}.{key}", f"expected a number of lines, found {shown(getattr(csv, key))}")
    try:
        "".encode(csv.encoding)
        name = codecs.lookup(csv.encoding).name
        if csv.comment and name.startswith(("utf-16", "utf-32", "utf-7")):
            _fail(f"{where}.comment", f"not with {csv.encoding}; expected utf-8, cp1252 or the like")
    except (LookupError, ValueError, TypeError):
        _fail(f"{where}.encoding", f"no encoding {shown(csv.encoding)}; expected e.g. utf-8, cp1252, utf-16")


def _check_column(column: s.Column, where: str) -> None:
    if isinstance(column, int) and column < 1:
        _fail(where, f"columns are counted from 1; found {column}")
    if isinstance(column, str) and not column.strip():
        _fail(where, "expected a column's name or number")


def _check_choice(value: str, choices: Sequence[str], where: str) -> None:
    if value in choices:
        return
    alias = _UNIT_ALIASES.get(value, "")
    hint = f"; did you mean '{alias}'?" if alias in choices else did_you_mean(value, choices)
    _fail(where, f"expected one of {', '.join(filter(None, choices))}; found {shown(value)}{hint}")


def _check_once(names: Sequence[str], where: str, what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            _fail(where, f"{names.count(name)} {what} '{name}'; expected each once")


def _fail(where: str, text: str) -> NoReturn:
    raise ManifestError(f"{where}: {text}")
