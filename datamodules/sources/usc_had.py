"""USC-HAD: 14 people, 12 low-level daily activities, one IMU at the front right hip.

M. Zhang, A. A. Sawchuk: USC-HAD: A Daily Activity Dataset for Ubiquitous Activity Recognition Using Wearable Sensors.
UbiComp 2012, workshop on Situation, Activity and Goal Awareness (SAGAware).

- People: 14 (7 women, 7 men), 21 to 49 years; five trials of each activity, on different days and places.
- Sensor: MotionNode, in a pouch at the front right hip, 100 Hz, +-6 g and +-500 deg/s, in g and deg/s; here m/s^2 and
  rad/s. The set's readme has x down, y forward and z right.
- Licence: we know of none; for research, with a citation of the paper. Get it from
  sipi.usc.edu/had (USC-HAD.zip): 840 files.
- Layout below ``root``, or below ``USC-HAD`` in it: ``Subject1/a1t1.mat``: person, activity, trial. MATLAB 5 files with
  ``sensor_readings`` (N, 6), three axes of acceleration and three of angular velocity, and ``activity_number``, a
  text; some files call it ``activity_numbr``.

An activity labels its whole trial, as published. A file whose activity differs from its name is refused.

Checked on files made from this description, not on the publisher's files. The description follows the paper and the
readme, as loaders in public repositories repeat them; several loaders know ``activity_numbr``. Files in another unit
than g are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.formats.matlab import numbers, read_mat
from datamodules.recording import ImuStream, Interval, Recording, RecordingError
from datamodules.signal import DEGREE, G
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose, nested_or_root
from datamodules.sources.shared.streams import refuse_other_units

RATE_HZ = 100.0
ACTIVITIES = {
    1: "walking_forward",
    2: "walking_left",
    3: "walking_right",
    4: "stairs_up",
    5: "stairs_down",
    6: "running",
    7: "jumping",
    8: "sitting",
    9: "standing",
    10: "sleeping",
    11: "elevator_up",
    12: "elevator_down",
}
_EXPECTED = "Subject1/a1t1.mat and others, or USC-HAD/Subject1/a1t1.mat"
_NUMBER = ("activity_number", "activity_numbr")
_NAME = re.compile(r"(Subject[0-9]{1,3})_a([0-9]{1,2})t([0-9]{1,2})")
_SCALE = np.array([G] * 3 + [DEGREE] * 3)


@dataclass
class UscHadParams:
    """Settings of USC-HAD."""

    root: str = "data/raw/usc_had"  # the folder that holds Subject1 and others, or USC-HAD
    subjects: list[str] = field(default_factory=list)  # e.g. ["Subject1"]; empty takes all


@source("usc_had", UscHadParams)
class UscHad(Source):
    """One recording per trial, named ``Subject1_a1t1``, with an IMU at ``right_hip``."""

    def __init__(self, params: UscHadParams) -> None:
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """List the names ``Subject{n}_a{activity}t{trial}``, by subject, activity and trial.

        Raises:
            ValueError: there is no such data set below ``root``.
        """
        found = {}
        for path in self._folder().glob("Subject*/a*t*.mat"):
            name = f"{path.parent.name}_{path.stem}"
            if match := _NAME.fullmatch(name):
                found[name] = match[1]
        return choose(self.root, found, self.params.subjects, "USC-HAD", _EXPECTED)

    def subject_of(self, name: str) -> str:
        """Return ``Subject1`` for ``Subject1_a1t1``."""
        return _parse(name)[0]

    def load(self, name: str) -> Recording:
        """Load one trial.

        Raises:
            RecordingError: the file is missing or malformed.
        """
        subject, number, trial = _parse(name)
        path = self._folder() / subject / f"a{number}t{trial}.mat"
        content = read_mat(path)
        found = _activity_number(path, content)
        if found != number:
            raise RecordingError(f"{path}: {_NUMBER[0]} is {found}; expected {number}, as its name says")
        values = numbers(path, content, "sensor_readings", 6) * _SCALE
        stream = ImuStream(
            times=np.arange(len(values)) / RATE_HZ,
            values=values,
            placement="right_hip",
            device="MotionNode",
            acceleration_range=6 * G,
            angular_velocity_range=500 * DEGREE,
            origin=str(path),
        )
        refuse_other_units([stream])
        return Recording(
            name=name,
            subject=subject,
            imus=(stream,),
            activities=(Interval(0.0, len(values) / RATE_HZ, ACTIVITIES[number]),) if len(values) else (),
            population="healthy",
            source="usc_had",
            metadata={"trial": trial},
        )

    def _folder(self) -> Path:
        return nested_or_root(self.root, "USC-HAD")


def _parse(name: str) -> tuple[str, int, int]:
    """Return subject, activity and trial."""
    match = _NAME.fullmatch(name)
    if not match or int(match[2]) not in ACTIVITIES:
        raise RecordingError(f"'{name}' is not a trial of USC-HAD; expected Subject1_a1t1, activities up to 12")
    return match[1], int(match[2]), int(match[3])


def _activity_number(path: Path, content: dict[str, Any]) -> int:
    for name in _NUMBER:
        if name in content:
            found = np.asarray(content[name]).ravel()
            text = str(found[0]).strip() if found.size == 1 else f"{found.size} values"
            if not (text.isascii() and text.isdigit() and len(text) < 4):
                raise RecordingError(f"{path}: {name} is {text[:60]!r}; expected a number from 1 to 12")
            return int(text)
    raise RecordingError(f"{path}: no variable '{_NUMBER[0]}'; it has: {', '.join(sorted(content)) or 'none'}")
