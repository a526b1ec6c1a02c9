"""Settings of windows, and the names and thresholds of all rules of quality.

The rules are in ``datamodules.windows.quality``; ``windows.cut_windows`` and the build apply them.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

T = TypeVar("T")

ANY_PLACEMENT = "any"
LAYOUTS = ("grid", "centred")


class Reason(str, Enum):
    """Reason to leave a stretch of a recording out of the shards."""

    GAP = "gap"  # samples are missing for longer than max_gap_s
    NAN = "nan"  # lost samples: NaN in a channel that the device has
    SATURATED = "saturated"  # saturated_samples or more of a channel are at the end of its range
    FLAT_LINE = "flat_line"  # the sensor's values do not change for standstill_s or longer
    GRAVITY = "gravity"  # the acceleration's norm is impossible on a person: wrong units
    REPEATED = "repeated"  # more than max_repeated_share of the samples repeat another sample's time stamp
    MISSING_FRAMES = "missing_frames"  # the video has a hole longer than max_frame_gap_s
    BLACK_VIDEO = "black_video"  # no part of any frame is brighter than black_level
    FROZEN_VIDEO = "frozen_video"  # the picture does not change for frozen_share of the window
    NO_LABEL = "no_label"  # no activity covers enough of the window
    NO_VIDEO = "no_video"  # there is no frame inside the window
    SHORT = "short"  # sensor and video overlap for less than one window
    CLOCKS = "clocks"  # with build.clocks=drop: the clocks of sensor and camera disagree
    REMAINDER = "remainder"  # the rest at the end of a grid is shorter than a window
    UNUSABLE = "unusable"  # the recording raised a RecordingError


# Faults of a window, in the order of their bits in the shards. Append new faults at the end.
FAULTS = (
    Reason.GAP,
    Reason.NAN,
    Reason.SATURATED,
    Reason.FLAT_LINE,
    Reason.GRAVITY,
    Reason.REPEATED,
    Reason.MISSING_FRAMES,
    Reason.BLACK_VIDEO,
    Reason.FROZEN_VIDEO,
)


def _setting(default: T, text: str) -> T:
    """Declare a field with a default and a line of help for the commands."""
    return dataclasses.field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class WindowSettings:
    """Settings of the cutting of windows; their hash is part of a build's identity.

    Times are seconds. A window with a fault of the sensor or of the video is always marked (see ``Window.faults``).
    It is excluded if ``exclude``, a list separated by commas, names the fault.
    """

    duration_s: float = _setting(5.0, "length of a window, seconds")
    stride_s: float = _setting(5.0, "from one window's start to the next one's, seconds")
    layout: str = _setting("grid", "'grid' (every stride_s) or 'centred' (one a recording, padded where it is short)")
    imu_rate_hz: float = _setting(50.0, "the rate that the IMU is resampled to")
    frames: int = _setting(10, "frames a window, at the centres of as many equal parts; 0 builds IMU-only shards")
    frame_size: int = _setting(112, "height and width of the frames, pixels")
    jpeg_quality: int = _setting(90, "of the stored frames; 0 stores plain pixels: eight times the disk, no decoding")
    max_gap_s: float = _setting(0.1, "longer stretches without samples are never interpolated over, seconds")
    min_label_share: float = _setting(0.6, "an activity labels a window if it covers at least this share of it")
    keep_unlabelled: bool = _setting(True, "keep windows that no activity labels; pretraining needs none")
    median_kernel: int = _setting(1, "median filter of the IMU, samples, odd; the paper's is 5, 1 is off")
    exclude: str = _setting(",".join(fault.value for fault in FAULTS), "faults that keep a window out; others mark it")
    saturated_samples: int = _setting(3, "saturated: so many samples of a channel at the end of its range")
    standstill_s: float = _setting(0.5, "flat_line: no axis of a sensor changes by a single bit for so long, seconds")
    min_norm_g: float = _setting(0.3, "gravity: a smaller median acceleration is no person's, g")
    max_norm_g: float = _setting(3.0, "gravity: a larger median acceleration is no person's, g")
    max_repeated_share: float = _setting(0.05, "repeated: a larger share of the samples has another one's time stamp")
    max_frame_gap_s: float = _setting(0.5, "missing_frames: the video shows nothing new for longer, seconds")
    black_level: float = _setting(16.0, "black_video: no part of any frame is brighter, of 255")
    frozen_level: float = _setting(0.5, "frozen_video: no part of the picture changes by more, of 255")
    frozen_share: float = _setting(0.8, "frozen_video: for at least this share of the window")

    @property
    def samples(self) -> int:
        """IMU samples per window, T."""
        return round(self.duration_s * self.imu_rate_hz)

    def excluded_faults(self) -> frozenset[Reason]:
        """Parse ``exclude``.

        Raises:
            ValueError: a name is not the name of a fault; the message lists all faults.
        """
        names = [name.strip() for name in self.exclude.split(",") if name.strip()]
        known = {fault.value: fault for fault in FAULTS}
        for name in names:
            if name not in known:
                raise ValueError(f"window.exclude names '{name}'; expected some of {', '.join(known)}")
        return frozenset(known[name] for name in names)

    def check(self) -> None:
        """Check all settings.

        Raises:
            ValueError: a setting is out of range; the message names it and the expected range.
        """
        self.excluded_faults()
        if self.layout not in LAYOUTS:
            raise ValueError(f"window.layout is '{self.layout}'; expected one of {', '.join(LAYOUTS)}")
        for name in ("duration_s", "stride_s", "imu_rate_hz", "max_gap_s", "standstill_s", "max_frame_gap_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"window.{name} is {value}; expected a number greater than 0")
        if self.samples < 1:
            raise ValueError(f"window.duration_s {self.duration_s} at {self.imu_rate_hz} Hz is no sample")
        if self.frames < 0 or self.frame_size < 1:
            raise ValueError(
                f"window.frames is {self.frames} and window.frame_size {self.frame_size}; "
                "expected at least 0 and at least 1"
            )
        if not 0 <= self.jpeg_quality <= 100:
            raise ValueError(f"window.jpeg_quality is {self.jpeg_quality}; expected 1 to 100, or 0 for plain pixels")
        for name in ("min_label_share", "frozen_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"window.{name} is {getattr(self, name)}; expected above 0, at most 1")
        if self.median_kernel < 1 or self.median_kernel % 2 == 0:
            raise ValueError(f"window.median_kernel is {self.median_kernel}; expected an odd number")
        if self.saturated_samples < 1:
            raise ValueError(f"window.saturated_samples is {self.saturated_samples}; expected at least 1")
        if not 0 <= self.min_norm_g < self.max_norm_g:
            raise ValueError(
                f"window.min_norm_g is {self.min_norm_g} and window.max_norm_g {self.max_norm_g}; "
                "expected 0 <= min_norm_g < max_norm_g"
            )
        if not 0 <= self.max_repeated_share < 1:
            raise ValueError(f"window.max_repeated_share is {self.max_repeated_share}; expected 0 or more, below 1")
        for name in ("black_level", "frozen_level"):
            if not 0 <= getattr(self, name) <= 255:
                raise ValueError(f"window.{name} is {getattr(self, name)}; expected 0 to 255")
