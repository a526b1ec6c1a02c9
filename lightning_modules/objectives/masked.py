"""Filling in hidden patches: the IMU learns by itself.

Shape legend: B windows, T samples, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.settings import setting
from lightning_modules.losses.masked_reconstruction import TokenDecoder, mask_patches, masked_reconstruction_loss
from lightning_modules.objectives.objective import Objective, ObjectiveSettings, Parts, objective
from lightning_modules.objectives.step import Step


@dataclass
class MaskedSettings(ObjectiveSettings):
    """Hidden patches of the IMU, filled in."""

    weight: float = setting(0.0, "weight of filling in hidden patches; 0 leaves it out", at_least=0)
    share: float = setting(0.4, "share of each channel's patches that are hidden", above=0, below=1)
    patch: int = setting(16, "samples a patch", at_least=1)


@objective(MaskedSettings)
class MaskedObjective(Objective):
    """See :mod:`lightning_modules.losses.masked_reconstruction`.

    Args:
        settings: of the objective.
        parts: of the module.
    """

    def __init__(self, settings: MaskedSettings, parts: Parts) -> None:
        super().__init__()
        encoder = parts.imu_encoder
        self.decoder = TokenDecoder.for_encoder(encoder, parts.imu_input, encoder.token_groups)
        self.share = settings.share
        self.patch = settings.patch

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
