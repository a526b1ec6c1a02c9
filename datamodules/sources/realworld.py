"""RealWorld (2016): 15 people, 8 activities, phones and a watch at seven places.

T. Sztyler, H. Stuckenschmidt: On-body Localization of Wearable Devices: An Investigation of Position-Aware Activity
Recognition. PerCom 2016.

- People: proband1 to proband15 (7 women, 8 men), 32 +- 12 years; about 10 minutes of each activity, less of jumping.
- Sensors: one phone or watch (Samsung Galaxy S4, LG G Watch R) each at chest, forearm, head, shin, thigh, upper arm and
  waist; 50 Hz, Android's units: m/s^2 with gravity, rad/s. Axes are the device's. Each sensor has separate stamps, in
  ms since 1970 by the device's clock.
- Licence: we know of none; for research, with a citation of the paper. Get it from the Data and Web Science Group of
  the University of Mannheim ("RealWorld (HAR)", realworld2016_dataset.zip).
- Layout below ``root``, or below ``realworld2016_dataset`` in it, as in the archive:
  ``proband1/data/acc_walking_csv.zip`` and ``gyr_walking_csv.zip``, which are read without unpacking. They contain
  ``acc_walking_chest.csv`` and ``Gyroscope_walking_chest.csv``. An activity in several parts has archives inside the
  archive (``acc_climbingup_1_csv.zip``), whose files may have the part's number (``acc_climbingup_2_chest.csv``).
  The files are comma-separated with the header ``id,attr_time,attr_x,attr_y,attr_z``.

A recording has the accelerometer's samples. The gyroscope is interpolated at their times, and NaN in its gaps. A place
without a gyroscope's file has no gyroscope; a place without an accelerometer's file is left out. An activity labels
its whole recording, as published. Time 0 is the first sample of any accelerometer. The devices' clocks are assumed to
agree.

Checked on files made from this description (from loaders in public repositories), not on the publisher's. Of samples
with the same stamp, the first is kept (``metadata`` counts the others). Stamps that run backwards, or are not in ms,
are refused.
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
from datamodules.sources.shared.listing import choose, nested_or_root
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
MAX_GAP_S = 0.1  # longest gap of the gyroscope to interpolate over
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
    """One recording per part of an activity, e.g. ``proband1_walking_1``, with IMUs at the values of ``PLACEMENTS``."""

    def __init__(self, params: RealWorldParams) -> None:
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """List the names ``{proband}_{activity}_{part}``, by proband, activity and part.

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
        """Return ``proband1`` for ``proband1_walking_1``."""
        return _parse(name)[0]

    def load(self, name: str) -> Recording:
        """Load one part of an activity.

        Raises:
            RecordingError: an archive is missing or malformed; the message names archive, file and line.
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
        return nested_or_root(self.root, "realworld2016_dataset")


def _parse(name: str) -> tuple[str, str, int]:
    """Return subject, activity and part."""
    match = _NAME.fullmatch(name)
    if not match or match[2] not in ACTIVITIES:
        raise RecordingError(
            f"'{name}' is not a recording of RealWorld; expected proband1_walking_1, activities {', '.join(ACTIVITIES)}"
        )
    return match[1], match[2], int(match[3])


def _files(archive: Path, activity: str) -> dict[int, dict[str, Member]]:
    """List an archive's files: part -> place -> file.

    Raises:
        RecordingError: the archive can't be read, or has two files of the same part and place.
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
            raise RecordingError(
                f"{member.where}: the same part, {number}, and place as {places[place].where}; expected one file"
            )
        places[place] = member
    return found


def _samples(member: Member) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Read times in seconds (N,), values (N, 3), and the times of dropped samples, which repeat a stamp."""
    where = member.where
    lines = split_lines(member.read(), where)
    if lines[0].text.replace(" ", "").replace('"', "") != _HEADER:
        raise RecordingError(
            f"{where}, line {lines[0].number}: the header is '{lines[0].text[:60]}'; expected {_HEADER}"
        )
    table = parse_numbers(where, lines[1:], 5, lambda text: text.split(","))
    times = table[:, 1] / 1000
    kept = _first_of_each_stamp(times, where, [line.number for line in lines[1:]])
    return times[kept], table[kept, 2:], times[~kept]


def _first_of_each_stamp(times: FloatArray, where: str, line_numbers: list[int]) -> NDArray[np.bool_]:
    """Check that times ascend at a plausible rate, and mark the first sample of each stamp."""
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
            f"{where}: with attr_time in ms, the rate is {rate:.4g} Hz; expected about 50 Hz (is attr_time in ms?)"
        )
    return np.concatenate([[True], steps > 0])
