"""WearGait-PD: gait and balance of 100 people with Parkinson's disease and 85 controls, 13 IMUs on the whole body.

Anderson et al.: WearGait-PD: An Open-Access Wearables Dataset for Gait in Parkinson's Disease and Age-Matched
Controls. Scientific Data 13:440, 2026 (medRxiv 2024.09.11.24313476).

- People: the initial release has 1,568 trials of 185: NLS (Johns Hopkins) and WPD (VA Puget Sound) with Parkinson's
  disease, HC and WHC controls (older, some with other mild disorders of movement).
- Sensors: 13 Xsens MTw Awinda IMUs, 100 Hz on the clock of a pressure walkway. ``Acc`` (with gravity, m/s^2) and
  ``Gyr`` (rad/s) are read, but not the insoles, the walkway, ``FreeAcc`` and Xsens' computed columns. Axes are the
  device's.
- Tasks: SelfPace, HurriedPace, SelfPace_mat, HurriedPace_mat, SelfPace_matTURN, TandemGait, TUG, Balance,
  SelfPace_doorpat and FreeWalk; ``metadata`` has the task.
- Licence: CC BY 4.0. Get it from Synapse (project syn52540892, doi 10.7303/syn52540892; needs a free account).
- Layout: anywhere below ``root`` one file per person and task, ``NLS002_SelfPace_mat.csv``, as in the publisher's
  folders ``PD SUBJECTS/CSV files`` and ``CONTROL SUBJECTS/CSV files``. Comma-separated; the header is the first or the
  second line, and begins with ``Time``: ``Time`` ("0.01 sec" or a number, in s), ``GeneralEvent``,
  ``LowerBack_Acc_X`` to ``Forehead_Gyr_Z`` and others. A sensor that was not worn has no columns, or only NaN.

Labels come from ``GeneralEvent``, in lower case with underscores. Public code has ``walk``, ``turn``, ``standing``,
``sitting``, ``sit_to_stand`` and ``turn_to_sit``; other labels are kept unchanged, since the publisher's list (the
article's supplement) could not be looked up. ``ClinicalEvent`` (as far as we know, it includes freezing) is not read.

Checked on files made from this description, not on the publisher's. The description comes from the article's text and
from loaders in public repositories. Units are Xsens' own and not confirmed for these files: files whose acceleration
looks like g, or whose angular velocity looks like deg/s, are refused. A quiet recording in deg/s would pass unnoticed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
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
from datamodules.sources.shared.listing import choose
from datamodules.sources.shared.streams import refuse_other_units, with_samples

RATE_HZ = 100.0
PLACEMENTS = {
    "lower_back": "LowerBack",
    "chest": "Xiphoid",
    "forehead": "Forehead",
    **{
        f"{side}_{place}": f"{letter}_{name}"
        for side, letter in (("left", "L"), ("right", "R"))
        for place, name in (
            ("wrist", "Wrist"),
            ("thigh", "MidLatThigh"),
            ("shank", "LatShank"),
            ("ankle", "Ankle"),
            ("foot", "DorsalFoot"),
        )
    },
}
_POPULATIONS = {"NLS": "parkinson", "WPD": "parkinson", "HC": "control", "WHC": "control"}
_EXPECTED = "NLS002_SelfPace.csv and others, in any folder"
_NAME = re.compile(r"((NLS|WPD|HC|WHC)[0-9]{1,4})[^_]*_([A-Za-z_]+)")
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?)(?: *sec)?")
_UNLABELLED = ["", "unlabeled", "Unlabeled", "UNLABELED"]
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_RATE_TOLERANCE = 0.1


@dataclass
class WearGaitPdParams:
    """Settings of WearGait-PD."""

    root: str = "data/raw/weargait_pd"  # a folder with the CSV files somewhere below
    subjects: list[str] = field(default_factory=list)  # e.g. ["NLS002"]; empty takes all


@source("weargait_pd", WearGaitPdParams)
class WearGaitPd(Source):
    """One recording per file, named as it (``NLS002_SelfPace``), with IMUs at keys of ``PLACEMENTS``."""

    def __init__(self, params: WearGaitPdParams) -> None:
        self.params = params
        self.root = Path(params.root)
        self._paths: dict[str, Path] | None = None

    def names(self) -> list[str]:
        """List the files' names without ending, in natural order.

        Raises:
            ValueError: there is no such data set below ``root``.
            RecordingError: two files have the same name.
        """
        found = {name: _parse(name)[0] for name in self._files()}
        return choose(self.root, found, self.params.subjects, "WearGait-PD", _EXPECTED)

    def subject_of(self, name: str) -> str:
        """Return ``NLS002`` for ``NLS002_SelfPace``."""
        return _parse(name)[0]

    def load(self, name: str) -> Recording:
        """Load one file.

        Raises:
            RecordingError: the file is missing or malformed; the message names file and line.
        """
        subject, prefix, task = _parse(name)
        path = self._files().get(name)
        if path is None:
            raise RecordingError(f"{self.root}: no file {name}.csv")
        spec = _spec(path)
        times = _times(path, spec.csv.skip_lines)
        motion = read_motion(path, spec, "GeneralEvent")
        if len(motion.times) != len(times):
            raise RecordingError(f"{path}: {len(times)} times and {len(motion.times)} samples; expected equal numbers")
        streams, off = with_samples(
            [
                ImuStream(times, s.values, s.placement, s.device, origin=s.origin)
                for s in motion.streams(spec, path, 0.0)
            ]
        )
        refuse_other_units(streams)
        assert motion.label_codes is not None
        labels = intervals_of_samples(
            times, motion.label_codes, motion.label_names, LabelsSpec(unlabelled=_UNLABELLED), path
        )
        metadata: dict[str, str | float | int | bool] = {"task": task}
        if off:
            metadata["off"] = ", ".join(off)
        return Recording(
            name=name,
            subject=subject,
            imus=streams,
            activities=tuple(Interval(i.start, i.end, activity_name(i.activity)) for i in labels),
            population=_POPULATIONS[prefix],
            source="weargait_pd",
            metadata=metadata,
        )

    def _files(self) -> dict[str, Path]:
        if self._paths is None:
            paths: dict[str, Path] = {}
            for path in sorted(self.root.rglob("*.csv")):
                if _NAME.fullmatch(path.stem):
                    if path.stem in paths:
                        raise RecordingError(f"{path}: the same name as {paths[path.stem]}; expected one file")
                    paths[path.stem] = path
            self._paths = paths
        return self._paths


def activity_name(event: str) -> str:
    """Return ``sit_to_stand`` for "SitToStand", "Sit-to-Stand" or "Sit to stand"; text without words is unchanged."""
    return "_".join(word.lower() for word in _WORDS.findall(event)) or event


def _parse(name: str) -> tuple[str, str, str]:
    """Return the subject, its prefix, and the task."""
    match = _NAME.fullmatch(name)
    if not match:
        raise RecordingError(f"'{name}' is not a recording of WearGait-PD; expected NLS002_SelfPace")
    return match[1], match[2], match[3]


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each line that is not blank."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for fields in reader:
                if fields:
                    yield reader.line_num, fields
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(f"{path}: not a readable text table: {error}") from error


def _spec(path: Path) -> ImuSpec:
    """Describe the file's header and sensors.

    Raises:
        RecordingError: the file has no header, or no sensor.
    """
    firsts = [fields for (_, fields), _ in zip(_rows(path), range(2), strict=False)]
    skip = next((i for i, fields in enumerate(firsts) if fields[0].strip() == "Time"), None)
    if skip is None:
        found = firsts[0][0][:60] if firsts else "nothing"
        raise RecordingError(f"{path}, line 1: found '{found}' first; expected a header that begins with Time")
    header = {name.strip() for name in firsts[skip]}
    sensors = {}
    for placement, name in PLACEMENTS.items():
        acceleration, turning = ([f"{name}_{part}_{axis}" for axis in "XYZ"] for part in ("Acc", "Gyr"))
        if header.issuperset(acceleration):
            gyroscope = GyroscopeSpec(list(turning), "rad/s") if header.issuperset(turning) else None
            sensors[placement] = SensorSpec(AccelerationSpec(list(acceleration), "m/s^2"), gyroscope, "MTw Awinda")
    if not sensors:
        raise RecordingError(f"{path}, line {skip + 1}: no columns of any IMU; expected LowerBack_Acc_X and others")
    return ImuSpec("", sensors, TimeSpec(rate_hz=RATE_HZ), csv=CsvSpec(encoding="utf-8", skip_lines=skip))


def _times(path: Path, skip: int) -> FloatArray:
    """Read the column ``Time``, (N,) seconds."""
    times: list[float] = []
    lines: list[int] = []
    for i, (line, fields) in enumerate(_rows(path)):
        if i <= skip:
            continue
        match = _TIME.fullmatch(fields[0].strip())
        if not match:
            raise RecordingError(f"{path}, line {line}: Time is '{fields[0][:60]}'; expected seconds, e.g. 0.01 sec")
        times.append(float(match[1]))
        lines.append(line)
    if len(times) < 2:
        raise RecordingError(f"{path}: {len(times)} samples; expected at least 2")
    array = np.array(times)
    steps = np.diff(array)
    if not (steps > 0).all():
        i = int(np.argmin(steps > 0))
        raise RecordingError(
            f"{path}, line {lines[i + 1]}: Time {array[i + 1]:.9g} s follows {array[i]:.9g} s; expected ascending times"
        )
    rate = 1 / float(np.median(steps))
    if abs(rate / RATE_HZ - 1) > _RATE_TOLERANCE:
        raise RecordingError(f"{path}: the rate by its times is {rate:.4g} Hz; expected {RATE_HZ:g} Hz")
    return array
