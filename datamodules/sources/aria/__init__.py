"""Project Aria: VRS files of glasses with cameras and two IMUs (Ego-Exo4D, Nymeria, Aria Everyday Activities).

J. Engel et al.: Project Aria: A New Tool for Egocentric Multi-Modal AI Research. arXiv:2308.13561, 2023.
K. Grauman et al.: Ego-Exo4D: Understanding Skilled Human Activity from First- and Third-Person Perspectives. CVPR 2024.
L. Ma et al.: Nymeria: A Massive Collection of Multimodal Egocentric Daily Motion in the Wild. ECCV 2024.

- Sensors: IMU ``right`` at 1000 Hz and ``left`` at 800 Hz in the temples, m/s^2 with gravity and rad/s; RGB camera
  (110 degrees, 10 to 30 Hz) and two grey cameras for tracking. All share one clock, whose ns stamps are in the files.
  Axes are each sensor's own. The files lack the ranges of the sensors, so saturation is unknown.
- ``calibrated`` (the default) corrects bias, scale and skew by the factory's calibration in the file. The calibration's
  delays of a few ms are not applied; projectaria_tools' ``rawToRectifiedAccel`` does not apply them either.
- Cameras are mounted sideways; ``upright`` (the default) rotates their frames.
- People and classes: Ego-Exo4D 740 people, skilled activities; Nymeria 264 people, daily life. VRS files have no
  activities over time, so recordings have no labels.
- Licence: each set has its own (Ego-Exo4D's and Nymeria's forbid redistribution, and sign-up is needed): see
  https://ego-exo4d-data.org and https://www.projectaria.com/datasets. This project contains none of their data.
- Layout: any VRS files below ``root``, as downloaded. A recording's name is its path. Its subject comes from
  ``subject_pattern``, a regular expression whose first group is the subject, if it is set. Otherwise it comes from
  Nymeria's folder (``20230607_s0_james_johnson_act0_e72nhq`` gives ``james_johnson``), or from Ego-Exo4D's
  ``takes.json`` (``--parts metadata``) beside ``takes/``. Without any of these, all recordings have the subject
  "unknown", so that no split puts one person on both sides.
- Ego-Exo4D also publishes VRS files without pictures (``..._noimagestreams.vrs``). If a file lacks a wanted camera, the
  recording comes without it, and ``metadata["missing_cameras"]`` names it. The MP4 files beside the VRS files are not
  read: no inspected file has the times of their frames.
- Nymeria's wristbands and glasses are separate devices with separate clocks. Each device gives a separate recording, at
  ``left_wrist``, ``right_wrist`` or ``head`` by its folder. The observer's glasses have the subject
  "observer of james_johnson".

Checked on a published file, 0.4 s of Aria Everyday Activities (licence in https://www.projectaria.com/datasets/aea):
1001 and 798 Hz, mean acceleration 9.80 and 9.84 m/s^2 after calibration (9.78, 9.85 before). Turned into the device's
frame by the factory's calibration, both IMUs' mean angular velocities agree within 0.01 rad/s and their accelerations
within 0.15 m/s^2; the stamps of all frames agree with the index. Layouts of folders and ``takes.json`` are after the
documentation of the sets (docs.ego-exo4d-data.org/data/metadata, github.com/facebookresearch/nymeria_dataset).

Reading an hour at 800 Hz (2.9 million samples, 0.16 GB in memory) took a peak of 0.34 GB above the program's own, and
3 s of processor time. The pictures between the samples are not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from core.bounds import read_json
from datamodules.formats.vrs import VrsFile
from datamodules.recording import Recording, RecordingError, VideoStream
from datamodules.sources.aria.camera import CAMERA_STREAMS, VrsCamera
from datamodules.sources.aria.motion import IMU_STREAMS, first_stamp, read_calibration, read_imu
from datamodules.sources.registry import Source, source
from datamodules.sources.shared.listing import choose

_NYMERIA = re.compile(r"\d{8}_s\d+_([a-z]+_[a-z]+)_act\d+_\w+")
_PLACEMENTS = {"recording_lwrist": "left_wrist", "recording_rwrist": "right_wrist"}
_OBSERVER = "recording_observer"
_UNKNOWN = "unknown"


@dataclass
class AriaParams:
    """Settings of Project Aria's VRS files."""

    root: str = "../shared/data/aria"
    subjects: list[str] = field(default_factory=list)  # empty takes all
    imus: list[str] = field(default_factory=lambda: ["left"])  # "left" (800 Hz) and "right" (1000 Hz)
    cameras: list[str] = field(default_factory=lambda: ["rgb"])  # "rgb", "slam_left", "slam_right"; empty for none
    calibrated: bool = True  # correct bias, scale and skew by the factory's calibration
    upright: bool = True  # rotate frames by 90 degrees: the cameras are mounted sideways
    subject_pattern: str = ""  # regular expression on a file's path below root; its first group is the subject
    video_fit: str = "crop"  # "crop", "pad" or "squash", see formats.video.VideoFile


