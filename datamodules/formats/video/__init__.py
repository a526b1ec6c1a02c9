"""Video files as streams of frames at known times.

The frames that can be presented, and when, are known from the container before pictures are decoded; the pictures
are proven to be them. Frames are decoded in one pass over ascending indices and scaled as they come, so memory stays
bounded whatever the size of the video. Each file is read by the decoder that reads it exactly: see ``choice``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.formats.frame_fit import FITS, centre, scaled_size
from datamodules.formats.video.contract import DECORD, Backend, remedy
from datamodules.recording import FloatArray, FrameArray, RecordingError

__all__ = ["DECORD", "FITS", "VideoFile"]

# A container may round its duration; what is missing beyond this is missing.
_DURATION_SLACK_S = 0.25


class VideoFile:
    """A video file as a :class:`datamodules.recording.VideoStream`."""

    def __init__(
        self,
        path: str | Path,
        camera: str,
        start_s: float = 0.0,
        expected_duration_s: float | None = None,
        fit: str = "crop",
    ) -> None:
        """Nothing is read yet.

        Args:
            path: the file.
            camera: name of the camera.
            start_s: when its time 0 is on the recording's clock.
            expected_duration_s: how long it should be, if it is known from elsewhere.
            fit: how a frame gets the shape that is asked for: ``crop`` scales it and cuts off both sides,
                ``pad`` scales it and adds black, ``squash`` changes its proportions.
        """
        if fit not in FITS:
            raise ValueError(f"fit is '{fit}'; expected one of {', '.join(FITS)}")
        self.path = Path(path)
        self._camera = camera
        self._start_s = start_s
        self._expected_duration_s = expected_duration_s
        self._fit = fit
        self._reason = ""
        self._backend: Backend | None = None
        self._size: tuple[int, int] | None = None

    @property
    def camera(self) -> str:
        """Name of the camera."""
        return self._camera

    @property
    def origin(self) -> str:
        """The file."""
        return str(self.path)

    @property
    def decoder(self) -> str:
        """The library that decodes the file: ``DECORD`` or ``pyav``.

        Raises:
            RecordingError: as for :meth:`frame_times`.
        """
        return self._opened().name

    @property
    def decoder_reason(self) -> str:
        """The reason for this decoder, in a few words.

        Raises:
            RecordingError: as for :meth:`frame_times`.
        """
        self._opened()
        return self._reason

    def frame_times(self) -> FloatArray:
        """Times of all frames that can be presented, from the container, (N,) seconds on the recording's clock.

        Raises:
            RecordingError: the file is missing, truncated or no video, its times do not ascend, or it ends
                before the duration that its container states.
        """
        return self._opened().times() + self._start_s

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        """Yield the frames of these strictly ascending indices, (height, width, 3) uint8 RGB.

        Raises:
            RecordingError: a frame can't be decoded; the message says which.
        """
        backend = self._opened()
        if indices.size == 0:
            return
        n = backend.times().size
        if indices[0] < 0 or indices[-1] >= n or (np.diff(indices) <= 0).any():
            raise ValueError(f"{self.path}: indices must ascend within 0 to {n - 1}")
        if self._size is None and self._fit != "squash":
            self._size = backend.size()
        for frame in backend.read(indices, *scaled_size(self._size or (), height, width, self._fit)):
            yield centre(frame, height, width)

    def _opened(self) -> Backend:
        if self._backend is None:
            if not self.path.is_file():
                raise RecordingError(f"{self.path}: the video file is not there")
            # Here, since it imports torch, which decord needs first: tables without video do without both.
            from datamodules.formats.video.choice import open_video

            backend, self._reason = open_video(self.path)
            self._check_times(backend.times(), backend.stated_s)
            self._backend = backend
        return self._backend

    def _check_times(self, times: FloatArray, stated: float | None) -> None:
        if times.size == 0:
            raise RecordingError(f"{self.path}: the video has no frame")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            bad = int(np.argmax(~(np.diff(times) > 0)))
            raise RecordingError(
                f"{self.path}: the times of frames {bad} and {bad + 1} do not ascend "
                f"({times[bad]} and {times[min(bad + 1, times.size - 1)]} s); {remedy(self.path, 'vfr')}"
            )
        interval = float(np.median(np.diff(times))) if times.size > 1 else 0.0
        end = float(times[-1]) + interval
        for last, duration, whose in (
            (end, stated, "its container states"),
            (end - float(times[0]), self._expected_duration_s, "its recording needs"),
        ):
            if duration is not None and last < duration - max(_DURATION_SLACK_S, 3 * interval):
                raise RecordingError(
                    f"{self.path}: its {times.size} frames last {last:.2f} s, "
                    f"{whose} {duration:.2f} s: its end is missing"
                )
