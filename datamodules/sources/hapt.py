"""HAPT, the raw signals of UCI HAR: 30 people, 6 activities, 6 postural transitions, a phone at the waist.

J.-L. Reyes-Ortiz, L. Oneto, A. Samà, X. Parra, D. Anguita: Transition-Aware Human Activity Recognition Using
Smartphones. Neurocomputing 171:754-767, 2016. (UCI HAR, 2012, holds windows of the same recordings.)

- People: 30, 19 to 48 years; 61 experiments, two for nearly everyone: a fixed sequence of postures, walking and stairs.
- Sensor: a Samsung Galaxy S II at the waist, 50 Hz; acceleration in g, gravity included, angular velocity in rad/s;
  here m/s^2 and rad/s. Axes are the phone's. The range is unpublished, so saturation is unknown.
- Licence: CC BY 4.0 at the UCI Machine Learning Repository; the set's own readme asks for a citation and forbids
  commercial use. Get the data there ("Smartphone-Based Recognition of Human Activities and Postural Transitions").
- Layout below ``root``, or below ``HAPT Data Set`` in it: ``RawData/acc_exp01_user01.txt`` and
  ``RawData/gyro_exp01_user01.txt`` have one line per sample, three numbers with blanks between them.
  ``RawData/labels.txt`` has experiment, user, activity, first and last sample, counted from 1.

Samples that no line of ``labels.txt`` covers have no label.

Checked on files made from this description (the set's readme, as public repositories repeat it), not on the
publisher's. Counting samples from 1, with the last one included, is our interpretation; an error moves labels by at
most one sample (20 ms). Files whose acceleration and angular velocity differ in length are refused, and so is a label
beyond the last sample.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datamodules.formats.text_table import parse_integers, parse_numbers, read_lines
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.signal import G
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose, folder
from datamodules.sources.shared.streams import refuse_other_units

RATE_HZ = 50.0
ACTIVITIES = {
    1: "walking",
    2: "stairs_up",
    3: "stairs_down",
    4: "sitting",
    5: "standing",
    6: "lying",
    7: "stand_to_sit",
    8: "sit_to_stand",
    9: "sit_to_lie",
    10: "lie_to_sit",
    11: "stand_to_lie",
    12: "lie_to_stand",
}
_FOLDERS = ("RawData", "HAPT Data Set/RawData")
_EXPECTED = "RawData/acc_exp01_user01.txt and others"
_NAME = re.compile(r"exp([0-9]{2,3})_(user[0-9]{2,3})")


@dataclass
class HaptParams:
    """Settings of HAPT."""

    root: str = "data/raw/hapt"  # the folder that holds RawData, or "HAPT Data Set"
    subjects: list[str] = field(default_factory=list)  # e.g. ["user01"]; empty takes all


@source("hapt", HaptParams)
class Hapt(Source):
    """One recording an experiment, named ``exp01_user01``, with an IMU at ``waist``."""

    def __init__(self, params: HaptParams) -> None:
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """List the names ``exp{experiment}_user{user}``, by experiment.

        Raises:
            ValueError: there is no such data set below ``root``.
        """
        found = {}
        for path in folder(self.root, _FOLDERS, "HAPT", _EXPECTED).glob("acc_*.txt"):
            if match := _NAME.fullmatch(path.stem.removeprefix("acc_")):
                found[match[0]] = match[2]
        return choose(self.root, found, self.params.subjects, "HAPT", _EXPECTED)

    def subject_of(self, name: str) -> str:
        """Return ``user01`` for ``exp01_user01``."""
        return _parse(name)[1]

    def load(self, name: str) -> Recording:
        """Load one experiment.

        Raises:
            RecordingError: a file is missing or malformed; the message names file and line.
        """
        experiment, subject = _parse(name)
        raw = folder(self.root, _FOLDERS, "HAPT", _EXPECTED)
        path = raw / f"acc_{name}.txt"
        acceleration, turning = _read(path), _read(raw / f"gyro_{name}.txt")
        if len(acceleration) != len(turning):
            raise RecordingError(f"{path}: {len(acceleration)} samples; expected {len(turning)}, as in gyro_{name}.txt")
        stream = ImuStream(
            times=np.arange(len(acceleration)) / RATE_HZ,
            values=np.concatenate([acceleration * G, turning], axis=1),
            placement="waist",
            device="Samsung Galaxy S II",
            origin=str(path),
        )
        refuse_other_units([stream])
        return Recording(
            name=name,
            subject=subject,
            imus=(stream,),
            activities=_labels(raw / "labels.txt", experiment, int(subject[4:]), len(acceleration)),
            population="healthy",
            source="hapt",
        )


def _parse(name: str) -> tuple[int, str]:
    """Return experiment and user."""
    match = _NAME.fullmatch(name)
    if not match:
        raise RecordingError(f"'{name}' is not an experiment of HAPT; expected exp01_user01")
    return int(match[1]), match[2]


def _read(path: Path) -> FloatArray:
    """Read three numbers per line, (N, 3)."""
    return parse_numbers(path, read_lines(path), 3, str.split)


def _labels(path: Path, experiment: int, user: int, samples: int) -> tuple[Interval, ...]:
    lines = read_lines(path)
    table = parse_integers(path, lines, 5, str.split)
    intervals = []
    for line, (of, whose, activity, first, last) in zip(lines, table.tolist(), strict=True):
        if of != experiment:
            continue
        where = f"{path}, line {line.number}"
        if whose != user:
            raise RecordingError(f"{where}: experiment {of} is of user {whose}; expected user {user}, as its files say")
        if activity not in ACTIVITIES:
            raise RecordingError(f"{where}: the activity is {activity}; expected 1 to {len(ACTIVITIES)}")
        if not 1 <= first <= last <= samples:
            raise RecordingError(f"{where}: samples {first} to {last}; expected some of 1 to {samples}, in order")
        intervals.append(Interval((first - 1) / RATE_HZ, last / RATE_HZ, ACTIVITIES[activity]))
    return tuple(intervals)
