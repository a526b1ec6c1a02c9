"""Several sets of shards as pretraining reads them: some with video, some of motion alone.

Shape legend: N windows of all sets, B requested windows, T samples, F frames, H = W frame size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datamodules.labels.label_column import numbered
from datamodules.shards.concat import ConcatShards
from datamodules.shards.layout import ShardError
from datamodules.shards.reader import ShardSet
from datamodules.windows.cut import WindowSettings


class MixedShards(ConcatShards):
    """Windows of several sets, with the methods of a :class:`~datamodules.shards.reader.ShardSet`.

    A recording that is in two sets, e.g. with two placements, has one number.

    Args:
        parts: name and shards of each set.

    Raises:
        ShardError: windows differ in length or rate, or clips in number or size of frames.
    """

    def __init__(self, parts: Sequence[tuple[str, ShardSet]]) -> None:
        super().__init__(parts)
        with_video = [(name, shards.settings) for name, shards in self.parts if shards.settings.frames]
        self._settings = with_video[0][1] if with_video else self.parts[0][1].settings
        for name, found in with_video[1:]:
            expected = self._settings
            if (expected.frames, expected.frame_size) != (found.frames, found.frame_size):
                raise ShardError(
                    f"data set '{name}' has clips of {found.frames} frames of {found.frame_size} pixels,"
                    f" '{with_video[0][0]}' of {expected.frames} of {expected.frame_size}; expected the same"
                )

    @property
    def settings(self) -> WindowSettings:
        """Settings that the windows were cut with, with the frames of the sets with video."""
        return self._settings

    @property
    def frames_stored(self) -> bool:
        """False if the frames of some set with video were left out."""
        return all(shards.frames_stored for _, shards in self.parts if shards.settings.frames)

    @property
    def readers(self) -> int:
        """Threads that can read at the same time with profit."""
        return min(shards.readers for _, shards in self.parts)

    @property
    def threads(self) -> int:
        """Threads that decode JPEG."""
        return min(shards.threads for _, shards in self.parts)

    @cached_property
    def part_of(self) -> NDArray[np.int64]:
        """The set of each window, (N,)."""
        return np.repeat(np.arange(len(self.parts)), [shards.n_windows for _, shards in self.parts])

    @cached_property
    def paired(self) -> NDArray[np.bool_]:
        """Whether each window's set has video, (N,)."""
        return np.array([shards.settings.frames > 0 for _, shards in self.parts])[self.part_of]

    @cached_property
    def start_s(self) -> NDArray[np.float64]:
        """Start of each window, seconds on the video's clock, (N,)."""
        return np.concatenate([shards.start_s for _, shards in self.parts])

    def codes(self, column: str) -> NDArray[np.int64]:
        """Number the names in a column of :attr:`table`, (N,)."""
        return numbered(self.table[column])[1]

    def expect(self, windows: NDArray[np.int64] | None) -> None:
        """Announce windows that will be read; see :meth:`datamodules.shards.reader.ShardSet.expect`."""
        if windows is None:
            for _, shards in self.parts:
                shards.expect(None)
            return
        for part, _, local in self.by_part(windows):
            self.parts[part][1].expect(local)

    def frame_times(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read the frames' times, seconds since each window's start, and their mask, (B, F); zero without video."""
        shape = (len(indices), self.settings.frames)
        times, mask = np.zeros(shape, np.float32), np.zeros(shape, bool)
        for part, at, local in self.by_part(indices):
            if (shards := self.parts[part][1]).settings.frames:
                times[at], mask[at] = shards.frame_times(local)
        return times, mask

    def frames(
        self, indices: NDArray[np.int64], out: NDArray[np.uint8] | None = None, threads: int = 0
    ) -> NDArray[np.uint8]:
        """Read the pixels of windows with video, (B, F, H, W, 3); see :meth:`ShardSet.frames`.

        Raises:
            ValueError: a window belongs to a set without video.
        """
        size = self.settings.frame_size
        if out is None:
            out = np.empty((len(indices), self.settings.frames, size, size, 3), np.uint8)
        for part, at, local in self.by_part(indices):
            name, shards = self.parts[part]
            if not shards.settings.frames:
                raise ValueError(f"data set '{name}' has no video, and so no frames")
            out[at] = shards.frames(local, threads=threads)
        return out
