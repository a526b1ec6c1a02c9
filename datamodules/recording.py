"""The one contract that every source of data meets.

Times are seconds (float64) on the recording's own clock. Acceleration is in m/s^2 *with* gravity (what an
accelerometer at rest measures: +9.81 along the axis that points up), angular velocity in rad/s, the channels
are always ``ax ay az gx gy gz``. Axes are the device's own; ``placement`` says where it was worn.

Shape legend: N samples or frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import MendableError

CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")
STANDARD_GRAVITY = 9.80665  # m/s^2

FloatArray = NDArray[np.float64]
FrameArray = NDArray[np.uint8]


class RecordingError(MendableError, ValueError):
    """A recording that can't be used; the message names the file, what was found and what is expected."""


@dataclass(frozen=True)
class Interval:
    """A stretch of the time line with one activity: ``start <= t < end``, seconds."""

    start: float
    end: float
    activity: str


@dataclass(frozen=True)
class ImuStream:
    """What one motion sensor measured.

    Attributes:
        times: (N,) seconds, strictly increasing.
        values: (N, 6) in ``CHANNELS`` order, m/s^2 and rad/s; a device without a gyroscope has NaN there, and
            a NaN anywhere else is a lost sample.
        placement: where on the body, e.g. ``head``, ``chest``, ``right_wrist``.
        device: make and model, as far as known.
        acceleration_range: largest magnitude per axis that the device can give, m/s^2; None if unknown.
        angular_velocity_range: the same for the gyroscope, rad/s.
        origin: the file that it came from, for messages.
        repeated: ascending times of samples that the source left out, because their stamp was there before.
    """

    times: FloatArray
    values: FloatArray
    placement: str
    device: str = "unknown"
    acceleration_range: float | None = None
    angular_velocity_range: float | None = None
    origin: str = "unknown"
    repeated: FloatArray = field(default_factory=lambda: np.empty(0))


class VideoStream(Protocol):
    """Frames that can be asked for by time; a file (``video_decode.VideoFile``) or a renderer."""

    @property
    def camera(self) -> str:
        """Name of the camera, e.g. ``head`` or ``third_person``."""

    @property
    def origin(self) -> str:
        """The file that it came from, for messages."""

    def frame_times(self) -> FloatArray:
        """Times of all frames, (N,) seconds on the recording's clock, strictly increasing."""

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        """Yield the frames of these ascending indices, each (height, width, 3) uint8 RGB, decoding once."""


@dataclass(frozen=True)
class Recording:
    """One continuous recording of one person.

    Attributes:
        name: unique within its source, e.g. ``a01_s02_t3``.
        subject: who; unique within its source. Splits go by it.
        imus: one stream per sensor worn.
        videos: zero or more synchronised cameras.
        activities: labels, on the video's clock; unlabelled time is simply not covered.
        population: e.g. ``healthy`` or ``parkinson``.
        source: name of the data set.
        imu_clock_offset_s: known offset, added to IMU times to bring them onto the video's clock.
        simulated: tables and reports fed by this recording say so.
        labelled_on: placements of the sensors on whose clock the labels were given, as a column beside the samples
            is: where a sensor's clock turns out wrong and is corrected, they move along. Empty: given by the video.
    """

    name: str
    subject: str
    imus: tuple[ImuStream, ...]
    videos: tuple[VideoStream, ...] = ()
    activities: tuple[Interval, ...] = ()
    population: str = "general"
    source: str = "unknown"
    imu_clock_offset_s: float = 0.0
    simulated: bool = False
    metadata: dict[str, str | float | int | bool] = field(default_factory=dict)
    labelled_on: tuple[str, ...] = ()

    def imu(self, placement: str) -> ImuStream:
        """The stream worn at ``placement``.

        Raises:
            RecordingError: there is none; the message lists those that are there.
        """
        for stream in self.imus:
            if stream.placement == placement:
                return stream
        found = ", ".join(sorted(s.placement for s in self.imus)) or "none"
        raise RecordingError(f"recording {self.name}: no IMU at placement '{placement}'; it has: {found}")

    def video(self, camera: str) -> VideoStream:
        """The stream of ``camera``.

        Raises:
            RecordingError: there is none; the message lists those that are there.
        """
        for stream in self.videos:
            if stream.camera == camera:
                return stream
        found = ", ".join(sorted(s.camera for s in self.videos)) or "none"
        raise RecordingError(f"recording {self.name}: no camera '{camera}'; it has: {found}")
