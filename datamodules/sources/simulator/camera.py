"""Base class of the simulated cameras: frame times, lazy rendering and the sensor's noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, FrameArray
from datamodules.sources.simulator.room import FloatImage, Room

NOISE = 2.5  # standard deviation of a pixel, in grey values


class SimulatedCamera(ABC):
    """A ``VideoStream`` that renders only the requested frames.

    Args:
        duration_s: time from the recording's start to its end, seconds.
        room: the room of the session.
        frame_rate_hz: frame rate of the camera.
        phase_s: time of the first frame.
        exposure: factor on all colours.
        origin: origin of the video, for messages.
    """

    name = "camera"

    def __init__(
        self, duration_s: float, room: Room, frame_rate_hz: float, phase_s: float, exposure: float, origin: str
    ) -> None:
        self._duration_s, self._room = duration_s, room
        self._rate, self._phase = frame_rate_hz, phase_s
        self._exposure = exposure
        self._origin = origin

    @property
    def camera(self) -> str:
        """Name of the camera."""
        return self.name

    @property
    def origin(self) -> str:
        """Origin of the video, for messages."""
        return self._origin

    def frame_times(self) -> FloatArray:
        """Return the times of all frames, (N,) seconds on the recording's clock."""
        count = int((self._duration_s - self._phase) * self._rate)
        return self._phase + np.arange(count) / self._rate

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        """Yield the frames of these ascending indices, each (height, width, 3) uint8 RGB.

        Raises:
            IndexError: there is no frame with an index.
        """
        times = self.frame_times()
        indices = np.asarray(indices, dtype=np.int64)
        if len(indices) and (indices.min() < 0 or indices.max() >= len(times)):
            raise IndexError(
                f"{self._origin}: frames {indices.min()} to {indices.max()}; expected 0 to {len(times) - 1}"
            )
        if not len(indices):
            return
        grain = np.random.default_rng(7).normal(0.5, NOISE, 3 * height * width + 8192).astype(np.float32)
        scene = self.render(times[indices], height, width)
        for index, image in zip(indices, scene, strict=True):
            shift = int(index) * 2654435761 % 8192  # the noise differs from frame to frame
            image *= np.float32(255.0 * self._exposure)
            image += grain[shift : shift + image.size].reshape(image.shape)
            yield np.clip(image, 0.0, 255.0).astype(np.uint8)

    @abstractmethod
    def render(self, times: FloatArray, height: int, width: int) -> Iterator[FloatImage]:
        """Yield one new (height, width, 3) image, 0..1, for each time."""
