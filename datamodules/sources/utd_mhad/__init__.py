"""UTD-MHAD: 8 people, 27 actions, one IMU on wrist or thigh, and a Kinect.

C. Chen, R. Jafari, N. Kehtarnavaz: UTD-MHAD: A multimodal dataset for human action recognition utilizing a
depth camera and a wearable inertial sensor. ICIP 2015.

- People: 8, each action four times; 861 trials. Sensor: one IMU at the right wrist (actions 1 to 21) or the right thigh
  (22 to 27), 50 Hz, acceleration with gravity and angular velocity; a Kinect films from the front, 320 x 240 depth and
  640 x 480 RGB.
- Licence: none is stated; the authors ask for a citation of the paper. Get it from
  https://www.utdallas.edu/~kehtar/UTD-MHAD.html.
- Layout below ``root``, for example of trial ``a1_s1_t1`` (action, subject, trial): ``Inertial/a1_s1_t1_inertial.mat``
  (or ``inertial/``) with ``d_iner`` (N, 6) in g and deg/s; ``Depth/a1_s1_t1_depth.mat`` with ``d_depth`` (H, W, frames)
  in mm, or instead ``depth_mp4/a1_s1_t1.mp4``, the depth video with true times; ``RGB/a1_s1_t1_color.avi`` (or
  ``RGB-part1/`` and so on).

Checked on all published inertial files, and on depth videos made from the published depth maps. The tests' depth maps
and AVI files follow the publisher's description.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datamodules.formats.matlab import numbers, read_mat
from datamodules.formats.video import VideoFile
from datamodules.recording import ImuStream, Interval, Recording, RecordingError, VideoStream
from datamodules.signal import DEGREE, G
from datamodules.sources.registry import Source, source
from datamodules.sources.utd_mhad.video import DepthMat, SpreadVideo

RATE_HZ = 50.0
ACTIONS = (
    "swipe_left",
    "swipe_right",
    "wave",
    "clap",
    "throw",
    "cross_arms",
    "basketball_shoot",
    "draw_x",
    "draw_circle_clockwise",
    "draw_circle_counter_clockwise",
    "draw_triangle",
    "bowling",
    "boxing",
    "baseball_swing",
    "tennis_forehand",
    "arm_curl",
    "tennis_serve",
    "two_hand_push",
    "knock",
    "catch",
    "pick_up_and_throw",
    "jogging_in_place",
    "walking_in_place",
    "sit_to_stand",
    "stand_to_sit",
    "lunge",
    "squat",
)
CAMERAS = ("depth", "rgb")
_FIRST_THIGH_ACTION = 22
_INERTIAL = ("inertial", "Inertial")
_NAME = re.compile(r"a(\d+)_s(\d+)_t(\d+)")


@dataclass
class UtdMhadParams:
    """Settings of UTD-MHAD."""

    root: str = "../shared/data/utd-mhad"
    subjects: list[str] = field(default_factory=list)  # e.g. ["1", "3"]; empty takes all 8
    videos: list[str] = field(default_factory=lambda: ["depth"])  # cameras: "depth", "rgb", both or none
    video_fit: str = "crop"  # "crop", "pad" or "squash", see formats.video.VideoFile


@source("utd_mhad", UtdMhadParams)
class UtdMhad(Source):
    """One recording per trial, with camera ``depth`` or ``rgb`` and one IMU at ``right_wrist`` or ``right_thigh``.

    A trial is listed if its inertial or its depth file exists; loading fails if a needed file is missing.

    Raises:
        ValueError: there is no such camera.
    """

    def __init__(self, params: UtdMhadParams) -> None:
        if not set(params.videos) <= set(CAMERAS) or len(set(params.videos)) != len(params.videos):
            raise ValueError(f"utd_mhad: videos is {params.videos}; expected some of {', '.join(CAMERAS)}, each once")
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """List the names ``a{action}_s{subject}_t{trial}``, by action, subject and trial.

        Raises:
            ValueError: there is no such data set below ``root``.
        """
        found: set[tuple[int, ...]] = set()
        for pattern in (*(f"{name}/*_inertial.mat" for name in _INERTIAL), "depth_mp4/*.mp4", "Depth/*_depth.mat"):
            for path in self.root.glob(pattern):
                match = _NAME.fullmatch(path.stem.removesuffix("_inertial").removesuffix("_depth"))
                if match:
                    found.add(tuple(int(number) for number in match.groups()))
        if not found:
            raise ValueError(
                f"{self.root.absolute()}: no UTD-MHAD here; expected "
                "inertial/a1_s1_t1_inertial.mat and others (set the source's 'root')"
            )
        wanted = self.params.subjects
        names = [f"a{a}_s{s}_t{t}" for a, s, t in sorted(found) if not wanted or str(s) in wanted]
        if not names:
            raise ValueError(f"{self.root.absolute()}: no trial of subjects {', '.join(wanted)}")
        return names

    def subject_of(self, name: str) -> str:
        """Return the number after ``s``."""
        return self._parse(name)[1]

    def load(self, name: str) -> Recording:
        """Load one trial.

        Raises:
            RecordingError: a file is missing or malformed.
        """
        action, subject = self._parse(name)
        path = self._inertial(name)
        values = numbers(path, read_mat(path), "d_iner", 6) * np.array([G] * 3 + [DEGREE] * 3)
        times = np.arange(len(values)) / RATE_HZ
        stream = ImuStream(
            times=times,
            values=values,
            placement="right_wrist" if action < _FIRST_THIGH_ACTION else "right_thigh",
            device="UTD wearable inertial sensor",
            # Ranges from the paper; no value in the set exceeds 8 g, and tennis serves reach it.
            acceleration_range=8 * G,
            angular_velocity_range=1000 * DEGREE,
            origin=str(path),
        )
        duration = len(values) / RATE_HZ
        return Recording(
            name=name,
            subject=subject,
            imus=(stream,),
            videos=tuple(self._video(name, camera, duration) for camera in self.params.videos),
            activities=(Interval(0.0, duration, ACTIONS[action - 1]),),
            labelled_on=(stream.placement,),
            source="utd_mhad",
        )

    @staticmethod
    def _parse(name: str) -> tuple[int, str]:
        match = _NAME.fullmatch(name)
        if not match or not 1 <= int(match[1]) <= len(ACTIONS):
            raise RecordingError(
                f"'{name}' is not a trial of UTD-MHAD; expected a1_s1_t1, actions up to {len(ACTIONS)}"
            )
        return int(match[1]), match[2]

    def _inertial(self, name: str) -> Path:
        paths = [self.root / place / f"{name}_inertial.mat" for place in _INERTIAL]
        return next((path for path in paths if path.is_file()), paths[0])

    def _video(self, name: str, camera: str, duration_s: float) -> VideoStream:
        fit = self.params.video_fit
        if camera == "depth":
            video, maps = self.root / "depth_mp4" / f"{name}.mp4", self.root / "Depth" / f"{name}_depth.mat"
            if video.is_file():
                return VideoFile(video, camera, fit=fit)
            if maps.is_file():
                return DepthMat(maps, camera, duration_s, fit)
            raise RecordingError(f"{video}: not there, nor is {maps}; expected one of them beside the inertial file")
        found = sorted(self.root.glob(f"RGB*/{name}_color.avi"))
        if len(found) != 1:
            raise RecordingError(f"{self.root / 'RGB' / name}_color.avi: {len(found)} files of this name; expected one")
        return SpreadVideo(found[0], camera, duration_s, fit)
