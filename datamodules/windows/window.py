"""Windows without their pixels, and stretches of a recording that are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.signal import BoolArray
from datamodules.windows.settings import Reason


@dataclass(frozen=True)
class Window:
    """One window, without its pixels.

    Attributes:
        recording, subject, population, placement, device: origin of the window.
        activity: label; empty if there is none.
        start_s: start on the video's clock, seconds.
        imu: (T, 6) float32 m/s^2 and rad/s, zero where invalid.
        sample_mask: (T,) bool, True where valid.
        channel_mask: (6,) bool, True for channels that the device has.
        frame_indices: (F,) frames of the video, ascending; -1 where no frame is near enough.
        frame_times: (F,) float32 seconds since the window's start: the frame's true time, or the requested time where
            ``frame_mask`` is False.
        frame_mask: (F,) bool, True where there is a frame.
        faults: faults of the sensor and of the video, which may be set in a kept window too.
    """

    recording: str
    subject: str
    population: str
    placement: str
    device: str
    activity: str
    start_s: float
    imu: NDArray[np.float32]
    sample_mask: BoolArray
    channel_mask: BoolArray
    frame_indices: NDArray[np.int64]
    frame_times: NDArray[np.float32]
    frame_mask: BoolArray
    faults: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Exclusion:
    """A stretch of a recording left out of the shards, and the reason; ``start_s`` is on the video's clock."""

    recording: str
    start_s: float
    reason: Reason
    detail: str
