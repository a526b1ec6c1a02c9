"""PAMAP2: 9 people, 18 physical activities, IMUs at wrist, chest and ankle.

A. Reiss, D. Stricker: Introducing a New Benchmarked Dataset for Activity Monitoring. ISWC 2012.

- People: 101 to 109 (1 woman, 8 men), 27 +- 3 years. Everyone did the protocol's activities (``Protocol``). Some did
  more (``Optional``), in separate recordings.
- Sensors: three Colibri wireless IMUs: over the wrist of the dominant arm, on the chest, at the ankle of the dominant
  side; 100 Hz, two accelerometers (+-16 g and +-6 g, 13 bit, m/s^2), a gyroscope (+-1500 deg/s, rad/s). Axes are the
  device's. Only the +-16 g accelerometer is read, as the readme recommends: the other saturates and is less well
  calibrated.
- Samples lost by the radio are NaN in the files and here. Windows with them are marked; the gap is not closed. A sensor
  without samples is left out, and ``metadata`` names it.
- Licence: CC BY 4.0. Get it from the UCI Machine Learning Repository ("PAMAP2 Physical Activity Monitoring").
- Layout below ``root``, or below ``PAMAP2_Dataset`` in it: ``Protocol/subject101.dat``: 54 columns with blanks between
  them: time in s, activity, heart rate, and 17 columns each of wrist, chest and ankle: temperature, acceleration
  (+-16 g), acceleration (+-6 g), angular velocity, magnetic field, orientation (invalid in this set).

Activity 0 ("transient", between activities) is unlabelled.

Checked on files made from this description (the set's readme, as loaders in public repositories repeat it), not on the
publisher's. Times are the file's stamps; stamps that don't ascend are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.recording import Recording, RecordingError
from datamodules.signal import DEGREE
from datamodules.sources.manifest.labels import intervals_of_samples
from datamodules.sources.manifest.motion import read_motion
from datamodules.sources.manifest.spec import (
    AccelerationSpec,
    CsvSpec,
    GyroscopeSpec,
    ImuSpec,
    LabelsSpec,
    SensorSpec,
    TimeSpec,
)
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose, nested_or_root
from datamodules.sources.shared.streams import refuse_other_units, with_samples

ACTIVITIES = {
    1: "lying",
    2: "sitting",
    3: "standing",
    4: "walking",
    5: "running",
    6: "cycling",
    7: "nordic_walking",
    9: "watching_tv",
    10: "computer_work",
    11: "car_driving",
    12: "stairs_up",
    13: "stairs_down",
    16: "vacuum_cleaning",
    17: "ironing",
    18: "folding_laundry",
    19: "house_cleaning",
    20: "playing_soccer",
    24: "rope_jumping",
}
PLACEMENTS = {"dominant_wrist": 4, "chest": 21, "dominant_ankle": 38}  # placement -> first of its 17 columns
_PARTS = ("Protocol", "Optional")
_EXPECTED = "Protocol/subject101.dat and others"
_NAME = re.compile(r"(subject[0-9]{3})_(Protocol|Optional)")
_LABEL_COLUMN = 2
_COLUMNS = 54


def _sensor(first: int) -> SensorSpec:
    """Describe a sensor's columns, counted from 1: temperature, +-16 g, +-6 g, gyroscope."""
    return SensorSpec(
        AccelerationSpec([first + 1, first + 2, first + 3], "m/s^2", range=16 * 9.80665),
        GyroscopeSpec([first + 7, first + 8, first + 9], "rad/s", range=1500 * DEGREE),
        device="Trivisio Colibri wireless",
    )


_SPEC = ImuSpec(
    files="",
    sensors={placement: _sensor(first) for placement, first in PLACEMENTS.items()},
    time=TimeSpec(column=1, unit="s"),
    csv=CsvSpec(separator=" ", header=False, null=["NaN"]),
)
_LABELS = LabelsSpec(names={str(number): name for number, name in ACTIVITIES.items()}, unlabelled=["0"])


@dataclass
class Pamap2Params:
    """Settings of PAMAP2."""

    root: str = "data/raw/pamap2"  # the folder that holds Protocol, or PAMAP2_Dataset
    subjects: list[str] = field(default_factory=list)  # e.g. ["subject101"]; empty takes all


@source("pamap2", Pamap2Params)
class Pamap2(Source):
    """One recording per file, named ``subject101_Protocol``, with IMUs at the keys of ``PLACEMENTS``."""

    def __init__(self, params: Pamap2Params) -> None:
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """List the names ``{subject}_{Protocol or Optional}``, by subject.

        Raises:
            ValueError: there is no such data set below ``root``.
        """
        found = {}
        for part in _PARTS:
            for path in (self._folder() / part).glob("subject*.dat"):
                if match := _NAME.fullmatch(f"{path.stem}_{part}"):
                    found[match[0]] = match[1]
        return choose(self.root, found, self.params.subjects, "PAMAP2", _EXPECTED)

    def subject_of(self, name: str) -> str:
        """Return ``subject101`` for ``subject101_Protocol``."""
        return _parse(name)[0]

    def load(self, name: str) -> Recording:
        """Load one file.

        Raises:
            RecordingError: the file is missing or malformed; the message names file and line.
        """
        subject, part = _parse(name)
        path = self._folder() / part / f"{subject}.dat"
        _check_width(path)
        motion = read_motion(path, _SPEC, _LABEL_COLUMN)
        streams, off = with_samples(motion.streams(_SPEC, path, 0.0))
        refuse_other_units(streams)
        assert motion.label_codes is not None
        intervals = intervals_of_samples(motion.times, motion.label_codes, motion.label_names, _LABELS, path)
        return Recording(
            name=name,
            subject=subject,
            imus=streams,
            activities=tuple(intervals),
            population="healthy",
            source="pamap2",
            metadata={"off": ", ".join(off)} if off else {},
        )

    def _folder(self) -> Path:
        return nested_or_root(self.root, "PAMAP2_Dataset")


def _parse(name: str) -> tuple[str, str]:
    """Return the subject and the part of the set."""
    match = _NAME.fullmatch(name)
    if not match:
        raise RecordingError(f"'{name}' is not a recording of PAMAP2; expected subject101_Protocol")
    return match[1], match[2]


def _check_width(path: Path) -> None:
    """Check the number of columns, since only their numbers identify them."""
    try:
        with path.open("rb") as file:
            columns = len(file.readline(1 << 16).split())
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from error
    if columns != _COLUMNS:
        raise RecordingError(f"{path}, line 1: {columns} columns; expected {_COLUMNS}")
