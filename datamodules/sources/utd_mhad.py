"""UTD-MHAD: 8 people, 27 actions, one IMU on wrist or thigh, and a Kinect.

C. Chen, R. Jafari, N. Kehtarnavaz: UTD-MHAD: A multimodal dataset for human action recognition utilizing a
depth camera and a wearable inertial sensor. ICIP 2015.

Expected below ``root``: ``inertial/a{action}_s{subject}_t{trial}_inertial.mat`` with ``d_iner`` (N, 6) in g
and deg/s at 50 Hz, and ``depth_mp4/a{action}_s{subject}_t{trial}.mp4``, the depth video with true times.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from datamodules.recording import FloatArray, ImuStream, Interval, Recording, RecordingError
from datamodules.signal import DEGREE, G
from datamodules.sources.registry import Source, source
from datamodules.video_decode import VideoFile

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
_FIRST_THIGH_ACTION = 22
_HEADER_BYTES = 128  # of a MATLAB 5 file
_NAME = re.compile(r"a(\d+)_s(\d+)_t(\d+)")


@dataclass
class UtdMhadParams:
    """Settings of UTD-MHAD."""

    root: str = "../shared/data/utd-mhad"
    subjects: list[str] = field(default_factory=list)  # e.g. ["1", "3"]; empty takes all 8
    video_fit: str = "crop"  # "crop", "pad" or "squash", see video_decode.VideoFile


@source("utd_mhad", UtdMhadParams)
class UtdMhad(Source):
    """One recording a trial, with camera ``depth`` and one IMU at ``right_wrist`` or ``right_thigh``.

    A trial is there if either of its two files is; the missing one is an error when it is loaded.
    """

    def __init__(self, params: UtdMhadParams) -> None:
        self.params = params
        self.root = Path(params.root)

    def names(self) -> list[str]:
        """``a{action}_s{subject}_t{trial}``, by action, subject and trial.

        Raises:
            ValueError: there is no such data set below ``root``.
        """
        found: set[tuple[int, ...]] = set()
        for pattern in ("inertial/*_inertial.mat", "depth_mp4/*.mp4"):
            for path in self.root.glob(pattern):
                match = _NAME.fullmatch(path.stem.removesuffix("_inertial"))
                if match:
                    found.add(tuple(int(number) for number in match.groups()))
        if not found:
            raise ValueError(
                f"{self.root.resolve()}: no UTD-MHAD here; expected "
                "inertial/a1_s1_t1_inertial.mat and others (set the source's 'root')"
            )
        wanted = self.params.subjects
        names = [f"a{a}_s{s}_t{t}" for a, s, t in sorted(found) if not wanted or str(s) in wanted]
        if not names:
            raise ValueError(f"{self.root.resolve()}: no trial of subjects {', '.join(wanted)}")
        return names

    def subject_of(self, name: str) -> str:
        """The number after ``s``."""
        return self._parse(name)[1]

    def load(self, name: str) -> Recording:
        """Load one trial.

        Raises:
            RecordingError: a file is missing or isn't what it should be.
        """
        action, subject = self._parse(name)
        values = self._read_inertial(self.root / "inertial" / f"{name}_inertial.mat")
        video = self.root / "depth_mp4" / f"{name}.mp4"
        if not video.is_file():
            raise RecordingError(f"{video}: not there, but its inertial file is")
        times = np.arange(len(values)) / RATE_HZ
        stream = ImuStream(
            times=times,
            values=values,
            placement="right_wrist" if action < _FIRST_THIGH_ACTION else "right_thigh",
            device="UTD wearable inertial sensor",
            # The ranges in the paper; no value in the set is beyond 8 g, and tennis serves reach it.
            acceleration_range=8 * G,
            angular_velocity_range=1000 * DEGREE,
            origin=str(self.root / "inertial" / f"{name}_inertial.mat"),
        )
        duration = len(values) / RATE_HZ
        return Recording(
            name=name,
            subject=subject,
            imus=(stream,),
            videos=(VideoFile(video, "depth", fit=self.params.video_fit),),
            activities=(Interval(0.0, duration, ACTIONS[action - 1]),),
            source="utd_mhad",
        )

    @staticmethod
    def _parse(name: str) -> tuple[int, str]:
        match = _NAME.fullmatch(name)
        if not match or not 1 <= int(match[1]) <= len(ACTIONS):
            raise RecordingError(f"'{name}' is no trial of UTD-MHAD; expected a1_s1_t1, actions up to {len(ACTIONS)}")
        return int(match[1]), match[2]

    @staticmethod
    def _read_inertial(path: Path) -> FloatArray:
        if not path.is_file():
            raise RecordingError(f"{path}: not there, but its video is")
        if path.stat().st_size < _HEADER_BYTES:
            raise RecordingError(f"{path}: truncated: {path.stat().st_size} bytes are less than a header")
        try:
            content = loadmat(path)
        # What scipy raises on damaged files, by where the damage is.
        except (
            MatReadError,
            ValueError,
            TypeError,
            OSError,
            NotImplementedError,
            zlib.error,
            struct.error,
        ) as e:
            raise RecordingError(f"{path}: not a readable MATLAB file: {e}") from e
        if "d_iner" not in content:
            found = ", ".join(sorted(k for k in content if not k.startswith("__"))) or "none"
            raise RecordingError(f"{path}: no variable 'd_iner'; it has: {found}")
        values = np.asarray(content["d_iner"])
        if values.ndim != 2 or values.shape[1] != 6 or values.dtype.kind not in "fiu":
            raise RecordingError(f"{path}: d_iner is {values.dtype} {values.shape}; expected numbers (N, 6)")
        scaled: FloatArray = values.astype(np.float64) * np.array([G] * 3 + [DEGREE] * 3)
        return scaled
