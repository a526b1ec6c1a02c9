"""The columns of a sensor's file, or of several that are one recording, in memory that holds the samples and no more.

Shape legend: N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, RecordingError
from datamodules.sources.manifest import units
from datamodules.sources.manifest.spec import Column, ImuSpec, RowsSpec, SensorSpec
from datamodules.sources.manifest.spelling import composed, folded
from datamodules.sources.manifest.stamps.text_times import TimeText
from datamodules.sources.manifest.table import NUMBER, TEXT, TIME, Table, Wanted
from datamodules.sources.manifest.tables import open_table
from datamodules.windows.quality.placeholders import zero_holes

_FINITE = "expected a finite number; does it stand for a missing value? then name it in csv.null"

_LISTED = 10  # values of a column that a message names


class NoRowsError(RecordingError):
    """A file without any row of the sensor that the manifest names."""


@dataclass
class Columns:
    """What files hold, in their order.

    Attributes:
        path: the first file.
        times: (N,) seconds as the stamps stand there; empty without stamps.
        values: placement -> (N, 6) in m/s^2 and rad/s; NaN for what an entry doesn't have.
        label_codes: (N,) numbers of ``label_names``, -1 for none; None if no column of labels was asked for.
        label_names: texts of the column of labels.
        restarts: samples before which a header is there again.
        left_out: what was not read, in words.
        notes: what else is to be said of the files.
        offsets: whether stamps with an offset from UTC, and stamps without one, were read.
    """

    path: Path
    times: FloatArray
    values: dict[str, FloatArray]
    label_codes: NDArray[np.int32] | None
    label_names: list[str]
    restarts: list[int]
    left_out: list[str]
    notes: list[str]
    offsets: set[bool]
    tables: list[tuple[int, Table]]
    rows: NDArray[np.int64] | None = None

    @property
    def size(self) -> int:
        """N."""
        return len(next(iter(self.values.values())))

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Leave out all other samples."""
        self.rows = self.rows[rows] if self.rows is not None else rows
        self.times = self.times[rows] if self.times.size else self.times
        self.values = {placement: array[rows] for placement, array in self.values.items()}
        if self.label_codes is not None:
            self.label_codes = self.label_codes[rows]
        self.restarts = np.searchsorted(rows, self.restarts).tolist()

    def place(self, sample: int) -> str:
        """File and line of a sample, for messages."""
        row = int(self.rows[sample]) if self.rows is not None else sample
        first, table = next(entry for entry in reversed(self.tables) if entry[0] <= row)
        return f"{table.path}, {table.place(row - first)}"


def read_columns(paths: Sequence[Path], spec: ImuSpec, label_column: Column | None) -> Columns:
    """Read files one behind the other.

    Raises:
        RecordingError: one isn't what was declared; the message names file, line, column, what was found and expected.
        NoRowsError: it has no row of this sensor.
    """
    wanted = _wanted(spec, label_column)
    tables = [open_table(path, spec.format, spec.csv, wanted, salvage=True, tsdf=spec.tsdf) for path in paths]
    most = sum(table.most_rows() for table in tables)
    timed = spec.time.column is not None
    times = np.empty(most if timed else 0)
    values = {placement: np.empty((most, 6)) for placement in spec.sensors}
    codes = np.empty(most, np.int32) if label_column is not None else None
    rules = spec.row_rules
    mine = np.ones(most, bool) if rules else None
    names: list[str] = []
    found = Columns(paths[0], times, values, codes, names, [], [], [], set(), [])
    n = 0
    for table in tables:
        found.tables.append((n, table))
        found.restarts += [n + row for row in table.restarts]
        many = f"{table.path.name}: " if len(tables) > 1 else ""
        found.left_out += [many + text for text in table.left_out]
        found.notes += [many + text for text in table.notes]
        first_row = n
        for batch in table.batches():
            end = n + len(batch[-1])
            if timed:
                good = np.isfinite(batch[0])
                _require(table, n - first_row, good, batch[0], wanted[0], "expected a time in every row")
                times[n:end] = batch[0]
            column = int(timed)
            for placement, sensor in spec.sensors.items():
                column = _fill(values[placement][n:end], batch, column, sensor, table, n - first_row)
            if codes is not None:
                codes[n:end] = _numbered(batch[column], table.vocabularies[column].names, names)
                column += 1
            if mine is not None:
                for at, rule in enumerate(rules, column):
                    texts = table.vocabularies[at].names
                    value = composed(rule.value)
                    mine[n:end] &= batch[at] == (texts.index(value) if value in texts else -2)
            n = end
        if mine is not None and not mine[first_row:n].any():
            raise NoRowsError(f"{table.path}: no row has {_shown_rules(table, rules)}")
        found.notes += [many + text for text in _alike(table, rules)]
    found.offsets = wanted[0].time.offsets if wanted[0].time is not None else set()
    if timed and wanted[0].time is None and n and units.counts_from_1970(times[:n], spec.time):
        found.offsets = {True}
    # The scale of a unit is applied once, in place: a product of a day's stamps would be another day's.
    found.times = times[:n] if timed else times
    if timed:
        found.times *= units.SECONDS.get(spec.time.unit, 1.0) if not units.is_text(spec.time) else 1.0
    found.values = {placement: array[:n] for placement, array in values.items()}
    found.label_codes = codes[:n] if codes is not None else None
    if mine is not None:
        found.keep(np.flatnonzero(mine[:n]))
    for placement, sensor in spec.sensors.items():
        if sensor.zeros == "lost":
            _lose_zeros(found.values[placement])
    return found


