"""IMU windows and their clips belong together: a loss over pairs of the global batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from core.settings import setting
from lightning_modules.losses.sigmoid import SigmoidLoss
from lightning_modules.losses.soft_targets import SoftTargetLoss
from lightning_modules.losses.softmax import SoftmaxLoss
from lightning_modules.objectives.objective import Objective, ObjectiveSettings, Parts, objective
from lightning_modules.objectives.step import Step


class PairLoss(Protocol):
    """A loss over pairs of the global batch, a module."""

    @property
    def log_scale(self) -> Tensor:
        """Logarithm of the inverse temperature, ()."""

    def __call__(self, imu: Tensor, video: Tensor | None, negative_mask: Tensor | None) -> Tensor:
        """Compare rows (n, E) of both modalities; see ``losses.sigmoid``."""


PAIR_LOSSES: dict[str, Callable[[], PairLoss]] = {
    "sigmoid": SigmoidLoss,
    "softmax": SoftmaxLoss,
    "soft_targets": SoftTargetLoss,
}


@dataclass
class ContrastiveSettings(ObjectiveSettings):
    """IMU windows against their clips."""

    weight: float = setting(1.0, "weight of telling a window's own clip from others; 0 leaves it out", at_least=0)
    pairs: str = setting(
        "sigmoid", "loss over pairs: 'sigmoid', 'softmax' or 'soft_targets'", choices=tuple(PAIR_LOSSES)
    )


@objective(ContrastiveSettings)
class ContrastiveObjective(Objective):
    """One of ``PAIR_LOSSES``.

    Args:
        settings: of the objective.
        parts: of the module.

    Raises:
        ValueError: there is no such loss.
    """

    uses_video = True
    shares_space = True

    def __init__(self, settings: ContrastiveSettings, parts: Parts) -> None:
        super().__init__()
        if settings.pairs not in PAIR_LOSSES:
            raise ValueError(f"loss.contrastive.pairs is '{settings.pairs}'; expected one of: {', '.join(PAIR_LOSSES)}")
        self.loss = PAIR_LOSSES[settings.pairs]()

    def forward(self, step: Step) -> Tensor:
        """Each view against the clips; the mean over views."""
        losses = [self.loss(view, step.video_embedding, step.negatives) for view in step.imu_embeddings]
        return torch.stack(losses).mean()

    @property
    def scale(self) -> float:
        """The inverse temperature."""
        return math.exp(self.loss.log_scale.item())

    def parameters_to_log(self) -> dict[str, Tensor]:
        """Temperature, and the sigmoid's bias."""
        values = {"temperature": self.loss.log_scale.detach().exp()}
        return {**values, "bias": self.loss.bias.detach()} if isinstance(self.loss, SigmoidLoss) else values
