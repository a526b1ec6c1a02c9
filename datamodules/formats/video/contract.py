"""The contract of a decoder with one file open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray, FrameArray, RecordingError

DECORD = "decord"  # the name of the default decoder


class Backend(Protocol):
    """A decoder; raises RecordingError naming the file when it can't go on."""

    name: str
    """The library that decodes."""

    stated_s: float | None
    """When the video must end, by the container; None if it does not say, or lists all frames up to then."""

    def times(self) -> FloatArray:
        """When each frame is presented, (N,) seconds on the container's clock."""

    def size(self) -> tuple[int, int]:
        """Height and width of the frames as they are shown (rotation applied)."""

    def read(self, indices: NDArray[np.int64], height: int, width: int) -> Iterator[FrameArray]:
        """Yield these ascending frames, scaled to exactly (height, width, 3) uint8 RGB."""


def remedy(path: Path, mode: str = "passthrough") -> str:
    """How a file that can't be read becomes one that can; ``mode``: ffmpeg's way with the times of frames."""
    return (
        "a copy that can be read, as far as ffmpeg can: "
        f"ffmpeg -i {path.name} -fps_mode {mode} -c:v libx264 -crf 17 {path.stem}_h264.mp4"
    )


def unreadable(path: Path, codec: str, container: str, what: str) -> RecordingError:
    """The error of a file that can't be read: its codec, its container, what is wrong, and the remedy."""
    return RecordingError(f"{path}: {codec} in {container}: {what}; {remedy(path)}")
