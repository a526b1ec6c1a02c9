"""Recordings to predict: tables by their columns, manifests and action-camera videos, of any length.

A table is read in stretches, so that a week takes no more memory than an hour. A manifest's recordings, and the
telemetry of a video, are read as a whole, 56 bytes a sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from core.suggestions import did_you_mean
from datamodules.recording import ImuStream
from datamodules.signal import BoolArray
from datamodules.sources.action_camera import read_imu
from datamodules.sources.manifest import Manifest, ManifestParams
from datamodules.sources.manifest.spec import (
    ACCELERATION_UNITS,
    GYROSCOPE_UNITS,
    TIME_UNITS,
    AccelerationSpec,
    CsvSpec,
    GyroscopeSpec,
    ImuSpec,
    SensorSpec,
    TimeSpec,
    whole_sensor,
)
from datamodules.sources.manifest.streamed import stream_motion
from datamodules.sources.manifest.units import FASTEST_HZ, SLOWEST_HZ, calendar_shift
from datamodules.sources.shared.held import without_held
from datamodules.sources.shared.interpolated import interpolation_notes
from datamodules.windows.checks import check_recording
from datamodules.windows.cut import select_imu
from datamodules.windows.settings import WindowSettings
from experiments.inference.arrays import check_units
from experiments.inference.errors import InferenceError
from experiments.inference.parts import channels_of

_MANIFESTS = (".yaml", ".yml")
_ADVICE = "declare it, --{sensor} COLUMNS:{unit}"
_ADVICE_MANIFEST = "set 'unit: {unit}' of the {sensor}"
_SI = SensorSpec(AccelerationSpec(["x", "y", "z"], "m/s^2"), GyroscopeSpec(["x", "y", "z"], "rad/s"))
_VIDEOS = (".mp4", ".mov", ".360", ".insv", ".lrv")


@dataclass(frozen=True)
class TableColumns:
    """The columns of a table, as a command line names them.

    Attributes:
        acceleration: three columns and their unit, ``ax,ay,az:g``.
        gyroscope: the same, ``gx,gy,gz:deg/s``; empty where there is none.
        time: a column and its unit, ``time_ms:ms``; empty with ``rate_hz``.
        rate_hz: samples a second, where there is no column of times; 0 otherwise.
        zone: of dates without an offset, e.g. ``Europe/Berlin``.
        separator: between the columns of a text table; empty is a comma.
    """

    acceleration: str = ""
    gyroscope: str = ""
    time: str = ""
    rate_hz: float = 0.0
    zone: str = ""
    separator: str = ""

    def spec(self, placement: str) -> ImuSpec:
        """How a manifest would say it.

        Raises:
            InferenceError: an option is missing or makes no sense; the message says what is expected.
        """
        if not self.acceleration:
            raise InferenceError(
                "--acceleration: expected the columns and their unit, e.g. ax,ay,az:g; they are not guessed"
            )
        if bool(self.time) == bool(self.rate_hz):
            raise InferenceError(
                "expected --time COLUMN:UNIT (e.g. time_ms:ms), or --rate HZ where there is no such column"
            )
        if self.rate_hz and not SLOWEST_HZ <= self.rate_hz <= FASTEST_HZ:
            raise InferenceError(f"--rate: expected {SLOWEST_HZ:g} to {FASTEST_HZ:g} Hz, found {self.rate_hz:g}")
        time = TimeSpec(rate_hz=self.rate_hz)
        if self.time:
            (column,), unit = _columns("--time", self.time, 1, TIME_UNITS)
            time = TimeSpec(column=column, unit=unit, repeated="first", zone=self.zone)
        columns, unit = _columns("--acceleration", self.acceleration, 3, ACCELERATION_UNITS[:-1])
        acceleration, gyroscope = AccelerationSpec(columns, unit), None
        if self.gyroscope:
            columns, unit = _columns("--gyroscope", self.gyroscope, 3, GYROSCOPE_UNITS[:-1])
            gyroscope = GyroscopeSpec(columns, unit)
        sensor = SensorSpec(acceleration, gyroscope)
        if (twice := sensor.twice) is not None:
            raise InferenceError(
                f"--acceleration, --gyroscope: column '{twice}' stands for two axes; expected a column of its own for"
                " each"
            )
        return ImuSpec(files="", sensors={placement: sensor}, time=time, csv=CsvSpec(separator=self.separator))


@dataclass(frozen=True)
class Recorded:
    """A recording, one stretch of samples behind the other.

    Attributes:
        name: of the recording.
        stretches: can be gone through once.
        channel_mask: (6,) True for channels that the device has.
        simulated: not of a real person.
        sensor: what was declared of it; SI units for a video, whose telemetry says its own.
        notes: what was left out or put right on reading, and doubts; complete when all stretches were gone through.
        placement: of the sensor; empty where nothing says it.
    """

    name: str
    stretches: Iterator[ImuStream]
    channel_mask: BoolArray
    sensor: SensorSpec
    simulated: bool = False
    notes: list[str] = field(default_factory=list)
    placement: str = ""


def open_recordings(
    files: Sequence[Path], columns: TableColumns, placement: str, settings: WindowSettings
) -> Iterator[Recorded]:
    """Open one recording after the other.

    Args:
        files: tables, manifests (``.yaml``) and videos of action cameras (``.mp4``).
        columns: of tables.
        placement: of the sensor, where a manifest has several; empty takes the only one.
        settings: of the head's windows, for what is plausible.

    Raises:
        InferenceError: a file is missing, its columns are not named, or its units can't be right.
        RecordingError: a file isn't what was declared.
    """
    for path in files:
        if not path.is_file():
            raise InferenceError(f"{path}: there is no such file")
    names: set[str] = set()
    for path in files:
        for recorded in _open(path, columns, placement, settings):
            name = recorded.name if recorded.name not in names else str(path)
            names.add(name)
            yield replace(recorded, name=name)


def _open(path: Path, columns: TableColumns, placement: str, settings: WindowSettings) -> Iterator[Recorded]:
    ending = path.suffix.lower()
    if ending in _MANIFESTS:
        source = Manifest(ManifestParams(str(path)))
        for name in source.names():
            recording = source.load(name)
            check_recording(recording)
            stream = select_imu(recording, placement or "any")
            group = source.groups[source.recordings[name].group].spec
            shift = calendar_shift(float(stream.times[0]), group.imu[0].time, columns.zone)
            stream = replace(stream, times=stream.times + (recording.imu_clock_offset_s + shift))
            notes = str(recording.metadata.get("import_notes", "")).splitlines()
            sensor = whole_sensor(group, stream.placement)
            where = f"{stream.origin} ({path}, {stream.placement})"
            notes += _doubts(stream, sensor, settings, where, _ADVICE_MANIFEST)
            mask = channels_of(stream.values)
            yield Recorded(name, iter([stream]), mask, sensor, recording.simulated, notes, stream.placement)
    elif ending in _VIDEOS:
        stream = read_imu(path, placement or "any")
        yield Recorded(path.stem, iter([stream]), channels_of(stream.values), _SI, placement=placement)
    else:
        spec = columns.spec(placement or "any")
        mask = np.array([True] * 3 + [bool(columns.gyroscope)] * 3)
        (sensor,) = spec.sensors.values()
        notes = []
        name = Path(path.stem).stem if ending == ".gz" else path.stem
        yield Recorded(name, _checked(path, spec, settings, notes), mask, sensor, notes=notes, placement=placement)


def _doubts(stream: ImuStream, sensor: SensorSpec, settings: WindowSettings, where: str, advice: str) -> list[str]:
    """Refuse units that can't be right, by the limits of the build; returns doubts."""
    assert sensor.acceleration is not None
    doubt = check_units(stream.values, sensor.acceleration, sensor.gyroscope, settings, where, advice)
    return [doubt] if doubt else []


