"""decord, for files of a structure that it reads exactly; ``choice`` says which those are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: F401  decord must be loaded after torch: the other way round it may crash

import decord  # isort: skip
from numpy.typing import NDArray

from datamodules.formats.video.contract import DECORD
from datamodules.recording import FloatArray, FrameArray, RecordingError

_CHUNK = 16  # frames decoded at once
# decord gives seconds since the first frame as float32; two of its roundings.
_ROUNDING = 2 * float(np.finfo(np.float32).eps)
# Below, float32 is within half a microsecond, and decord's own times are kept: shards that were built stay as they are.
_KEPT_BELOW_S = 16.0

decord.logging.set_level(decord.logging.FATAL)


class DecordReader:
    """decord; one thread per file, because a build runs one process a core."""

    name = DECORD

    def __init__(self, path: Path, times: FloatArray, keys: NDArray[np.int64], stated_s: float | None) -> None:
        """Open a file and compare decord's list of frames with the container's.

        Args:
            path: the file.
            times: when each frame is presented, (N,) seconds, by the container.
            keys: indices of the key frames, by the container.
            stated_s: when the video must end, by the container.

        Raises:
            RecordingError: decord can't open it.
            ValueError: decord lists other frames.
        """
        self._path, self._times, self.stated_s = path, times, stated_s
        # fault_tol: decord silently repeats the last good frame in place of a broken one, unless told to
        # accept none. A width keeps its read-ahead small, here as everywhere.
        reader = self._open(16, 16)
        with self._explained("its frames can't be listed"):
            found = len(reader)
            stamps = np.asarray(reader.get_frame_timestamp(range(found)) if found else np.zeros((0, 2)), np.float64)
            same = found == times.size and np.allclose(stamps[:, 0], times - times[0], rtol=_ROUNDING, atol=1e-6)
            if not same or not np.array_equal(reader.get_key_indices(), keys):
                raise ValueError("decord lists other frames than the container does")
            if times[0] == 0 and times[-1] < _KEPT_BELOW_S:
                self._times = stamps[:, 0]

    def times(self) -> FloatArray:
        """See :class:`contract.Backend`."""
        return self._times

    def size(self) -> tuple[int, int]:
        """See :class:`contract.Backend`."""
        with self._explained("its first frame can't be decoded"):
            height, width, _ = decord.VideoReader(str(self._path), num_threads=1, fault_tol=1)[0].shape
        return int(height), int(width)

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        """See :class:`contract.Backend`."""
        reader = self._open(height, width)
        for first in range(0, indices.size, _CHUNK):
            chunk = indices[first : first + _CHUNK]
            with self._explained(
                f"frames {chunk[0]} to {chunk[-1]} of {self._times.size} "
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
