"""Handcrafted features of the clean window, regressed from the encoder's features: a distilled expert."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from core.settings import setting
from lightning_modules.losses.known_regression import known_regression_loss
from lightning_modules.objectives.objective import Objective, ObjectiveSettings, Parts, objective
from lightning_modules.objectives.step import Step


@dataclass
class ExpertSettings(ObjectiveSettings):
    """Handcrafted features, regressed."""

    weight: float = setting(0.0, "weight of regressing the handcrafted features; 0 leaves it out", at_least=0)
    hidden: int = setting(256, "width of the hidden layer between encoder and features; 0 for a linear map", at_least=0)


@objective(ExpertSettings)
class ExpertObjective(Objective):
    """See :func:`known_regression_loss`; each augmented view tells the features of the window before augmentation.

    Args:
        settings: of the objective.
        parts: of the module.
    """

    targets = ("expert",)

    def __init__(self, settings: ExpertSettings, parts: Parts) -> None:
        super().__init__()
        width = parts.imu_encoder.pooled_width
        if parts.expert_width < 1:
            raise ValueError("loss.expert: it has a weight, but the windows come without handcrafted features")
        self.head: nn.Module = nn.Linear(settings.hidden or width, parts.expert_width)
        if settings.hidden:
            self.head = nn.Sequential(nn.Linear(width, settings.hidden), nn.GELU(), self.head)

    def forward(self, step: Step) -> Tensor:
        """Compute the mean over views."""
        return known_regression_loss(self.head(step.imu.pooled), step.batch["expert"].repeat(len(step.views), 1))
