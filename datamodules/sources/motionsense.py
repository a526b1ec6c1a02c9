"""MotionSense: 24 people, 6 activities, a phone in the trousers' front pocket.

M. Malekzadeh, R. G. Clegg, A. Cavallaro, H. Haddadi: Mobile Sensor Data Anonymization. IoTDI 2019.

- People: 24 (10 women, 14 men), 18 to 46 years, on the Mile End campus of Queen Mary University of London; 15 trials
  each: long ones (1 to 9) of 2 to 3 minutes, short ones (11 to 16) of half a minute to one.
- Sensor: an iPhone 6s, 50 Hz, Core Motion's ``CMDeviceMotion``: gravity and the user's acceleration in separate columns
  in g, and the rotation rate in rad/s. In Core Motion's sign, a phone that lies face up has gravity (0, 0, -1), the
  opposite of an accelerometer's reading. Here the acceleration is their sum, negated, in m/s^2, so that at rest the
  axis that points up shows +9.81. Axes are the phone's. The range is unpublished, so saturation is unknown.
- Licence: MIT (of the publisher's repository, which holds the data). Get it from github.com/mmalekzadeh/motion-sense,
  ``data/A_DeviceMotion_data.zip``; folders B and C hold separate raw sensors and are not read.
- Layout: anywhere below ``root`` a folder ``A_DeviceMotion_data`` with ``dws_1/sub_1.csv``: activity, trial, person.
  Comma-separated with a header: a nameless index, then ``attitude.roll`` to ``userAcceleration.z``.

An activity labels its whole trial, as published. This includes the seconds of putting the phone into the pocket and
of taking it out.

Checked on files made from this description (the publisher's readme, with its first rows of a real file), not on the
publisher's. There are no time stamps: times come from the rate.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.recording import ImuStream, Interval, Recording, RecordingError
from datamodules.sources.manifest.motion import read_motion
from datamodules.sources.manifest.spec import AccelerationSpec, Column, GyroscopeSpec, ImuSpec, SensorSpec, TimeSpec
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose
from datamodules.sources.shared.streams import refuse_other_units

RATE_HZ = 50.0
ACTIVITIES = {
    "dws": "stairs_down",
    "ups": "stairs_up",
    "wlk": "walking",
    "jog": "jogging",
    "sit": "sitting",
    "std": "standing",
}
_FOLDER = "A_DeviceMotion_data"
_EXPECTED = f"{_FOLDER}/dws_1/sub_1.csv and others"
_NAME = re.compile(r"([a-z]{3})_([0-9]{1,2})_(sub_[0-9]{1,3})")


def _columns(name: str) -> list[Column]:
    return [f"{name}.{axis}" for axis in "xyz"]


_SPEC = ImuSpec(
    files="",
    sensors={
        "gravity": SensorSpec(AccelerationSpec(_columns("gravity"), "g")),
        "user": SensorSpec(
            AccelerationSpec(_columns("userAcceleration"), "g"), GyroscopeSpec(_columns("rotationRate"), "rad/s")
        ),
    },
    time=TimeSpec(rate_hz=RATE_HZ),
)


@dataclass
class MotionSenseParams:
    """Settings of MotionSense."""

    root: str = "data/raw/motionsense"  # a folder with A_DeviceMotion_data somewhere below
    subjects: list[str] = field(default_factory=list)  # e.g. ["sub_1"]; empty takes all


@source("motionsense", MotionSenseParams)
class MotionSense(Source):
    """One recording per trial, named ``dws_1_sub_1``, with an IMU at ``trouser_pocket``."""

    def __init__(self, params: MotionSenseParams) -> None:
        self.params = params
        self.root = Path(params.root)
        self._found: Path | None = None

    def names(self) -> list[str]:
        """List the names ``{activity}_{trial}_sub_{person}``, by activity, trial and person.

        Raises:
            ValueError: there is no such data set below ``root``.
        """
        found = {}
        for path in self._folder().glob("*_*/sub_*.csv"):
            if match := _NAME.fullmatch(f"{path.parent.name}_{path.stem}"):
                found[match[0]] = match[3]
        return choose(self.root, found, self.params.subjects, "MotionSense", _EXPECTED)

    def subject_of(self, name: str) -> str:
        """Return ``sub_1`` for ``dws_1_sub_1``."""
        return _parse(name)[2]

    def load(self, name: str) -> Recording:
        """Load one trial.

        Raises:
            RecordingError: the file is missing or malformed; the message names file and line.
        """
        activity, trial, subject = _parse(name)
        path = self._folder() / f"{activity}_{trial}" / f"{subject}.csv"
        motion = read_motion(path, _SPEC)
        values = motion.values["user"]
        values[:, :3] = -(values[:, :3] + motion.values["gravity"][:, :3])
        stream = ImuStream(motion.times, values, "trouser_pocket", device="iPhone 6s", origin=str(path))
        refuse_other_units([stream])
        return Recording(
            name=name,
            subject=subject,
            imus=(stream,),
            activities=(Interval(0.0, len(values) / RATE_HZ, ACTIVITIES[activity]),),
            population="healthy",
            source="motionsense",
            metadata={"trial": int(trial)},
        )

    def _folder(self) -> Path:
        """Return the innermost folder with this name: the archive has one inside another of the same name."""
        if self._found is None:
            there = sorted(
                (path for path in [self.root, *self.root.rglob(_FOLDER)] if path.name == _FOLDER and path.is_dir()),
                key=lambda path: (-len(path.parts), str(path)),
            )
            # Apple's archives repeat every folder below __MACOSX, with other content.
            self._found = next((path for path in there if "__MACOSX" not in path.parts), self.root / _FOLDER)
        return self._found


def _parse(name: str) -> tuple[str, str, str]:
    """Return activity, trial and subject."""
    match = _NAME.fullmatch(name)
    if not match or match[1] not in ACTIVITIES:
        raise RecordingError(
            f"'{name}' is not a trial of MotionSense; expected dws_1_sub_1, activities {', '.join(ACTIVITIES)}"
        )
    return match[1], match[2], match[3]
