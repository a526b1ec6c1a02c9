"""PyAV (FFmpeg), for all that decord does not read exactly: each picture is known by the time that it carries."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideData, Type
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from datamodules.formats import mp4
from datamodules.formats.video import display
from datamodules.formats.video.av_file import AvFile
from datamodules.formats.video.decoding import Pass
from datamodules.formats.video.listing import list_frames
from datamodules.recording import FloatArray, FrameArray

_MATRIX = struct.Struct("=9i")


class PyAvReader:
    """PyAV; one thread per file, because a build runs one process a core."""

    name = "pyav"

    def __init__(self, path: Path, movie: mp4.Movie | None) -> None:
        """List the frames of a file.

        Args:
            path: the file.
            movie: its headers if it is an MP4 or MOV.

        Raises:
            RecordingError: it can't be opened, or has no video that can be decoded.
        """
        self._path = path
        with AvFile(path) as file:
            self.stated_s = file.stated_s(movie)
            self.kind = f"{file.codec} in {file.container}"
        self._listing = list_frames(path)
        self._matrices: dict[int, display.Matrix | None] = {}  # by the angle, which a frame gives away cheaply
        self._times = self._listing.times()

    def times(self) -> FloatArray:
        """See :class:`contract.Backend`."""
        return self._times

    def size(self) -> tuple[int, int]:
        """See :class:`contract.Backend`."""
        with AvFile(self._path) as file:
            frame = Pass(file, self._listing).frame(0)
            height, width = frame.height, frame.width
            return (width, height) if display.swaps_sides(self._matrix(frame)) else (height, width)

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        """See :class:`contract.Backend`."""
        with AvFile(self._path) as file:
            once = Pass(file, self._listing)
            for index in indices.tolist():
                frame = once.frame(index)
                matrix = self._matrix(frame)
                h, w = (width, height) if display.swaps_sides(matrix) else (height, width)
                try:
                    scaled = frame.reformat(w, h, "rgb24", interpolation=Interpolation.BICUBIC).to_ndarray()
                    yield np.ascontiguousarray(display.turned(scaled.astype(np.uint8, copy=False), matrix))
                except (av.FFmpegError, ValueError) as error:
                    raise once.fault(index, str(error)) from error

    def _matrix(self, frame: av.VideoFrame) -> display.Matrix | None:
        # PyAV's side data refer to their frame and it to them: asked of each frame, they would keep hundreds of
        # pictures until Python looks for such circles.
        if frame.rotation not in self._matrices:
            # By its key: what an iteration gives differs between versions of PyAV.
            found = cast("Mapping[Type, SideData]", frame.side_data).get(Type.DISPLAYMATRIX)
            self._matrices[frame.rotation] = None if found is None else _MATRIX.unpack_from(bytes(found))
        return self._matrices[frame.rotation]
