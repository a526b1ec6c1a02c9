"""UTD-MHAD's videos as they are published: depth maps in MATLAB files, and RGB as AVI.

Neither says when its frames were taken; the Kinect gave "approximately" 30 a second. Frame i of F is taken to be at
i / F of the trial's duration by its inertial signal. For depth that was measured: wrist speed in the picture and the
gyroscope's magnitude then correlate at 0.84, but at 0.27 with 30 frames a second from the start. For RGB it is assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.formats.frame_fit import fitted
from datamodules.formats.matlab import describe, read_mat, variable
from datamodules.formats.video import FITS, VideoFile
from datamodules.recording import FloatArray, FrameArray, RecordingError

NEAR_MM, FAR_MM = 500.0, 4500.0  # white and (nearly) black; the Kinect measures from 0.8 to 4 m
_FURTHEST_MM = 16_000
_VARIABLE = "d_depth"


class DepthMat:
    """Depth maps, ``d_depth`` (H, W, F) in mm, as grey frames: near is bright, nothing measured is black."""

    def __init__(self, path: Path, camera: str, duration_s: float, fit: str = "crop") -> None:
        """Nothing is read yet.

        Args:
            path: ``a1_s1_t1_depth.mat``.
            camera: name of the camera.
            duration_s: how long the trial lasted.
            fit: as in ``formats.video.VideoFile``.
        """
        if fit not in FITS:
            raise ValueError(f"fit is '{fit}'; expected one of {', '.join(FITS)}")
        self._path, self._camera, self._duration_s, self._fit = path, camera, duration_s, fit
        self._maps: NDArray[np.float32] | None = None

    @property
    def camera(self) -> str:
        """Name of the camera."""
        return self._camera

    @property
    def origin(self) -> str:
        """The file."""
        return str(self._path)

    def frame_times(self) -> FloatArray:
        """Times of all frames, (F,) seconds.

        Raises:
            RecordingError: the file is missing, or isn't what it should be.
        """
        return spread(self._read().shape[2], self._duration_s)

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        """Yield the frames of these ascending indices, (height, width, 3) uint8."""
        maps = self._read()
        for index in indices.tolist():
            depth = maps[:, :, index]
            grey = np.clip(255 * (FAR_MM - depth) / (FAR_MM - NEAR_MM), 1, 255)
            frame = np.where(depth > 0, grey, 0).astype(np.uint8)
            yield fitted(np.repeat(frame[:, :, None], 3, axis=2), height, width, self._fit)

    def _read(self) -> NDArray[np.float32]:
        if self._maps is None:
            content = read_mat(self._path)
            maps = variable(self._path, content, _VARIABLE)
            if maps.ndim != 3 or maps.dtype.kind not in "fiu" or 0 in maps.shape:
                raise RecordingError(
                    f"{self._path}: {_VARIABLE} is {describe(maps)}; expected numbers (height, width, frames)"
                )
            if not 0 <= maps.min() <= maps.max() <= _FURTHEST_MM:
                raise RecordingError(
                    f"{self._path}: {_VARIABLE} goes from {maps.min()} to {maps.max()}; expected millimetres up to "
                    f"{_FURTHEST_MM}"
                )
            self._maps = maps.astype(np.float32)
        return self._maps


class SpreadVideo(VideoFile):
    """A video file whose own times mean nothing: its frames are spread evenly over the trial."""

    def __init__(self, path: Path, camera: str, duration_s: float, fit: str = "crop") -> None:
        """As :class:`datamodules.formats.video.VideoFile`; ``duration_s`` is how long the trial lasted."""
        super().__init__(path, camera, fit=fit)
        self._duration_s = duration_s

    def frame_times(self) -> FloatArray:
        """Times of all frames, (F,) seconds.

        Raises:
            RecordingError: the file is missing, truncated or no video.
        """
        return spread(super().frame_times().size, self._duration_s)


def spread(frames: int, duration_s: float) -> FloatArray:
    """Times of ``frames`` frames that begin with a trial and end with it."""
    times: FloatArray = np.arange(frames, dtype=np.float64) * (duration_s / frames)
    return times
