"""RealWorld (2016): 15 people, 8 activities, phones and a watch at seven places.

T. Sztyler, H. Stuckenschmidt: On-body Localization of Wearable Devices: An Investigation of Position-Aware Activity
Recognition. PerCom 2016.

- People: proband1 to proband15 (7 women, 8 men), 32 +- 12 years; some 10 minutes of each activity, jumping less.
- Sensors: a phone or watch (Samsung Galaxy S4, LG G Watch R) each at chest, forearm, head, shin, thigh, upper arm and
  waist; 50 Hz, Android's units: m/s^2 with gravity, rad/s. Axes are the device's. Each sensor has stamps of its own, in
  ms since 1970 by the device's clock.
- Licence: none is stated that we know of; for research, with a citation of the paper. Get it from the Data and Web
  Science Group of the University of Mannheim ("RealWorld (HAR)", realworld2016_dataset.zip).
- Layout below ``root``, or below ``realworld2016_dataset`` in it, as the archive unpacks:
  ``proband1/data/acc_walking_csv.zip`` and ``gyr_walking_csv.zip``, which are read as they are. In them
  ``acc_walking_chest.csv`` and ``Gyroscope_walking_chest.csv``; an activity that was done in parts has archives in the
  archive (``acc_climbingup_1_csv.zip``), and its files may carry the part's number (``acc_climbingup_2_chest.csv``).
  Comma-separated below the header ``id,attr_time,attr_x,attr_y,attr_z``.

The accelerometer's samples are the recording's; the gyroscope is interpolated onto their times and missing where it
did not measure. A place without a gyroscope's file has none; one without an accelerometer's is not there. An activity
labels all of its recording, as published. Time 0 is the first sample of any accelerometer; the devices' clocks are
taken to agree.

Checked on files made from this description (from loaders in public repositories), not on the publisher's. Of samples
with one stamp the first is kept (``metadata`` counts the others); stamps that run backwards, or that are in no ms, are
refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.formats.text_table import parse_numbers, split_lines
from datamodules.formats.zip_archive import Member, members
from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose
from datamodules.sources.shared.streams import onto_times, refuse_other_units

PLACEMENTS = {
    "chest": "chest",
    "forearm": "forearm",
    "head": "head",
    "shin": "shin",
    "thigh": "thigh",
    "upperarm": "upper_arm",
    "waist": "waist",
}
ACTIVITIES = {
    "climbingdown": "stairs_down",
    "climbingup": "stairs_up",
    "jumping": "jumping",
    "lying": "lying",
    "running": "running",
    "sitting": "sitting",
    "standing": "standing",
    "walking": "walking",
}
MAX_GAP_S = 0.1  # the gyroscope is not interpolated over longer stretches
_DEVICE = "phone or watch"
_HEADER = "id,attr_time,attr_x,attr_y,attr_z"
_RATES_HZ = (5.0, 1000.0)
_EXPECTED = "proband1/data/acc_walking_csv.zip and others"
_NAME = re.compile(r"(proband[0-9]{1,2})_([a-z]+)_([0-9]{1,2})")
_ARCHIVE = re.compile(r"acc_([a-z]+)_csv\.zip")
_PART = re.compile(r"(?:acc|gyr)_[a-z]+?(?:_([0-9]{1,2}))?_csv\.zip")
_FILE = re.compile(r"(?:acc|Gyroscope|gyr)_([a-z]+?)(?:_([0-9]{1,2}))?_([a-z]+?)(?:_([0-9]{1,2}))?\.csv", re.IGNORECASE)


@dataclass
class RealWorldParams:
    """Settings of RealWorld."""

    root: str = "data/raw/realworld"  # the folder that holds proband1 and others, or realworld2016_dataset
    subjects: list[str] = field(default_factory=list)  # e.g. ["proband1"]; empty takes all


@source("realworld", RealWorldParams)
class RealWorld(Source):
    """One recording a part of an activity, named ``proband1_walking_1``, with IMUs at the values of ``PLACEMENTS``."""

    def __init__(self, params: RealWorldParams) -> None:
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """``{proband}_{activity}_{part}``, by proband, activity and part.

        Raises:
            ValueError: there is no such data set below ``root``.
            RecordingError: an archive can't be read.
        """
        found = {}
        for path in self._folder().glob("proband*/data/acc_*_csv.zip"):
            match = _ARCHIVE.fullmatch(path.name)
            if match and match[1] in ACTIVITIES:
                subject = path.parent.parent.name
                for part in _files(path, match[1]):
                    found[f"{subject}_{match[1]}_{part}"] = subject
        return choose(self.root, found, self.params.subjects, "RealWorld", _EXPECTED)

    def subject_of(self, name: str) -> str:
        """``proband1`` of ``proband1_walking_1``."""
        return _parse(name)[0]

    def load(self, name: str) -> Recording:
        """Load one part of an activity.

        Raises:
            RecordingError: an archive is missing or isn't what it should be; the message names archive, file and line.
        """
        subject, activity, part = _parse(name)
        folder = self._folder() / subject / "data"
        archive = folder / f"acc_{activity}_csv.zip"
        accelerometers = _files(archive, activity).get(part, {})
        if not accelerometers:
            raise RecordingError(f"{archive}: no file of part {part}; expected acc_{activity}_chest.csv and others")
        turning_archive = folder / f"gyr_{activity}_csv.zip"
        gyroscopes = _files(turning_archive, activity).get(part, {}) if turning_archive.is_file() else {}
        streams, repeated = [], 0
        for place, member in accelerometers.items():
            times, values, twice = _samples(member)
            repeated += len(twice)
            turning = np.full((len(times), 3), np.nan)
            if place in gyroscopes:
                gyro_times, gyro, of_gyro = _samples(gyroscopes[place])
                repeated += len(of_gyro)
                turning = onto_times(times, gyro_times, gyro, MAX_GAP_S)
            both = np.concatenate([values, turning], axis=1)
            streams.append(ImuStream(times, both, PLACEMENTS[place], _DEVICE, origin=member.where, repeated=twice))
        zero = min(float(stream.times[0]) for stream in streams)
        end = max(float(stream.times[-1]) for stream in streams)
        refuse_other_units(streams)
        return Recording(
            name=name,
            subject=subject,
            imus=tuple(replace(s, times=s.times - zero, repeated=s.repeated - zero) for s in streams),
            activities=(Interval(0.0, end - zero, ACTIVITIES[activity]),),
            population="healthy",
            source="realworld",
            metadata={"repeated_stamps": repeated} if repeated else {},
        )

    def _folder(self) -> Path:
        nested = self.root / "realworld2016_dataset"
        return nested if nested.is_dir() else self.root


def _parse(name: str) -> tuple[str, str, int]:
    """Subject, activity and part."""
    match = _NAME.fullmatch(name)
    if not match or match[2] not in ACTIVITIES:
        raise RecordingError(
            f"'{name}' is no recording of RealWorld; expected proband1_walking_1, activities {', '.join(ACTIVITIES)}"
        )
    return match[1], match[2], int(match[3])


def _files(archive: Path, activity: str) -> dict[int, dict[str, Member]]:
    """Part -> place -> file.

    Raises:
        RecordingError: the archive can't be read, or two of its files are of one part and place.
    """
    found: dict[int, dict[str, Member]] = {}
    for member in members(archive):
        match = _FILE.fullmatch(member.name)
        if not match or match[1].lower() != activity or match[3].lower() not in PLACEMENTS:
            continue
        inside = _PART.fullmatch(member.archive)
        number = match[2] or match[4] or (inside[1] if inside else None) or "1"
        places = found.setdefault(int(number), {})
        place = match[3].lower()
        if place in places:
            raise RecordingError(f"{member.where}: of part {number} as {places[place].where} is; expected one of them")
        places[place] = member
    return found


def _samples(member: Member) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Times in seconds (N,), values (N, 3), and times of samples left out for a stamp that was there before."""
    where = member.where
    lines = split_lines(member.read(), where)
    if lines[0].text.replace(" ", "").replace('"', "") != _HEADER:
        raise RecordingError(
            f"{where}, line {lines[0].number}: the header is '{lines[0].text[:60]}'; expected {_HEADER}"
        )
    table = parse_numbers(where, lines[1:], 5, lambda text: text.split(","))
    times = table[:, 1] / 1000
    kept = _ascending(times, where, [line.number for line in lines[1:]])
    return times[kept], table[kept, 2:], times[~kept]


def _ascending(times: FloatArray, where: str, line_numbers: list[int]) -> NDArray[np.bool_]:
    """Which samples to keep: the first of each stamp."""
    steps = np.diff(times)
    if (steps < 0).any():
        i = int(np.argmax(steps < 0))
        raise RecordingError(
            f"{where}, line {line_numbers[i + 1]}: the time {times[i + 1]:.3f} s follows {times[i]:.3f} s; expected"
            " ascending stamps"
        )
    rising = steps[steps > 0]
    rate = 1 / float(np.median(rising)) if rising.size else 0.0
    if not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
        raise RecordingError(
            f"{where}: by attr_time in ms the sensor measured at {rate:.4g} Hz; expected some 50 Hz (is it in ms?)"
        )
    return np.concatenate([[True], steps > 0])
