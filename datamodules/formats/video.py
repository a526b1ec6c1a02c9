"""Video files as streams of frames at known times.

Frames are decoded in one pass over ascending indices and scaled by the decoder, so memory stays bounded
whatever the size of the video. A decoder is a :class:`Backend`; ``BACKENDS`` names them, and another one
(torchcodec, PyAV) is one more class and entry.

Shape legend: N frames, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch  # noqa: F401  decord must be loaded after torch: the other way round it may crash

import decord  # isort: skip
from numpy.typing import NDArray

from datamodules.formats import mp4
from datamodules.recording import FloatArray, FrameArray, RecordingError

FITS = ("crop", "pad", "squash")
_CHUNK = 16  # frames decoded at once
# A container may round its duration; what is missing beyond this is missing.
_DURATION_SLACK_S = 0.25

decord.logging.set_level(decord.logging.FATAL)


class Backend(Protocol):
    """A decoder with one file open; raises RecordingError naming the file when it can't go on."""

    def times(self) -> FloatArray:
        """When each frame is shown, (N,) seconds since the file's own zero."""

    def size(self) -> tuple[int, int]:
        """Height and width of the frames as they are shown (rotation applied)."""

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        """Yield these ascending frames, scaled to exactly (height, width, 3) uint8 RGB."""


class DecordBackend:
    """decord; one thread per file, because a build runs one process a core."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # fault_tol: decord silently repeats the last good frame in place of a broken one, unless told to
        # accept none. A width keeps its read-ahead small, here as everywhere.
        reader = self._open(16, 16)
        with self._explained("its frames can't be listed"):
            self._n = len(reader)
            stamps = reader.get_frame_timestamp(range(self._n)) if self._n else np.zeros((0, 2))
        self._times = np.asarray(stamps, dtype=np.float64)[:, 0]

    def times(self) -> FloatArray:
        """See :class:`Backend`."""
        return self._times

    def size(self) -> tuple[int, int]:
        """See :class:`Backend`."""
        with self._explained("its first frame can't be decoded"):
            height, width, _ = decord.VideoReader(str(self._path), num_threads=1, fault_tol=1)[0].shape
        return int(height), int(width)

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        """See :class:`Backend`."""
        reader = self._open(height, width)
        for first in range(0, indices.size, _CHUNK):
            chunk = indices[first : first + _CHUNK]
            with self._explained(
                f"frames {chunk[0]} to {chunk[-1]} of {self._n} "
                f"({self._times[chunk[0]]:.2f} to {self._times[chunk[-1]]:.2f} s) can't be decoded"
            ):
                frames = reader.get_batch(chunk.tolist()).asnumpy()
            yield from frames

    def _open(self, height: int, width: int) -> Any:
        with self._explained("decord can't open it"):
            return decord.VideoReader(str(self._path), width=width, height=height, num_threads=1, fault_tol=1)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        # decord raises RuntimeError for files it can't open, its own error for all else.
        except (decord.DECORDError, decord.DECORDLimitReachedError, RuntimeError) as error:
            cause = str(error).strip().splitlines()[0].split("] ")[-1]
            raise RecordingError(f"{self._path}: {what}: {cause}") from error


BACKENDS: dict[str, Callable[[Path], Backend]] = {"decord": DecordBackend}


class VideoFile:
    """A video file as a :class:`datamodules.recording.VideoStream`."""

    def __init__(
        self,
        path: str | Path,
        camera: str,
        start_s: float = 0.0,
        expected_duration_s: float | None = None,
        fit: str = "crop",
        backend: str = "decord",
    ) -> None:
        """Nothing is read yet.

        Args:
            path: the file.
            camera: name of the camera.
            start_s: when its time 0 is on the recording's clock.
            expected_duration_s: how long it should be, if it is known from elsewhere.
            fit: how a frame gets the shape that is asked for: ``crop`` scales it and cuts off both sides,
                ``pad`` scales it and adds black, ``squash`` changes its proportions.
            backend: a key of ``BACKENDS``.
        """
        if fit not in FITS:
            raise ValueError(f"fit is '{fit}'; expected one of {', '.join(FITS)}")
        if backend not in BACKENDS:
            raise ValueError(f"no video backend '{backend}'; there are: {', '.join(BACKENDS)}")
        self.path = Path(path)
        self._camera = camera
        self._start_s = start_s
        self._expected_duration_s = expected_duration_s
        self._fit = fit
        self._make_backend = BACKENDS[backend]
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

    def frame_times(self) -> FloatArray:
        """Times of all frames from the container, (N,) seconds on the recording's clock.

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
        if self._fit == "squash":
            yield from backend.read(indices, height, width)
            return
        if self._size is None:
            self._size = backend.size()
        scales = (height / self._size[0], width / self._size[1])
        scale = max(scales) if self._fit == "crop" else min(scales)
        scaled_h, scaled_w = (max(1, round(side * scale)) for side in self._size)
        for frame in backend.read(indices, scaled_h, scaled_w):
            yield centre(frame, height, width)

    def _opened(self) -> Backend:
        if self._backend is None:
            if not self.path.is_file():
                raise RecordingError(f"{self.path}: the video file is not there")
            stated = mp4.video_duration(self.path)
            backend = self._make_backend(self.path)
            self._check_times(backend.times(), stated)
            self._backend = backend
        return self._backend

    def _check_times(self, times: FloatArray, stated: float | None) -> None:
        if times.size == 0:
            raise RecordingError(f"{self.path}: the video has no frame")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            bad = int(np.argmax(~(np.diff(times) > 0)))
            raise RecordingError(
                f"{self.path}: the times of frames {bad} and {bad + 1} do not ascend "
                f"({times[bad]} and {times[min(bad + 1, times.size - 1)]} s)"
            )
        interval = float(np.median(np.diff(times))) if times.size > 1 else 0.0
        length = float(times[-1] - times[0]) + interval
        for duration, whose in (
            (stated, "its container states"),
            (self._expected_duration_s, "its recording needs"),
        ):
            if duration is not None and length < duration - max(_DURATION_SLACK_S, 3 * interval):
                raise RecordingError(
                    f"{self.path}: its {times.size} frames last {length:.2f} s, "
                    f"{whose} {duration:.2f} s: its end is missing"
                )


def centre(frame: FrameArray, height: int, width: int) -> FrameArray:
    """Cut or pad both sides equally, to exactly this size."""
    h, w = frame.shape[:2]
    top, left = max(0, (h - height) // 2), max(0, (w - width) // 2)
    cut = frame[top : top + height, left : left + width]
    h, w = cut.shape[:2]
    if (h, w) == (height, width):
        return cut
    result = np.zeros((height, width, 3), np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    result[top : top + h, left : left + w] = cut
    return result
