"""Reading of one window's frames from the bytes of all frames of a shard.

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
from datamodules.shards.checks import REMEDY, damage
from datamodules.shards.frames import read_frame
from datamodules.shards.layout import ShardError, digest64

_thread = threading.local()


class FrameBytes(Protocol):
    """The bytes of all frames of a shard."""

    @property
    def nbytes(self) -> int:
        """Number of bytes."""

    def read(self, start: int, end: int) -> NDArray[np.uint8]:
        """Return the bytes from ``start`` to ``end``; valid until the same thread calls this again."""

    def read_into(self, start: int, out: NDArray[np.uint8]) -> None:
        """Fill ``out`` (bytes,) with the bytes from ``start`` on."""


class MappedBytes:
    """Bytes of frames in memory, or mapped into memory."""

    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._data = data

    @property
    def nbytes(self) -> int:
        """See :class:`FrameBytes`."""
        return self._data.nbytes

    def read(self, start: int, end: int) -> NDArray[np.uint8]:
        """See :class:`FrameBytes`."""
        return self._data[start:end]

    def read_into(self, start: int, out: NDArray[np.uint8]) -> None:
        """See :class:`FrameBytes`."""
        out[:] = self._data[start : start + out.size]


class FileBytes:
    """Bytes of frames in a file.

    Args:
        reader: reader of the shards' files.
        file: number of the file in ``reader``.
        offset: byte of the file at which the frames begin.
        nbytes: number of bytes of all frames.
    """

    def __init__(self, reader: RowReader, file: int, offset: int, nbytes: int) -> None:
        self._reader, self._file, self._offset = reader, file, offset
        self.nbytes = nbytes

    def read(self, start: int, end: int) -> NDArray[np.uint8]:
        """See :class:`FrameBytes`."""
        memory: NDArray[np.uint8] | None = getattr(_thread, "memory", None)
        if memory is None or memory.size < end - start:
            # Keep the memory for the next clip: the system would clear new memory page by page.
            memory = _thread.memory = np.empty(end - start, np.uint8)
        self.read_into(start, memory[: end - start])
        return memory[: end - start]

    def read_into(self, start: int, out: NDArray[np.uint8]) -> None:
        """See :class:`FrameBytes`."""
        self._reader.read(self._file, self._offset + start, out)


def read_clip(
    data: FrameBytes,
    bounds: Sequence[int],
    raw: bool,
    out: NDArray[np.uint8],
    where: str,
    expected: int | None = None,
    remedy: str = REMEDY,
) -> None:
    """Read a window's frames into ``out`` (F, H, W, 3); missing frames are black.

    Args:
        data: bytes of the shard's frames.
        bounds: (F + 1,) begin of each frame, and the end of the last, in bytes.
        raw: True if frames are plain pixels, False if they are JPEG.
        out: contiguous uint8.
        where: file and window, for the messages of errors.
        expected: checksum of the frames' bytes; None compares nothing.
        remedy: what the message about a wrong checksum advises.

    Raises:
        ShardError: a frame can't be read, or the checksum is another one.
    """
    if not 0 <= bounds[0] <= bounds[-1] <= data.nbytes:
        raise ShardError(
            f"{where}: its frames are bytes {bounds[0]} to {bounds[-1]}; expected a part of 0 to {data.nbytes}"
        )
    if raw and bounds[-1] - bounds[0] == out.nbytes:  # no frame is missing
        data.read_into(bounds[0], out.reshape(-1))
        _compare(out, expected, where, remedy)
        return
    content = data.read(bounds[0], bounds[-1])
    _compare(content, expected, where, remedy)
    for k, (start, end) in enumerate(pairwise(bounds)):
        if start == end:
            out[k] = 0
        else:
            read_frame(content[start - bounds[0] : end - bounds[0]], out[k], raw, f"{where}, frame {k}")


def _compare(content: NDArray[np.uint8], expected: int | None, where: str, remedy: str) -> None:
    if expected is not None and (found := digest64(content)) != expected:
        raise ShardError(damage(where, "frames", found, expected, remedy))
