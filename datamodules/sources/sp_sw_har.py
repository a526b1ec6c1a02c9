"""SP-SW-HAR: 23 people aged 23 to 66 stand up, walk, turn and sit down, with a phone and a watch at the same time.

M. Matey-Sanz, S. Casteleyn, C. Granell: Dataset of inertial measurements of smartphones and smartwatches for human
activity recognition. Data in Brief 51:109809, 2023.

- Sensors: a phone in a pocket of the trousers, whose orientation differs (``metadata`` says which way it was), and a
  watch at the wrist; acceleration in m/s^2 with gravity, angular velocity in rad/s, about 103 Hz. Which side they were
  worn on, and their models, are not in the published files.
- Licence: CC BY 4.0. Get it from https://doi.org/10.5281/zenodo.8398688.
- Layout below ``root`` or ``root/DATA``: ``s01/s01_01_sp.csv`` and ``s01_01_sw.csv`` (subject, execution, device), with
  ``x_acc,y_acc,z_acc,x_gyro,y_gyro,z_gyro,timestamp,label``; ``executions_info.csv`` with each execution's orientation
  of the phone and its directions of turning; ``subjects_info.csv``.
- Classes: SEATED, STANDING_UP, WALKING, TURNING, SITTING_DOWN; here in lower case.

Stamps are milliseconds since 1970 on one clock; the recording's time 0 is the first sample of either device. The phone
stamps some samples on delivery: up to one in seven has the stamp of another. Where its stamps lie near an even pace
they are spread evenly; where they don't, the first of samples with one stamp is kept. Labels are the watch's, whose
stamps are steady.

Checked on all 223 executions (446 files).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.sources.manifest.csv_table import CsvTable
from datamodules.sources.manifest.spec import CsvSpec
from datamodules.sources.manifest.stamps.spread import spread
from datamodules.sources.manifest.table import NUMBER, TEXT, Wanted, read_all
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose, folder
from datamodules.sources.shared.streams import refuse_other_units

ACTIVITIES = {name: name.lower() for name in ("SEATED", "STANDING_UP", "WALKING", "TURNING", "SITTING_DOWN")}
PLACEMENTS = {"sp": ("pocket", "phone"), "sw": ("wrist", "watch")}
_NAME = re.compile(r"(s\d\d)_(\d\d)")
_COLUMNS = ("x_acc", "y_acc", "z_acc", "x_gyro", "y_gyro", "z_gyro")
_LABEL_GAP_S = 1.0  # a label does not reach over a longer stretch without samples


@dataclass
class SpSwHarParams:
    """Settings of SP-SW-HAR."""

    root: str = "../shared/data/sp-sw-har"
    subjects: list[str] = field(default_factory=list)  # e.g. ["s01", "s02"]; empty takes all


@dataclass(frozen=True)
class _Device:
    """Times (N,) since 1970, values (N, 6), numbers of labels (N,) and their texts, stamps of samples left out."""

    path: Path
    times: FloatArray
    values: FloatArray
    codes: NDArray[np.int32]
    names: list[str]
    repeated: FloatArray


@source("sp_sw_har", SpSwHarParams)
class SpSwHar(Source):
    """One recording an execution, ``s01_01``, with IMUs at ``pocket`` and ``wrist``."""

    def __init__(self, params: SpSwHarParams) -> None:
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """``s01_01`` and so on.

        Raises:
            ValueError: there is no such data set below ``root``, or no execution of the wanted people.
        """
        found = {path.name.removesuffix("_sw.csv"): path.parent.name for path in self._folder.glob("s??/s??_??_sw.csv")}
        return choose(self.root, found, self.params.subjects, "SP-SW-HAR", "s01/s01_01_sw.csv")

    def subject_of(self, name: str) -> str:
        """``s01``."""
        return _parse_name(name)

    def load(self, name: str) -> Recording:
        """Load one execution.

        Raises:
            RecordingError: a file is missing or isn't what it should be; the message names file and line.
        """
        subject = _parse_name(name)
        devices = {key: _read(self._folder / subject / f"{name}_{key}.csv") for key in PLACEMENTS}
        zero = min(float(device.times[0]) for device in devices.values())
        streams = tuple(
            ImuStream(
                times=devices[key].times - zero,
                values=devices[key].values,
                placement=placement,
                device=model,
                origin=str(devices[key].path),
                repeated=devices[key].repeated - zero,
            )
            for key, (placement, model) in PLACEMENTS.items()
        )
        refuse_other_units(streams)
        first, last = max(s.times[0] for s in streams), min(s.times[-1] for s in streams)
        if last <= first:
            raise RecordingError(
                f"{devices['sp'].path}: phone and watch measured at no common time: the phone from "
                f"{devices['sp'].times[0]:.2f} to {devices['sp'].times[-1]:.2f} s since 1970, the watch from "
                f"{devices['sw'].times[0]:.2f} to {devices['sw'].times[-1]:.2f} s; expected one clock"
            )
        return Recording(
            name=name,
            subject=subject,
            imus=streams,
            activities=_intervals(devices["sw"], zero),
            source="sp_sw_har",
            metadata=dict(self._executions.get(name, {})),
            labelled_on=(PLACEMENTS["sw"][0],),
        )

    @cached_property
    def _folder(self) -> Path:
        candidates = [part for part in ("DATA", "") if any((self.root / part).glob("s??/s??_??_sw.csv"))]
        return folder(self.root, candidates, "SP-SW-HAR", "s01/s01_01_sw.csv")

    @cached_property
    def _executions(self) -> dict[str, dict[str, str]]:
        """Of each execution, which way the phone was, and the directions of both turns."""
        path = self._folder / "executions_info.csv"
        if not path.is_file():
            return {}
        names = ("execution_id", "orientation", "first_turn", "second_turn")
        table = CsvTable(path, CsvSpec(), [Wanted(name, TEXT, name) for name in names])
        columns = read_all(table)
        texts = [[table.vocabularies[i].names[code] for code in column] for i, column in enumerate(columns)]
        keys = ("phone_orientation", "first_turn", "second_turn")
        return {row[0]: dict(zip(keys, row[1:], strict=True)) for row in zip(*texts, strict=True)}


def _parse_name(name: str) -> str:
    match = _NAME.fullmatch(name)
    if not match:
        raise RecordingError(f"'{name}' is no execution of SP-SW-HAR; expected s01_01")
    return match[1]


def _read(path: Path) -> _Device:
    wanted = [Wanted("timestamp", NUMBER, "time"), *(Wanted(name, NUMBER, name) for name in _COLUMNS)]
    table = CsvTable(path, CsvSpec(), [*wanted, Wanted("label", TEXT, "activity")])
    columns = read_all(table)
    times, values = columns[0] / 1000, np.stack(columns[1:7], axis=1)
    codes, names = columns[7].astype(np.int32), table.vocabularies[7].names
    if times.size < 2 or not np.isfinite(times).all():
        raise RecordingError(f"{path}: {times.size} samples, some of them without a stamp; expected a stamp in all")
    if (codes < 0).any() or any(name not in ACTIVITIES for name in names):
        bad = int(np.argmax([code < 0 or names[code] not in ACTIVITIES for code in codes]))
        found = names[codes[bad]][:60] if codes[bad] >= 0 else "nothing"
        raise RecordingError(
            f"{path}, {table.place(bad)}, column 'label': found {found}; expected one of {', '.join(ACTIVITIES)}"
        )
    steps = np.diff(times)
    if (steps < 0).any():
        at = int(np.argmax(steps < 0)) + 1
        raise RecordingError(f"{path}, {table.place(at)}, column 'timestamp': it goes back; expected ascending stamps")
    packets = spread(times)
    if packets is not None and packets.times is not None:
        return _Device(path, packets.times, values, codes, names, np.empty(0))
    kept = np.concatenate([[True], steps > 0])
    return _Device(path, times[kept], values[kept], codes[kept], names, times[~kept])


def _intervals(device: _Device, zero: float) -> tuple[Interval, ...]:
    """Runs of one label; each ends where the next sample is, or would be."""
    times, step = device.times - zero, float(np.median(np.diff(device.times)))
    gaps = np.flatnonzero(np.diff(times) > _LABEL_GAP_S) + 1
    firsts = np.unique(np.concatenate([[0], np.flatnonzero(np.diff(device.codes)) + 1, gaps]))
    intervals = []
    for first, after in zip(firsts, np.append(firsts[1:], times.size), strict=True):
        end = times[after] if after < times.size and after not in gaps else times[after - 1] + step
        intervals.append(Interval(float(times[first]), float(end), ACTIVITIES[device.names[device.codes[first]]]))
    return tuple(intervals)
