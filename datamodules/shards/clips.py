"""One window's frames out of the bytes of all frames of its shard.

Shape legend: F frames, H = W frame size.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from datamodules.io.row_reader import RowReader
from datamodules.shards.frames import read_frame
from datamodules.shards.layout import ShardError

_thread = threading.local()


class FrameBytes(Protocol):
    """The bytes of all frames of a shard."""

    @property
    def nbytes(self) -> int:
        """How many there are."""

    def get(self, start: int, end: int) -> NDArray[np.uint8]:
        """Some of them; valid until the same thread asks again."""

    def put(self, start: int, out: NDArray[np.uint8]) -> None:
        """Fill ``out`` (bytes,) with those from ``start`` on."""


class MappedBytes:
    """In memory, or mapped into it."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._data = data

    @property
    def nbytes(self) -> int:
        """See :class:`FrameBytes`."""
        return self._data.nbytes

    def get(self, start: int, end: int) -> NDArray[np.uint8]:
        """See :class:`FrameBytes`."""
        return self._data[start:end]

    def put(self, start: int, out: NDArray[np.uint8]) -> None:
        """See :class:`FrameBytes`."""
        out[:] = self._data[start : start + out.size]


class FileBytes:
    """In a file.

    Args:
        reader: of the file.
        file: its position there.
        offset: the byte where the frames begin.
        nbytes: how many there are.
    """

    def __init__(self, reader: RowReader, file: int, offset: int, nbytes: int) -> None:
        self._reader, self._file, self._offset = reader, file, offset
        self.nbytes = nbytes

    def get(self, start: int, end: int) -> NDArray[np.uint8]:
        """See :class:`FrameBytes`."""
        memory: NDArray[np.uint8] | None = getattr(_thread, "memory", None)
        if memory is None or memory.size < end - start:
            # Fresh memory would be cleared page by page for every clip.
            memory = _thread.memory = np.empty(end - start, np.uint8)
        self.put(start, memory[: end - start])
        return memory[: end - start]

    def put(self, start: int, out: NDArray[np.uint8]) -> None:
        """See :class:`FrameBytes`."""
        self._reader.read(self._file, self._offset + start, out)


def read_clip(data: FrameBytes, bounds: Sequence[int], raw: bool, out: NDArray[np.uint8], where: str) -> None:
    """Put a window's frames into ``out`` (F, H, W, 3); one that is not there is black.

    Args:
        data: the shard's.
        bounds: (F + 1,) where each frame begins and the last one ends.
        raw: frames are plain pixels; otherwise JPEG.
        out: contiguous uint8.
        where: what an error's message starts with.

    Raises:
        ShardError: a frame can't be read.
    """
    if not 0 <= bounds[0] <= bounds[-1] <= data.nbytes:
        raise ShardError(f"{where}: bytes {bounds[0]} to {bounds[-1]} of {data.nbytes}")
    if raw and bounds[-1] - bounds[0] == out.nbytes:  # no frame is missing
        data.put(bounds[0], out.reshape(-1))
        return
    content = data.get(bounds[0], bounds[-1])
    for k, (start, end) in enumerate(pairwise(bounds)):
        if start == end:
            out[k] = 0
        else:
            read_frame(content[start - bounds[0] : end - bounds[0]], out[k], raw, f"{where}, frame {k}")