@source("aria", AriaParams)
class Aria(Source):
    """One recording per VRS file, with an IMU at ``head`` (or a wrist); two IMUs are ``head_left`` and ``head_right``.

    Raises:
        ValueError: there is no such IMU or camera, or the pattern is not a regular expression with a group.
    """

    def __init__(self, params: AriaParams) -> None:
        for what, chosen, known in (
            ("imus", params.imus, IMU_STREAMS),
            ("cameras", params.cameras, CAMERA_STREAMS),
        ):
            wrong = sorted(set(chosen) - known.keys())
            if wrong or len(set(chosen)) != len(chosen) or (what == "imus" and not chosen):
                raise ValueError(f"aria: {what} is {chosen}; expected some of {', '.join(known)}, each once")
        try:
            self._pattern = re.compile(params.subject_pattern) if params.subject_pattern else None
        except re.error as error:
            raise ValueError(
                f"aria: subject_pattern {params.subject_pattern!r} is no regular expression: {error}"
            ) from error
        if self._pattern is not None and self._pattern.groups < 1:
            raise ValueError(
                f"aria: subject_pattern {params.subject_pattern!r} has no group; expected one, the subject"
            )
        self.params = params
        self.root = Path(params.root)
        self._subjects: dict[str, str] | None = None

    def names(self) -> list[str]:
        """List the paths below ``root``, without ending, in natural order.

        Raises:
            ValueError: there is no VRS file below ``root``, or none of the wanted subjects.
        """
        files = [path.relative_to(self.root).with_suffix("") for path in self.root.rglob("*.vrs") if path.is_file()]
        found = {name.as_posix(): self.subject_of(name.as_posix()) for name in files}
        return choose(self.root, found, self.params.subjects, "VRS file", "recording.vrs and others, in any folders")

    def subject_of(self, name: str) -> str:
        """Return the subject by the pattern, Nymeria's folder or Ego-Exo4D's metadata; "unknown" without any.

        Raises:
            RecordingError: the pattern does not match.
        """
        if self._pattern is not None:
            match = self._pattern.search(name)
            if match is None or not match[1]:
                raise RecordingError(
                    f"{self.root / name}.vrs: subject_pattern {self.params.subject_pattern!r} finds no "
                    f"subject in '{name}'"
                )
            return match[1]
        folders = Path(name).parent.parts
        for part in folders:
            match = _NYMERIA.fullmatch(part)
            if match:
                return f"observer of {match[1]}" if _OBSERVER in folders else match[1]
        for part in folders:
            if part in self._takes():
                return self._takes()[part]
        return _UNKNOWN

    def load(self, name: str) -> Recording:
        """Load one file.

        Raises:
            RecordingError: the file is missing or damaged, or lacks a wanted IMU.
        """
        path = self.root / f"{name}.vrs"
        vrs = VrsFile(path)
        wanted = {IMU_STREAMS[side] for side in self.params.imus} | {CAMERA_STREAMS[c] for c in self.params.cameras}
        records = vrs.records(wanted)
        for side in self.params.imus:
            if IMU_STREAMS[side] not in records:
                there = ", ".join(f"{a}-{b}" for a, b in sorted(vrs.stream_tags)) or "none"
                raise RecordingError(
                    f"{path}: no sample of the {side} IMU (stream {'-'.join(map(str, IMU_STREAMS[side]))}); "
                    f"streams in it: {there}"
                )
        zero = min(first_stamp(vrs, records[IMU_STREAMS[s]], IMU_STREAMS[s]) for s in self.params.imus)
        placement = next((_PLACEMENTS[p] for p in Path(name).parts if p in _PLACEMENTS), "head")
        several = len(self.params.imus) > 1
        streams = [
            read_imu(
                vrs,
                records[IMU_STREAMS[side]],
                side,
                f"{placement}_{side}" if several else placement,
                zero,
                read_calibration(vrs, side) if self.params.calibrated else None,
            )
            for side in self.params.imus
        ]
        videos: list[VideoStream] = [
            VrsCamera(vrs, records[CAMERA_STREAMS[c]], c, zero, self.params.video_fit, self.params.upright)
            for c in self.params.cameras
            if CAMERA_STREAMS[c] in records
        ]
        missing = [c for c in self.params.cameras if CAMERA_STREAMS[c] not in records]
        metadata: dict[str, str | float | int | bool] = {"zero_ns": zero, "calibrated": self.params.calibrated}
        if missing:
            metadata["missing_cameras"] = ", ".join(missing)
        return Recording(
            name=name,
            subject=self.subject_of(name),
            imus=tuple(streams),
            videos=tuple(videos),
            source="aria",
            metadata=metadata,
        )

    def _takes(self) -> dict[str, str]:
        """Read Ego-Exo4D's takes: folder -> subject."""
        if self._subjects is None:
            path = self.root / "takes.json"
            self._subjects = {}
            if path.is_file():
                try:
                    for take in read_json(path):
                        self._subjects[str(take["take_name"])] = str(take["participant_uid"])
                except (ValueError, KeyError, TypeError) as error:
                    raise RecordingError(
                        f"{path}: no list of takes with 'take_name' and 'participant_uid' ({error!r})"
                    ) from error
        return self._subjects
