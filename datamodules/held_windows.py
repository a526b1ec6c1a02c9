"""Windows held in memory: what another process can be sent.

Shape legend: N windows, T samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.labelled import ImuWindows
from datamodules.windows.cut import WindowSettings


@dataclass(frozen=True)
class HeldWindows:
    """The motion of some windows, under their numbers in the shards; an :class:`datamodules.labelled.ImuWindows`.

    Augmentations draw by a window's number, so these windows get the same views as those in the shards.

    Attributes:
        settings: settings that the windows were cut with.
        numbers: (N,) ascending.
        values: (N, T, 6).
        sample_mask: (N, T).
        channel_mask: (N, 6).
    """

    settings: WindowSettings
    numbers: NDArray[np.int64]
    values: NDArray[np.float32]
    sample_mask: NDArray[np.bool_]
    channel_mask: NDArray[np.bool_]

    @classmethod
    def of(cls, shards: ImuWindows, windows: NDArray[np.int64]) -> HeldWindows:
        """Read these windows, each once."""
        numbers = np.unique(windows)
        return cls(shards.settings, numbers, *shards.imu(numbers))

    def imu(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Give values (B, T, 6), sample mask (B, T) and channel mask (B, 6) of these windows.

        Raises:
            KeyError: a window is not held.
        """
        rows = np.searchsorted(self.numbers, indices)
        held = self.numbers[np.minimum(rows, len(self.numbers) - 1)] == indices if len(self.numbers) else rows < 0
        if not held.all():
            raise KeyError(f"window {np.asarray(indices)[~held][0]} is not held")
        return self.values[rows], self.sample_mask[rows], self.channel_mask[rows]
