"""IMU windows and their clips belong together: a loss over pairs of the global batch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lightning_modules.losses.sigmoid import SigmoidLoss
from lightning_modules.losses.soft_targets import SoftTargetLoss
from lightning_modules.losses.softmax import SoftmaxLoss
from lightning_modules.objectives.step import Objective, Step

PAIR_LOSSES: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": SigmoidLoss,
    "softmax": SoftmaxLoss,
    "soft_targets": SoftTargetLoss,
}


class ContrastiveObjective(Objective):
    """One of ``PAIR_LOSSES``.

    Args:
        loss: its name.

    Raises:
        ValueError: there is no such loss.
    """

    uses_video = True
    shares_space = True

    def __init__(self, loss: str) -> None:
        super().__init__()
        if loss not in PAIR_LOSSES:
            raise ValueError(f"loss.contrastive is '{loss}'; expected one of: {', '.join(PAIR_LOSSES)}")
        self.loss = PAIR_LOSSES[loss]()

    def forward(self, step: Step) -> Tensor:
        """Each view against the clips; the mean over views."""
        losses = [self.loss(view, step.video_embedding, step.negatives) for view in step.imu_embeddings]
        return torch.stack(losses).mean()

    @property
    def scale(self) -> float:
        """The inverse temperature."""
        name = "log_temperature" if isinstance(self.loss, SigmoidLoss) else "log_scale"
        return math.exp(getattr(self.loss, name).item())

    def parameters_to_log(self) -> dict[str, Tensor]:
        """Temperature, and the sigmoid's bias."""
        if isinstance(self.loss, SigmoidLoss):
            return {"temperature": self.loss.log_temperature.detach().exp(), "bias": self.loss.bias.detach()}
        scale: Tensor = self.loss.log_scale.detach()  # type: ignore[operator]
        return {"temperature": scale.exp()}