def _checked(path: Path, spec: ImuSpec, settings: WindowSettings, notes: list[str]) -> Iterator[ImuStream]:
    """Stretches of a table; the units of the first one are judged before anything is predicted."""
    (sensor,) = spec.sensors.values()
    doubts: list[str] = []
    told, shift = False, 0.0
    for number, stretch in enumerate(stream_motion(path, spec, notes=notes)):
        if number == 0:
            doubts = _doubts(stretch, sensor, settings, str(path), _ADVICE)
            shift = calendar_shift(float(stretch.times[0]), spec.time, spec.time.zone)
        stretch = replace(stretch, times=stretch.times + shift) if shift else stretch
        (measured,), held = without_held([stretch])
        if not told:
            # Lines between samples cost as much to find as all other reading: stretch 0, 1, 2, 4, 8, ... tell.
            more = held or (interpolation_notes([stretch]) if number & (number - 1) == 0 else [])
            told = bool(more)
            notes += more
        notes += doubts
        doubts = []
        yield measured


def _columns(option: str, text: str, count: int, units: Sequence[str]) -> tuple[list[str | int], str]:
    """Names before the last colon, and the unit after it; a number is a position from 1."""
    names, colon, unit = text.rpartition(":")
    if text.endswith(":h:m:s"):  # the unit that has colons itself
        names, unit = text.removesuffix(":h:m:s"), "h:m:s"
    found: list[str | int] = [int(n) if n.strip().isdigit() else n.strip() for n in names.split(",") if n.strip()]
    if not colon or len(found) != count:
        example = "time_ms:ms" if count == 1 else "ax,ay,az:g"
        raise InferenceError(
            f"{option}: expected {count} column{'s' * (count > 1)} and a unit, e.g. {example}; found '{text}'"
        )
    if unit not in units:
        raise InferenceError(
            f"{option}: expected one of {', '.join(units)} as unit; found '{unit}'{did_you_mean(unit, units)}"
        )
    return found, unit
