"""Settings of windows, and the names and thresholds of all rules of quality.

The rules are in ``datamodules.windows.quality``; ``windows.cut_windows`` and the build apply them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from core.settings import setting

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
# All of them by default; a literal, so that --help can read it without running the module.
EXCLUDED = "gap,nan,saturated,flat_line,gravity,repeated,missing_frames,black_video,frozen_video"


@dataclass(frozen=True)
class WindowSettings:
    """Settings of the cutting of windows; their hash is part of a build's identity.

    Times are seconds. A window with a fault of the sensor or of the video is always marked (see ``Window.faults``).
    It is excluded if ``exclude``, a list separated by commas, names the fault.
    """

    duration_s: float = setting(5.0, "length of a window, seconds", above=0)
    stride_s: float = setting(5.0, "from one window's start to the next one's, seconds", above=0)
    layout: str = setting(
        "grid", "'grid' (every stride_s) or 'centred' (one a recording, padded where it is short)", choices=LAYOUTS
    )
    imu_rate_hz: float = setting(50.0, "the rate that the IMU is resampled to", above=0)
    frames: int = setting(
        10, "frames a window, at the centres of as many equal parts; 0 builds IMU-only shards", at_least=0
    )
    frame_size: int = setting(112, "height and width of the frames, pixels", at_least=1)
    jpeg_quality: int = setting(
        90, "of the stored frames; 0 stores plain pixels: eight times the disk, no decoding", at_least=0, at_most=100
    )
    max_gap_s: float = setting(0.1, "longer stretches without samples are never interpolated over, seconds", above=0)
    min_label_share: float = setting(
        0.6, "an activity labels a window if it covers at least this share of it", above=0, at_most=1
    )
    keep_unlabelled: bool = setting(True, "keep windows that no activity labels; pretraining needs none")
    median_kernel: int = setting(1, "median filter of the IMU, samples, odd; the paper's is 5, 1 is off", at_least=1)
    exclude: str = setting(EXCLUDED, "faults that keep a window out; others mark it")
    saturated_samples: int = setting(3, "saturated: so many samples of a channel at the end of its range", at_least=1)
    standstill_s: float = setting(
        0.5, "flat_line: no axis of a sensor changes by a single bit for so long, seconds", above=0
    )
    min_norm_g: float = setting(0.3, "gravity: a smaller median acceleration is no person's, g", at_least=0)
    max_norm_g: float = setting(3.0, "gravity: a larger median acceleration is no person's, g")
    max_repeated_share: float = setting(
        0.05, "repeated: a larger share of the samples has another one's time stamp", at_least=0, below=1
    )
    max_frame_gap_s: float = setting(0.5, "missing_frames: the video shows nothing new for longer, seconds", above=0)
    black_level: float = setting(16.0, "black_video: no part of any frame is brighter, of 255", at_least=0, at_most=255)
    frozen_level: float = setting(
        0.5, "frozen_video: no part of the picture changes by more, of 255", at_least=0, at_most=255
    )
    frozen_share: float = setting(0.8, "frozen_video: for at least this share of the window", above=0, at_most=1)

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
                raise ValueError(f"exclude: expected some of {', '.join(known)}; found '{name}'")
        return frozenset(known[name] for name in names)

    def check(self) -> None:
        """Refuse settings that don't fit together; the message begins with the name of one of them."""
        self.excluded_faults()
        if self.samples < 1:
            raise ValueError(f"duration_s: {self.duration_s} at {self.imu_rate_hz} Hz is no sample")
        if self.median_kernel % 2 == 0:
            raise ValueError(f"median_kernel: expected an odd number, found {self.median_kernel}")
        if self.min_norm_g >= self.max_norm_g:
            raise ValueError(f"min_norm_g: expected less than max_norm_g {self.max_norm_g}, found {self.min_norm_g}")