def _shown_rules(table: Table, rules: Sequence[RowsSpec]) -> str:
    """What was looked for, and what there is, column by column."""
    parts = []
    for at, rule in enumerate(rules, len(table.wanted) - len(rules)):
        there = ", ".join(table.vocabularies[at].names[:_LISTED])
        parts.append(f"'{rule.value}' in column '{rule.column}' (there are: {there})")
    return " and ".join(parts)


def _alike(table: Table, rules: Sequence[RowsSpec]) -> Iterator[str]:
    """Values that differ from the one looked for in spelling only: their rows are not read."""
    for at, rule in enumerate(rules, len(table.wanted) - len(rules)):
        value = composed(rule.value)
        for text in table.vocabularies[at].names:
            if text != value and folded(text) == folded(value):
                yield (
                    f"rows with '{text}' in column '{rule.column}' are left out: expected '{rule.value}'; are they of "
                    "this sensor, too?"
                )


def column_batches(path: Path, spec: ImuSpec) -> Iterator[tuple[Table, int, FloatArray, FloatArray]]:
    """Read a file of one sensor in batches that are never in memory together.

    Yields:
        The table, the number of the batch's first row, its times (n,) in seconds as the stamps stand there (empty
        without stamps), and its values (n, 6) in m/s^2 and rad/s, NaN for a gyroscope that is not declared.

    Raises:
        RecordingError: the file isn't what was declared; the message names file, line, column, found and expected.
    """
    wanted = _wanted(spec, None)
    table = open_table(path, spec.format, spec.csv, wanted, salvage=True)
    timed = spec.time.column is not None
    (sensor,) = spec.sensors.values()
    row = 0
    for batch in table.batches():
        times, values = np.empty(0), np.empty((len(batch[-1]), 6))
        if timed:
            _require(table, row, np.isfinite(batch[0]), batch[0], wanted[0], "expected a time in every row")
            times = batch[0] * (1.0 if units.is_text(spec.time) else units.SECONDS[spec.time.unit])
        _fill(values, batch, int(timed), sensor, table, row)
        if sensor.zeros == "lost":
            _lose_zeros(values)
        yield table, row, times, values
        row += len(values)


def _lose_zeros(values: FloatArray) -> None:
    """Rows of zeros become NaN, in place.

    An accelerometer shows gravity, so its zeros are none. A gyroscope that rests may give zeros: lost are those beside
    zeros of the accelerometer, and those in the midst of movement.
    """
    lost = (values[:, :3] == 0).all(axis=1)
    turning = values[:, 3:]
    lost_too = (turning == 0).all(axis=1) & (lost | zero_holes(turning))
    values[lost, :3] = np.nan
    turning[lost_too] = np.nan


def _wanted(spec: ImuSpec, label_column: Column | None) -> list[Wanted]:
    """Columns in the order: time, sensors, label, which sensor a row is of."""
    wanted = []
    if spec.time.column is not None:
        time: TimeText | None = units.text_of(spec.time) if units.is_text(spec.time) else None
        wanted.append(Wanted(spec.time.column, TIME if time is not None else NUMBER, "time", time, spec.time.unit))
    for placement, sensor in spec.sensors.items():
        for name, part in (("acceleration", sensor.acceleration), ("gyroscope", sensor.gyroscope)):
            if part is not None:
                wanted += [
                    Wanted(column, NUMBER, f"{name} {axis} at {placement}", unit=part.unit)
                    for axis, column in zip("xyz", part.columns, strict=True)
                ]
    if label_column is not None:
        wanted.append(Wanted(label_column, TEXT, "activity"))
    return wanted + [Wanted(rule.column, TEXT, "which sensor the row is of") for rule in spec.row_rules]


def _fill(target: FloatArray, batch: list[NDArray[Any]], first: int, sensor: SensorSpec, table: Table, row: int) -> int:
    """One sensor's columns of a batch, scaled; returns the next column."""
    parts = [
        (0, units.acceleration_scale(sensor.acceleration)) if sensor.acceleration is not None else None,
        (3, units.gyroscope_scale(sensor.gyroscope)) if sensor.gyroscope is not None else None,
    ]
    for at, part in zip((0, 3), parts, strict=True):
        if part is None:
            target[:, at : at + 3] = np.nan
            continue
        for axis in range(3):
            column = batch[first]
            with np.errstate(over="ignore"):
                scaled = column * part[1]
            _require(table, row, ~np.isinf(scaled), column, table.wanted[first], _FINITE)
            target[:, at + axis] = scaled
            first += 1
    return first


def _numbered(codes: NDArray[np.int32], texts: list[str], names: list[str]) -> NDArray[np.int32]:
    """A file's numbers of texts as those of all files; ``names`` grows."""
    for text in texts:
        if text not in names:
            names.append(text)
    return np.array([*(names.index(text) for text in texts), -1], np.int32)[codes]


def _require(
    table: Table, row: int, good: NDArray[np.bool_], values: NDArray[Any], entry: Wanted, expected: str
) -> None:
    if not good.all():
        bad = int(np.argmin(good))
        found = "nothing" if np.isnan(values[bad]) else f"{values[bad]}"
        where = f"{table.path}, {table.place(row + bad)}, column '{entry.column}' ({entry.what})"
        raise RecordingError(f"{where}: found {found}; {expected}")
