"""A file of motion data -> one stream a sensor, in memory that holds the samples and little else.

The samples of a day at 100 Hz (8.6 million rows, 6 axes) take 484 MB as float64. They are read in batches into arrays
that were made for the whole file, and scaled there.

Shape legend: N samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, ImuStream, RecordingError
from datamodules.sources.manifest import units
from datamodules.sources.manifest.spec import Column, ImuSpec, SensorSpec
from datamodules.sources.manifest.table import NUMBER, TEXT, Table, Wanted
from datamodules.sources.manifest.tables import open_table

_LONGEST_GAP_S = 7 * 86400.0  # a stamp further away than a week is no part of the same recording


@dataclass(frozen=True)
class Motion:
    """What a file holds.

    Attributes:
        times: (N,) seconds, as the stamps say.
        values: placement -> (N, 6) in m/s^2 and rad/s.
        label_codes: (N,) numbers of ``label_names``, -1 for none; None if no column of labels was asked for.
        label_names: texts of the column of labels.
        repeated: stamps of samples that were left out because they were there before, seconds.
    """

    times: FloatArray
    values: dict[str, FloatArray]
    label_codes: NDArray[np.int32] | None
    label_names: list[str]
    repeated: FloatArray

    def streams(self, spec: ImuSpec, path: Path, zero: float) -> list[ImuStream]:
        """One stream a sensor; ``zero`` is what the stamps show at the recording's time 0, seconds."""
        times = self.times - zero if zero else self.times
        return [
            ImuStream(
                times=times,
                values=self.values[placement],
                placement=placement,
                device=sensor.device,
                acceleration_range=_range(sensor.acceleration.range, units.acceleration_scale(sensor.acceleration)),
                angular_velocity_range=(
                    _range(sensor.gyroscope.range, units.gyroscope_scale(sensor.gyroscope))
                    if sensor.gyroscope
                    else None
                ),
                origin=str(path),
                repeated=self.repeated - zero,
            )
            for placement, sensor in spec.sensors.items()
        ]


def read_motion(path: Path, spec: ImuSpec, label_column: Column | None = None) -> Motion:
    """Read one file.

    Args:
        path: the file.
        spec: how it is written.
        label_column: a column with one activity a sample.

    Raises:
        RecordingError: it isn't what was declared, or its stamps don't ascend at a rate that a sensor has; the message
            names file, line, column, what was found and what is expected.
    """
    wanted = _wanted(spec, label_column)
    table = open_table(path, spec.format, spec.csv, wanted)
    most = table.most_rows()
    timed = spec.time.column is not None
    times = np.empty(most)
    values = {placement: np.empty((most, 6)) for placement in spec.sensors}
    codes = np.empty(most, np.int32) if label_column is not None else None
    n = 0
    for batch in table.batches():
        end = n + len(batch[-1])
        if timed:
            _require(table, n, np.isfinite(batch[0]), batch[0], wanted[0], "expected a time in every row")
            times[n:end] = batch[0]
        first = int(timed)
        for placement, sensor in spec.sensors.items():
            first = _fill(values[placement][n:end], batch, first, sensor, table, n)
        if codes is not None:
            codes[n:end] = batch[-1]
        n = end
    if n < 2:
        raise RecordingError(f"{path}: {n} samples; expected at least 2")
    times = times[:n]
    if timed:
        times *= units.SECONDS.get(spec.time.unit, 1.0)
    else:
        np.divide(np.arange(n), spec.time.rate_hz, out=times)
    kept = _check_times(table, times, spec) if timed else None
    names = table.vocabularies[len(wanted) - 1].names if label_column is not None else []
    if kept is None:
        kept_values = {placement: array[:n] for placement, array in values.items()}
        return Motion(times, kept_values, codes[:n] if codes is not None else None, names, np.empty(0))
    return Motion(
        times[kept],
        {placement: array[:n][kept] for placement, array in values.items()},
        codes[:n][kept] if codes is not None else None,
        names,
        times[~kept],
    )


