"""FoG-STAR: freezing of gait in 22 people with Parkinson's disease; IMUs at both ankles, lower back and wrist.

L. Borzì, F. Demrozi, R. A. Bacchin et al.: A multi-level annotated sensor dataset of gait freezing manifestations and
severity in Parkinson's disease. Scientific Data, 2026, doi 10.1038/s41597-026-06645-1.

- People: 22 with Parkinson's disease, of whom 16 froze, in 101 episodes; seven tasks: timed up-and-go, standing,
  walking back and forth, through a doorway, with a glass of water, while counting, and turning by 360 degrees.
- Sensors: an IMU each at left and right ankle, lower back and wrist, 60 Hz, in g and deg/s; here m/s^2 and rad/s. Axes
  are the device's. We found no published range, so saturation is unknown.
- Labels: two raters labelled activity, and separately freezing with its severity, from video at 10 frames a second (the
  video is unpublished). Here "freezing" replaces the activity that it interrupts; activity 0 is unlabelled.
- Licence: CC BY 4.0. Get it from Zenodo (record 17838806).
- Layout: ``sensor_data.csv`` in ``root``: all recordings in one table of 31 columns below a header: ``timestamp``,
  ``ankleL_acc_x`` to ``wrist_gyro_z``, ``activity``, ``fog``, ``fog_severity``, ``subjectID``, ``sessionID`` and
  ``taskID``.

A recording is one subject's performance of one task in one session. NaN is a lost sample. A recording leaves out a
sensor without samples, and ``metadata`` names it.

Checked on a file made from this description, not on the publisher's: columns, units and codes follow the set's readme
and loaders in public repositories. The readme gives stamps in ms; one loader reads them as seconds. At 60 Hz, the step
between samples tells the unit; any other step is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.signal import DEGREE, G
from datamodules.sources.manifest.labels import intervals_of_samples
from datamodules.sources.manifest.spec import CsvSpec, LabelsSpec
from datamodules.sources.manifest.table import NUMBER, Wanted, read_all
from datamodules.sources.manifest.tables import open_table
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose
from datamodules.sources.shared.streams import refuse_other_units, with_samples

RATE_HZ = 60.0
FREEZING = "freezing"
ACTIVITIES = {
    1: "walking",
    2: "sitting",
    3: "standing",
    4: "sit_to_stand",
    5: "stand_to_sit",
    6: "turning_right",
    7: "turning_left",
}
PLACEMENTS = {"left_ankle": "ankleL", "right_ankle": "ankleR", "lower_back": "back", "wrist": "wrist"}
TASKS = {
    1: "timed_up_and_go",
    2: "standing",
    3: "walking_back_and_forth",
    4: "doorway",
    5: "glass_of_water",
    6: "counting",
    7: "turning_360",
}
FILE = "sensor_data.csv"
_SENSORS = [f"{name}_{part}_{axis}" for name in PLACEMENTS.values() for part in ("acc", "gyro") for axis in "xyz"]
_CODES = ("activity", "fog", "subjectID", "sessionID", "taskID")
_FREEZING_CODE = 100
_NAMES = {str(code): name for code, name in ACTIVITIES.items()} | {str(_FREEZING_CODE): FREEZING}
_LABELS = LabelsSpec(names=_NAMES, unlabelled=["0"])
_RATE_TOLERANCE = 0.1
_NAME = re.compile(r"subject([0-9]+)_session([0-9]+)_task([0-9]+)")
_SCALE = np.array([G] * 3 + [DEGREE] * 3)


@dataclass
class FogStarParams:
    """Settings of FoG-STAR."""

    root: str = "data/raw/fog_star"  # the folder that holds sensor_data.csv
    subjects: list[str] = field(default_factory=list)  # e.g. ["1"]; empty takes all


@dataclass(frozen=True)
class _Table:
    """Content of the file: stamps (N,), sensors (N, 24), codes (N, 5)."""

    stamps: FloatArray
    sensors: FloatArray
    codes: NDArray[np.int64]


@source("fog_star", FogStarParams)
class FogStar(Source):
    """Recordings named ``subject1_session1_task1``, with IMUs at the keys of ``PLACEMENTS``.

    The table is read when it is first needed, and kept in memory: 100 MB for the published file.
    """

    def __init__(self, params: FogStarParams) -> None:
        self.params = params
        self.root = Path(params.root)
        self.path = self.root / FILE

    def names(self) -> list[str]:
        """List the names ``subject{n}_session{n}_task{n}``, in natural order.

        Raises:
            ValueError: there is no such data set in ``root``.
            RecordingError: the table is malformed.
        """
        found = {}
        if self.path.is_file():
            for subject, session, task in np.unique(self._table.codes[:, 2:], axis=0).tolist():
                found[f"subject{subject}_session{session}_task{task}"] = str(subject)
        return choose(self.root, found, self.params.subjects, "FoG-STAR", FILE)

    def subject_of(self, name: str) -> str:
        """Return ``1`` for ``subject1_session1_task1``."""
        return str(_parse(name)[0])

    def load(self, name: str) -> Recording:
        """Load one recording.

        Raises:
            RecordingError: the table is malformed, or lacks the recording; the message names line or sample.
        """
        wanted = _parse(name)
        rows = np.flatnonzero((self._table.codes[:, 2:] == wanted).all(axis=1))
        if rows.size < 2:
            raise RecordingError(f"{self.path}: {rows.size} samples of {name}; expected at least 2")
        times = self._times(rows, name)
        streams = []
        for i, placement in enumerate(PLACEMENTS):
            values = self._table.sensors[rows, 6 * i : 6 * i + 6] * _SCALE
            streams.append(ImuStream(times, values, placement, origin=f"{self.path}, {name}"))
        kept, off = with_samples(streams)
        refuse_other_units(kept)
        metadata: dict[str, str | float | int | bool] = {"task": TASKS.get(wanted[2], str(wanted[2]))}
        if off:
            metadata["off"] = ", ".join(off)
        return Recording(
            name=name,
            subject=str(wanted[0]),
            imus=kept,
            activities=self._labels(rows, times),
            population="parkinson",
            source="fog_star",
            metadata=metadata,
        )

    def _times(self, rows: NDArray[np.int64], name: str) -> FloatArray:
        """Return seconds since the first sample; the rate tells the unit of the stamps."""
        stamps = self._table.stamps[rows]
        steps = np.diff(stamps)
        if (steps <= 0).any():
            i = int(np.argmax(steps <= 0))
            raise RecordingError(
                f"{self.path}, line {rows[i + 1] + 2}: timestamp {stamps[i + 1]:.9g} follows {stamps[i]:.9g} in {name};"
                " expected ascending stamps"
            )
        step = float(np.median(steps))
        for scale in (1e-3, 1.0):
            if abs(step * scale * RATE_HZ - 1) <= _RATE_TOLERANCE:
                return np.asarray((stamps - stamps[0]) * scale)
        raise RecordingError(
            f"{self.path}, {name}: the step between timestamps is {step:.5g}; expected {1000 / RATE_HZ:.1f} (ms at"
            f" {RATE_HZ:g} Hz), or {1 / RATE_HZ:.5f} (s)"
        )

    def _labels(self, rows: NDArray[np.int64], times: FloatArray) -> tuple[Interval, ...]:
        activity, fog = self._table.codes[rows, 0], self._table.codes[rows, 1]
        codes = np.where(fog == 1, _FREEZING_CODE, activity)
        known, inverse = np.unique(codes, return_inverse=True)
        texts = [str(code) for code in known]
        return tuple(intervals_of_samples(times, inverse.astype(np.int32), texts, _LABELS, self.path))

    @cached_property
    def _table(self) -> _Table:
        wanted = [Wanted(name, NUMBER, "column") for name in ("timestamp", *_SENSORS, *_CODES)]
        columns = read_all(open_table(self.path, "csv", CsvSpec(), wanted))
        stamps, sensors, codes = columns[0], columns[1:25], columns[25:]
        if not stamps.size:
            raise RecordingError(f"{self.path}: no samples below the header")
        if not np.isfinite(stamps).all():
            self._refuse(int(np.argmin(np.isfinite(stamps))), "timestamp", "a number")
        for name, column in zip(_SENSORS, sensors, strict=True):
            if np.isinf(column).any():
                self._refuse(int(np.argmax(np.isinf(column))), name, "a finite number")
        for name, column in zip(_CODES, codes, strict=True):
            allowed = [0, 1] if name == "fog" else [0, *ACTIVITIES] if name == "activity" else range(10_000)
            bad = ~np.isin(column, list(allowed))
            if bad.any():
                expected = f"one of {', '.join(map(str, allowed))}" if len(allowed) < 10 else "a whole number"
                self._refuse(int(np.argmax(bad)), name, expected)
        return _Table(stamps, np.column_stack(sensors), np.column_stack(codes).astype(np.int64))

    def _refuse(self, row: int, column: str, expected: str) -> None:
        raise RecordingError(f"{self.path}, row {row + 1} below the header, column '{column}': expected {expected}")


def _parse(name: str) -> tuple[int, int, int]:
    """Return subject, session and task."""
    match = _NAME.fullmatch(name)
    if not match:
        raise RecordingError(f"'{name}' is not a recording of FoG-STAR; expected subject1_session1_task1")
    return int(match[1]), int(match[2]), int(match[3])
