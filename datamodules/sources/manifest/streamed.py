"""A sensor's file in stretches, for recordings that are longer than memory: days and weeks.

What needs the whole file is refused here: stamps out of order, a clock that passes midnight, a logger that was started
again. A manifest reads the file as a whole, and can say what is to be done.

Shape legend: N samples of a stretch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datamodules.recording import FloatArray, ImuStream, RecordingError
from datamodules.sources.manifest import units
from datamodules.sources.manifest.columns import column_batches
from datamodules.sources.manifest.spec import ImuSpec
from datamodules.sources.manifest.stamps.check import check_pace
from datamodules.sources.manifest.table import Table
from datamodules.sources.manifest.unread_times import notes_on_rate

ROWS = 1 << 18  # of a stretch: 44 minutes at 100 Hz
_OVERLAP_S = 1.0
_WHOLE = "; a manifest reads the file as a whole, and can say what is to be done: docs/guides/your-data.md"


@dataclass
class _Held:
    """Rows that were read and not given yet."""

    first: int = 0
    times: list[FloatArray] = field(default_factory=list)
    values: list[FloatArray] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(map(len, self.values))

    def take(self, timed: bool, rows: int | None) -> tuple[int, FloatArray, FloatArray]:
        """Give all rows, or about so many: up to the longest step of the last quarter, so that no packet is split."""
        times = np.concatenate(self.times)
        values = np.concatenate(self.values)
        cut = len(values)
        if rows is not None:
            cut = rows
            if timed:
                begin = rows - rows // 4
                cut = begin + 1 + int(np.argmax(np.diff(times[begin : rows + 1])))
        first, self.first = self.first, self.first + cut
        self.times, self.values = [times[cut:].copy()], [values[cut:].copy()]
        return first, times[:cut], values[:cut]


def stream_motion(
    path: Path, spec: ImuSpec, rows: int = ROWS, *, notes: list[str] | None = None
) -> Iterator[ImuStream]:
    """Read one sensor's file, one stretch of samples behind the other.

    Args:
        path: of the file.
        spec: how it is written, with one sensor.
        rows: of a stretch, about.
        notes: takes what was left out or put right, in words.

    Raises:
        RecordingError: the file isn't what was declared, or must be read as a whole.
    """
    timed = spec.time.column is not None
    held, last, table = _Held(), -np.inf, None
    said = notes if notes is not None else []
    for table, row, times, values in column_batches(path, spec):
        if not row:
            said += [*(f"left out: {text}" for text in table.left_out), *table.notes]
            said += notes_on_rate(table, spec)
            if table.restarts and not timed:
                said.append(f"the header is there {len(table.restarts)} times more: samples are counted on")
        if table.restarts and timed:
            raise RecordingError(f"{path}, {table.place(table.restarts[0])}: the logger was started again{_WHOLE}")
        held.times.append(times)
        held.values.append(values)
        while held.rows >= rows + rows // 4:
            stretch = _stretch(table, spec, *held.take(timed, rows), last, said)
            last = float(stretch.times[-1])
            yield stretch
    if table is None or held.first + held.rows < 2:
        raise RecordingError(f"{path}: {held.first + held.rows} samples; expected at least 2")
    if held.rows:
        yield _stretch(table, spec, *held.take(timed, None), last, said)


def _stretch(
    table: Table, spec: ImuSpec, first: int, stamps: FloatArray, values: FloatArray, last: float, said: list[str]
) -> ImuStream:
    """Samples at their times, which ascend from ``last`` on; ``said`` takes what was put right."""
    ((placement, sensor),) = spec.sensors.items()
    repeated = np.empty(0)
    if spec.time.column is None:
        times = (first + np.arange(len(values))) / spec.time.rate_hz
    else:
        falling = np.flatnonzero(np.diff(stamps) < 0) + 1
        # A packet that was spread evenly may reach a little beyond the stamp of the next one.
        if last - stamps[0] > _OVERLAP_S:
            falling = np.array([0])
        if falling.size:
            row = int(falling[0])
            raise RecordingError(
                f"{table.path}, {table.place(first + row)}, column '{spec.time.column}' (time): {stamps[row]:.9g} s"
                f" follows a later one; expected ascending stamps{_WHOLE}"
            )
        times, kept, done = check_pace(stamps, spec.time, lambda row: f"{table.path}, {table.place(first + row)}")
        # Packets are much the same in every stretch; a gap is where it is.
        said += [note for note in done if not first or note.startswith("a gap of")]
        good = times > last
        if kept is not None:
            good &= kept
        repeated, times, values = times[~good], times[good], values[good]
    return ImuStream(
        times=times,
        values=values,
        placement=placement,
        device=sensor.device,
        acceleration_range=_range(sensor.acceleration.range, units.acceleration_scale(sensor.acceleration))
        if sensor.acceleration
        else None,
        angular_velocity_range=_range(sensor.gyroscope.range, units.gyroscope_scale(sensor.gyroscope))
        if sensor.gyroscope
        else None,
        origin=str(table.path),
        repeated=repeated,
    )


def _range(value: float, scale: float) -> float | None:
    return value * scale if value else None