def _wanted(spec: ImuSpec, label_column: Column | None) -> list[Wanted]:
    """Columns in the order: time, sensors, label."""
    wanted = []
    if spec.time.column is not None:
        kind = spec.time.unit if spec.time.unit in units.TEXT_TIMES else NUMBER
        wanted.append(Wanted(spec.time.column, kind, "time"))
    for placement, sensor in spec.sensors.items():
        for name, part in (("acceleration", sensor.acceleration), ("gyroscope", sensor.gyroscope)):
            if part is not None:
                wanted += [
                    Wanted(column, NUMBER, f"{name} {axis} at {placement}")
                    for axis, column in zip("xyz", part.columns, strict=True)
                ]
    if label_column is not None:
        wanted.append(Wanted(label_column, TEXT, "activity"))
    return wanted


def _fill(target: FloatArray, batch: list[NDArray[Any]], first: int, sensor: SensorSpec, table: Table, row: int) -> int:
    """One sensor's columns of a batch, scaled; returns the next column."""
    scales = [units.acceleration_scale(sensor.acceleration)]
    if sensor.gyroscope is None:
        target[:, 3:] = np.nan
    else:
        scales.append(units.gyroscope_scale(sensor.gyroscope))
    for part, scale in enumerate(scales):
        for axis in range(3):
            column = batch[first]
            with np.errstate(over="ignore"):
                scaled = column * scale
            _require(table, row, ~np.isinf(scaled), column, table.wanted[first], "expected a finite number")
            target[:, 3 * part + axis] = scaled
            first += 1
    return first


def _require(
    table: Table, row: int, good: NDArray[np.bool_], values: NDArray[Any], entry: Wanted, expected: str
) -> None:
    if not good.all():
        bad = int(np.argmin(good))
        found = "nothing" if np.isnan(values[bad]) else f"{values[bad]}"
        where = f"{table.path}, {table.place(row + bad)}, column '{entry.column}' ({entry.what})"
        raise RecordingError(f"{where}: found {found}; {expected}")


def _check_times(table: Table, times: FloatArray, spec: ImuSpec) -> NDArray[np.bool_] | None:
    """Which samples to keep; None for all."""
    path, unit = table.path, spec.time.unit
    steps = np.diff(times)
    backwards = steps < 0
    if spec.time.repeated == "error":
        backwards |= steps == 0
    if backwards.any():
        i = int(np.argmax(backwards))
        a, b = times[i], times[i + 1]
        what = "is there twice" if a == b else f"follows {a:.9g} s"
        hint = " (time.repeated: first keeps the first of samples with one stamp)" if a == b else ""
        raise RecordingError(
            f"{path}, {table.place(i + 1)}, column '{spec.time.column}' (time): {b:.9g} s {what} (so at "
            f"{int(backwards.sum())} of {times.size} samples); expected ascending stamps{hint}"
        )
    rising = steps > 0
    if not rising.any():
        raise RecordingError(f"{path}: all {times.size} samples have one time; expected ascending stamps")
    longest = int(np.argmax(steps))
    longest_s = float(steps[longest])
    # In place: the steps are not needed any more, and a copy of a day's would be the largest thing here.
    rate = 1 / float(np.median(steps if rising.all() else steps[rising], overwrite_input=True))
    if not units.SLOWEST_HZ <= rate <= units.FASTEST_HZ:
        likely = units.likely_time_unit(rate, unit)
        hint = f" (these look like {likely}, declared is {unit})" if likely else ""
        raise RecordingError(
            f"{path}: by its stamps in {unit} the sensor measured at {rate:.4g} Hz; expected 20 to 1000 Hz{hint}"
        )
    if longest_s > _LONGEST_GAP_S:
        raise RecordingError(
            f"{path}, {table.place(longest + 1)}: {longest_s / 86400:.1f} days after the sample before; "
            "expected one recording (is that stamp right?)"
        )
    return None if rising.all() else np.concatenate([[True], rising])


def _range(value: float, scale: float) -> float | None:
    return value * scale if value else None
