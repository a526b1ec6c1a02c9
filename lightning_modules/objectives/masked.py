"""Filling in hidden patches: the IMU learns by itself.

Shape legend: B windows, T samples, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from encoders.contract import ImuEncoder, ImuInput
from lightning_modules.losses.masked_reconstruction import TokenDecoder, mask_patches, masked_reconstruction_loss
from lightning_modules.objectives.step import Objective, Step


class MaskedObjective(Objective):
    """See :mod:`lightning_modules.losses.masked_reconstruction`.

    Args:
        encoder: whose tokens predict the samples.
        imu_input: of its windows.
        share: of the patches that are hidden.
        patch: samples a patch.
    """

    def __init__(self, encoder: ImuEncoder, imu_input: ImuInput, share: float, patch: int) -> None:
        super().__init__()
        self.decoder = TokenDecoder.for_encoder(encoder, imu_input, encoder.token_groups)
        self.share = share
        self.patch = patch

    def forward(self, step: Step) -> Tensor:
        """Of each view; the mean over views."""
        return torch.stack([self.of(step.encode_imu, view, step.seed + i) for i, view in enumerate(step.views)]).mean()

    def of(self, encode: Any, windows: dict[str, Tensor], seed: int) -> Tensor:
        """The loss of windows ``imu``, ``sample_mask``, ``channel_mask``, with patches drawn from ``seed``."""
        imu, sample_mask, channel_mask = windows["imu"], windows["sample_mask"], windows["channel_mask"]
        generator = torch.Generator(device=imu.device).manual_seed(seed % 2**63)
        masked, hidden = mask_patches(imu, sample_mask, channel_mask, self.share, self.patch, generator)
        features = encode(masked, channel_mask, sample_mask)
        prediction, predicted = self.decoder(features.tokens, features.token_times, imu.shape[1])
        return masked_reconstruction_loss(prediction, imu, hidden & predicted[None, :, None])
