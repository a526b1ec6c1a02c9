"""Files of motion data -> one stream a sensor, in memory that holds the samples and little else.

The samples of a day at 100 Hz (8.6 million rows, 6 axes) take 484 MB as float64. They are read in batches into arrays
that were made for the whole file, and scaled there.

Shape legend: N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, ImuStream, RecordingError
from datamodules.sources.manifest import units
from datamodules.sources.manifest.columns import Columns, read_columns
from datamodules.sources.manifest.spec import Column, ImuSpec
from datamodules.sources.manifest.stamps.check import check_pace, split_stamps
from datamodules.sources.manifest.stamps.duplicates import written_twice
from datamodules.sources.manifest.unread_times import notes_on_rate


@dataclass(frozen=True)
class Motion:
    """What a file holds.

    Attributes:
        times: (N,) seconds, as the stamps say.
        values: placement -> (N, 6) in m/s^2 and rad/s.
        label_codes: (N,) numbers of ``label_names``, -1 for none; None if no column of labels was asked for.
        label_names: texts of the column of labels.
        repeated: stamps of samples that were left out because they were there before, seconds.
        notes: what was left out or put right, in words.
        offsets: whether stamps with an offset from UTC, and stamps without one, were read.
    """

    times: FloatArray
    values: dict[str, FloatArray]
    label_codes: NDArray[np.int32] | None
    label_names: list[str]
    repeated: FloatArray
    notes: tuple[str, ...] = ()
    offsets: frozenset[bool] = frozenset()

    def streams(self, spec: ImuSpec, path: Path, zero: float) -> list[ImuStream]:
        """One stream a sensor; ``zero`` is what the stamps show at the recording's time 0, seconds."""
        times = self.times - zero if zero else self.times
        return [
            ImuStream(
                times=times,
                values=self.values[placement],
                placement=placement,
                device=sensor.device,
                acceleration_range=(
                    _range(sensor.acceleration.range, units.acceleration_scale(sensor.acceleration))
                    if sensor.acceleration
                    else None
                ),
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


def read_motion(
    paths: Path | Sequence[Path],
    spec: ImuSpec,
    label_column: Column | None = None,
    part: int = 1,
    published: bool = True,
) -> Motion:
    """Read one recording's file, or its files one behind the other.

    Args:
        paths: of the files.
        spec: how they are written.
        label_column: a column with one activity a sample.
        part: which start of the logger, from 1; 1 without ``time.restarts: parts``.
        published: the files are as a publisher describes them: rows that are there twice, or with the newest first,
            contradict that and are no slip to be put right.

    Raises:
        RecordingError: a file isn't what was declared, or its stamps don't ascend at a rate that a sensor has; the
            message names file, line, column, what was found and what is expected.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    columns = read_columns(files, spec, label_column)
    if columns.size < 2:
        raise RecordingError(f"{columns.path}: {columns.size} samples; expected at least 2")
    notes = [f"left out: {text}" for text in columns.left_out] + columns.notes
    if spec.time.column is None:
        if columns.restarts:
            notes.append(f"the header is there {len(columns.restarts)} times more: samples are counted on")
        notes += [note for _, table in columns.tables for note in notes_on_rate(table, spec)]
        times = np.divide(np.arange(columns.size), spec.time.rate_hz)
        return _motion(columns, slice(None), times, None, notes)
    if not published and (twice := _without_twice(columns)):
        notes.append(f"left out: {twice}")
    stamps = split_stamps(columns.times, spec.time, columns.restarts, columns.place, mend=not published)
    if part > len(stamps.parts):
        raise RecordingError(f"{columns.path}: the logger was started {len(stamps.parts)} times; no part {part}")
    begin, end = stamps.parts[part - 1]
    rows: slice | NDArray[np.int64] = slice(begin, end)
    if stamps.order is not None:
        rows = stamps.order[begin:end]

    def place(sample: int) -> str:
        return columns.place(int(rows[sample]) if isinstance(rows, np.ndarray) else begin + sample)

    times, kept, done = check_pace(stamps.times[begin:end], spec.time, place)
    return _motion(columns, rows, times, kept, [*notes, *stamps.notes, *done])


def _without_twice(columns: Columns) -> str:
    """Leave out rows that were written twice; says how many, "" for none."""
    if columns.restarts:
        return ""
    twice = written_twice(columns.times, list(columns.values.values()))
    if not twice.size:
        return ""
    said = f"{twice.size} rows that are there twice, the first at {columns.place(int(twice[0]))}"
    columns.keep(np.delete(np.arange(columns.size), twice))
    return said


def count_parts(paths: Sequence[Path], spec: ImuSpec) -> int:
    """How often the logger was started within the files.

    Raises:
        RecordingError: a file isn't what was declared.
    """
    columns = read_columns(paths, spec, None)
    if columns.size < 2:
        return 1
    _without_twice(columns)
    return len(split_stamps(columns.times, spec.time, columns.restarts, columns.place, mend=True).parts)


def _motion(
    columns: Columns,
    rows: slice | NDArray[np.int64],
    times: FloatArray,
    kept: NDArray[np.bool_] | None,
    notes: list[str],
) -> Motion:
    values = {placement: array[rows] for placement, array in columns.values.items()}
    codes = columns.label_codes[rows] if columns.label_codes is not None else None
    repeated = np.empty(0)
    if kept is not None:
        repeated, times = times[~kept], times[kept]
        values = {placement: array[kept] for placement, array in values.items()}
        codes = codes[kept] if codes is not None else None
    return Motion(times, values, codes, columns.label_names, repeated, tuple(notes), frozenset(columns.offsets))


def _range(value: float, scale: float) -> float | None:
    return value * scale if value else None
