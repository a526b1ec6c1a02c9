"""Random views of windows, as pretraining makes them: one augmented copy of each window, the same in every cell.

Shape legend: N windows, T samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.augment import AugmentSettings, ImuAugmentation
from datamodules.augment.draws import window_keys
from datamodules.labelled import augmented
from datamodules.signal import PHYSICAL_SCALE, normalise

Windows = tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True)
class RandomView:
    """One random view of every window of a target.

    Attributes:
        number: number of the view, at least 1.
        seed: seed of the draws.
        settings: magnitudes of the augmentations.
    """

    number: int
    seed: int
    settings: AugmentSettings = field(hash=False)

    def of(
        self,
        numbers: NDArray[np.int64],
        imu: NDArray[np.float32],
        sample_mask: NDArray[np.bool_],
        channel_mask: NDArray[np.bool_],
        rate_hz: float,
    ) -> Windows:
        """Make this view of windows; it depends on each window's number alone.

        Args:
            numbers: number of each window in its data set, (N,).
            imu: (N, T, 6) m/s^2 and rad/s, zero where invalid.
            sample_mask: (N, T) False where nothing was measured.
            channel_mask: (N, 6) False for channels that the device lacks.
            rate_hz: samples per second.

        Returns:
            New arrays of the same shapes and types.
        """
        batch = {
            "imu": torch.from_numpy(normalise(imu, sample_mask, channel_mask, "physical")),
            "sample_mask": torch.from_numpy(sample_mask),
            "channel_mask": torch.from_numpy(channel_mask),
            "draws": window_keys(self.seed, self.number, numbers),
        }
        view = augmented(batch, ImuAugmentation(self.settings, "physical"), rate_hz)
        return (
            (view["imu"].numpy() * PHYSICAL_SCALE).astype(np.float32),
            view["sample_mask"].numpy(),
            view["channel_mask"].numpy(),
        )
