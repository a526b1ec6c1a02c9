"""The contract of every data source: a recording with its sensors, cameras and labels.

Times are seconds (float64) on the recording's own clock. Acceleration is in m/s^2 and includes gravity: an
accelerometer at rest measures +9.81 along the axis that points up. Angular velocity is in rad/s. The channels are
always ``ax ay az gx gy gz``, in the device's own axes. ``placement`` names the place of the device on the body.

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
    """A recording is unusable; the message names the file, the value found and the value expected."""


@dataclass(frozen=True)
class Interval:
    """An interval of time with one activity: ``start <= t < end``, seconds."""

    start: float
    end: float
    activity: str


@dataclass(frozen=True)
class ImuStream:
    """The samples of one motion sensor.

    Attributes:
        times: (N,) seconds, strictly increasing.
        values: (N, 6) in ``CHANNELS`` order, m/s^2 and rad/s. The gyroscope's channels are all NaN if the device has
            none; any other NaN is a lost sample.
        placement: place on the body, e.g. ``head``, ``chest``, ``right_wrist``.
        device: make and model, as far as known.
        acceleration_range: largest magnitude per axis that the device can measure, m/s^2; None if unknown.
        angular_velocity_range: largest magnitude per axis of the gyroscope, rad/s; None if unknown.
        origin: file of the samples, for messages.
        repeated: ascending times of samples that the source dropped, because an earlier sample has the same time stamp.
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
    """A video with time stamps: a file (``formats.video.VideoFile``) or a renderer."""

    @property
    def camera(self) -> str:
        """Name of the camera, e.g. ``head`` or ``third_person``."""

    @property
    def origin(self) -> str:
        """File of the video, for messages."""

    def frame_times(self) -> FloatArray:
        """Return the times of all frames, (N,) seconds on the recording's clock, strictly increasing."""

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        """Yield the frames of these ascending indices, each (height, width, 3) uint8 RGB, in one pass of decoding."""


@dataclass(frozen=True)
class Recording:
    """One continuous recording of one subject.

    Attributes:
        name: name of the recording, unique within its source, e.g. ``a01_s02_t3``.
        subject: identifier of the subject, unique within the source. Splits separate subjects.
        imus: one stream per sensor.
        videos: zero or more synchronised cameras.
        activities: labels on the video's clock. No interval covers unlabelled time.
        population: e.g. ``healthy`` or ``parkinson``.
        source: name of the data set.
        imu_clock_offset_s: known offset; added to IMU times, it gives times on the video's clock.
        simulated: True for simulated data; tables and reports that use this recording say so.
        labelled_on: placements of the sensors whose clock the labels follow, e.g. labels in a column beside the
            samples. If such a sensor's clock is corrected, the labels move with it. Empty if the labels follow the
            video.
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
        """Return the stream worn at ``placement``.

        Raises:
            RecordingError: there is none; the message lists the recording's placements.
        """
        for stream in self.imus:
            if stream.placement == placement:
                return stream
        found = ", ".join(sorted(s.placement for s in self.imus)) or "none"
        raise RecordingError(f"recording {self.name}: no IMU at placement '{placement}'; it has: {found}")

    def video(self, camera: str) -> VideoStream:
        """Return the stream of ``camera``.

        Raises:
            RecordingError: there is none; the message lists the recording's cameras.
        """
        for stream in self.videos:
            if stream.camera == camera:
                return stream
        found = ", ".join(sorted(s.camera for s in self.videos)) or "none"
        raise RecordingError(f"recording {self.name}: no camera '{camera}'; it has: {found}")
