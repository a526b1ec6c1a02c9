"""WEDA-FALL: a smartwatch at the wrist of 14 young and 11 older people, 11 daily activities and 8 kinds of fall.

J. Marques, P. Moreno: Online Fall Detection Using Wrist Devices. Sensors 23(3):1146, 2023.

- People: U01 to U14 are 20 to 46 years old, U21 to U31 are 77 to 95. The older ones did not fall, and did only some of
  the activities.
- Sensor: Fitbit Sense at the wrist, acceleration in m/s^2 with gravity, angular velocity in rad/s, one decimal. Named
  50 Hz; the stamps say 49.4 Hz for the daily activities and 39.5 Hz for most of the falls.
- Licence: none is stated. Get it from https://github.com/joaojtmarques/WEDA-FALL.
- Layout below ``root`` or ``root/dataset``: ``50Hz/D01/U01_R01_accel.csv`` and ``.._gyro.csv``: **two files a trial**,
  each with its own stamps in seconds (``accel_time_list``, ``gyro_time_list``), and ``fall_timestamps.csv``: from when
  to when each fall lasts.

Stamps come in packets of some five samples within 10 ms, ten packets a second, and now and then packets come out of
order. They are put in order and spread evenly; both sensors are then brought onto the accelerometer's times.

A daily activity labels its whole trial. Of a fall only the published interval is "fall", the rest has no label. All 8
kinds are one activity; ``metadata`` says which it was.

Checked on all 969 published trials; one (D04/U07_R02) is refused, its stamps are too irregular.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.sources.manifest.csv_table import CsvTable
from datamodules.sources.manifest.spec import CsvSpec
from datamodules.sources.manifest.stamps.order import put_in_order
from datamodules.sources.manifest.stamps.spread import spread
from datamodules.sources.manifest.table import NUMBER, TEXT, Wanted, read_all
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose, folder
from datamodules.sources.shared.streams import on_one_grid, refuse_other_units

FALL = "fall"
ACTIVITIES = {
    "D01": "walking",
    "D02": "jogging",
    "D03": "stairs",
    "D04": "sit_and_get_up",
    "D05": "collapse_into_chair",
    "D06": "crouch",
    "D07": "stumble",
    "D08": "jump",
    "D09": "hit_table",
    "D10": "clapping",
    "D11": "open_and_close_door",
}
FALLS = {
    "F01": "forward, walking, slip",
    "F02": "lateral, walking, slip",
    "F03": "backward, walking, slip",
    "F04": "forward, walking, trip",
    "F05": "backward, sitting down",
    "F06": "forward, sitting, fainting or asleep",
    "F07": "backward, sitting, fainting or asleep",
    "F08": "lateral, sitting, fainting or asleep",
}
_FIRST_OLDER = 21
_NAME = re.compile(r"([DF]\d\d)_(U(\d\d))_R(\d\d)")
_FOLDERS = ("dataset/50Hz", "50Hz")
_MAX_GAP_S = 0.1


@dataclass
class WedaFallParams:
    """Settings of WEDA-FALL."""

    root: str = "../shared/data/weda-fall"
    subjects: list[str] = field(default_factory=list)  # e.g. ["U01", "U21"]; empty takes all


@source("weda_fall", WedaFallParams)
class WedaFall(Source):
    """One recording a trial, ``D01_U01_R01``, with one IMU at ``wrist``."""

    def __init__(self, params: WedaFallParams) -> None:
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """``D01_U01_R01`` and so on.

        Raises:
            ValueError: there is no such data set below ``root``, or no trial of the wanted people.
        """
        found = {}
        for path in self._folder.glob("[DF]??/U??_R??_accel.csv"):
            name = f"{path.parent.name}_{path.name.removesuffix('_accel.csv')}"
            if _NAME.fullmatch(name):
                found[name] = name.split("_")[1]
        return choose(self.root, found, self.params.subjects, "WEDA-FALL", "dataset/50Hz/D01/U01_R01_accel.csv")

    def subject_of(self, name: str) -> str:
        """``U01``."""
        return _parse_name(name)[1]

    def load(self, name: str) -> Recording:
        """Load one trial.

        Raises:
            RecordingError: a file is missing or isn't what it should be; the message names it.
        """
        code, subject, number = _parse_name(name)
        base = self._folder / code / name.removeprefix(f"{code}_")
        files = [base.with_name(f"{base.name}_{sensor}.csv") for sensor in ("accel", "gyro")]
        (times, acceleration), (gyro_times, gyro) = (
            _read(path, sensor) for path, sensor in zip(files, ("accel", "gyro"), strict=True)
        )
        grid, values = on_one_grid(times, acceleration, gyro_times, gyro, _MAX_GAP_S)
        if grid.size < 2:
            raise RecordingError(f"{files[0]}: its sensors measured at no common time; expected one clock")
        stream = ImuStream(grid, values, "wrist", device="Fitbit Sense", origin=str(files[0]))
        refuse_other_units([stream])
        metadata: dict[str, str | float | int | bool] = {"activity_code": code}
        if code in FALLS:
            metadata["fall"] = FALLS[code]
            start, end = self._fall(f"{code}/{name.removeprefix(f'{code}_')}")
            activity = Interval(start, end, FALL)
        else:
            end = float(grid[-1] + np.median(np.diff(grid)))
            activity = Interval(float(grid[0]), end, ACTIVITIES[code])
        return Recording(
            name=name,
            subject=subject,
            imus=(stream,),
            activities=(activity,),
            population="older" if number >= _FIRST_OLDER else "young",
            source="weda_fall",
            metadata=metadata,
            labelled_on=("wrist",),
        )

    @cached_property
    def _folder(self) -> Path:
        return folder(self.root, _FOLDERS, "WEDA-FALL", "dataset/50Hz/D01/U01_R01_accel.csv")

    @cached_property
    def _falls(self) -> dict[str, tuple[float, float]]:
        path = self._folder.parent / "fall_timestamps.csv"
        wanted = [Wanted("filename", TEXT, "trial"), Wanted("start_time", NUMBER, "start")]
        table = CsvTable(path, CsvSpec(), [*wanted, Wanted("end_time", NUMBER, "end")])
        codes, starts, ends = read_all(table)
        names = table.vocabularies[0].names
        return {names[c]: (float(a), float(b)) for c, a, b in zip(codes, starts, ends, strict=True) if c >= 0}

    def _fall(self, trial: str) -> tuple[float, float]:
        path = self._folder.parent / "fall_timestamps.csv"
        if trial not in self._falls:
            raise RecordingError(f"{path}: no row for {trial}; expected when the fall starts and ends")
        start, end = self._falls[trial]
        if not 0 <= start < end:
            raise RecordingError(f"{path}: {trial} falls from {start} to {end} s; expected an end after the start")
        return start, end


def _parse_name(name: str) -> tuple[str, str, int]:
    """Activity's code, subject, and the subject's number."""
    match = _NAME.fullmatch(name)
    if not match or match[1] not in ACTIVITIES.keys() | FALLS.keys():
        raise RecordingError(
            f"'{name}' is no trial of WEDA-FALL; expected D01_U01_R01, with D01 to D11 or F01 to F08 and U01 to U31"
        )
    return match[1], match[2], int(match[3])


def _read(path: Path, sensor: str) -> tuple[FloatArray, FloatArray]:
    """Times (N,), spread evenly, and values (N, 3)."""
    names = [f"{sensor}_{part}_list" for part in ("time", "x", "y", "z")]
    columns = read_all(CsvTable(path, CsvSpec(), [Wanted(name, NUMBER, name) for name in names]))
    stamps, values = columns[0], np.stack(columns[1:], axis=1)
    if stamps.size < 2 or not np.isfinite(stamps).all() or not np.isfinite(values).all():
        raise RecordingError(f"{path}: {stamps.size} samples, some of them without a number; expected numbers in all")
    ordered = put_in_order(stamps.copy(), 1.0, False, "")
    if ordered.restarts:
        raise RecordingError(f"{path}: its stamps go back at sample {ordered.restarts[0]}; expected packets in order")
    packets = spread(ordered.times)
    if packets is None or packets.times is None:
        worst = f" ({packets.worst_s:.2g} s off an even pace)" if packets is not None else ""
        raise RecordingError(f"{path}: its stamps are too irregular{worst}; expected packets, ten a second")
    return packets.times, values[ordered.order] if ordered.order is not None else values
