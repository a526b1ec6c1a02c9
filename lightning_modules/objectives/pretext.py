"""Pretext tasks: recognising windows that were reversed, whose parts were permuted, or whose time was warped."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.settings import setting
from lightning_modules.losses.all_gather import rank, world_size
from lightning_modules.losses.pretext import Span, change_loss, permutation, reversal, shown, warp
from lightning_modules.objectives.objective import Objective, ObjectiveSettings, Parts, objective
from lightning_modules.objectives.step import Step

CHANGES = ("arrow_of_time", "permutation", "time_warp")


@dataclass
class PretextSettings(ObjectiveSettings):
    """Changes of a window, recognised."""

    weight: float = setting(
        0.0, "weight of recognising reversed, permuted and warped windows; 0 leaves it out", at_least=0
    )
    segments: int = setting(4, "equal parts of a window that are permuted", at_least=2)
    warp: float = setting(1.0, "time warp: the speed changes by up to 1 + this, and 1 / (1 + this)", above=0)


@objective(PretextSettings)
class PretextObjective(Objective):
    """See :mod:`lightning_modules.losses.pretext`; of the views, the first is changed, and encoded once more.

    Args:
        settings: of the objective.
        parts: of the module.
    """

    def __init__(self, settings: PretextSettings, parts: Parts) -> None:
        super().__init__()
        width = parts.imu_encoder.pooled_width
        self.heads = nn.Sequential(nn.Linear(width, 256), nn.GELU(), nn.Linear(256, len(CHANGES)))
        self.segments = settings.segments
        self.warp = settings.warp

    def forward(self, step: Step) -> Tensor:
        """Change about half of the windows in each of the three ways, and tell which."""
        view = step.views[0]
        imu, sample_mask = view["imu"], view["sample_mask"]
        draws = self._draws(step)
        changed = draws[:, : len(CHANGES)] < 0.5
        order, knots = draws[:, len(CHANGES) :].chunk(2, dim=1)
        span = Span(sample_mask)  # no change moves its ends
        places = (reversal(span), permutation(span, order), warp(span, knots, self.warp))
        for number, there in enumerate(places):
            imu, sample_mask = shown(imu, sample_mask, torch.where(changed[:, number, None], there, span.own))
        features = step.encode_imu(imu, view["channel_mask"], sample_mask)
        return change_loss(self.heads(features.pooled), changed)

    def _draws(self, step: Step) -> Tensor:
        """Draw uniform numbers for the windows of all processes, and take those of this one's, (B, 3 + 2 S)."""
        imu = step.views[0]["imu"]
        generator = torch.Generator(device=imu.device).manual_seed(step.common_seed % 2**63)
        shape = (len(imu) * world_size(), len(CHANGES) + 2 * self.segments)
        draws = torch.rand(shape, generator=generator, device=imu.device)
        return draws[rank() * len(imu) : (rank() + 1) * len(imu)]
