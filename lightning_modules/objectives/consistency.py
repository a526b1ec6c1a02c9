"""Consistency of two augmented views of a window, in a space of its own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from core.settings import setting
from lightning_modules.losses.negatives import NEGATIVES, other_sets_mask
from lightning_modules.losses.view_consistency import view_consistency_loss
from lightning_modules.objectives.objective import Objective, ObjectiveSettings, Parts, objective
from lightning_modules.objectives.step import Step


@dataclass
class ConsistencySettings(ObjectiveSettings):
    """Two augmented views of a window against each other."""

    weight: float = setting(0.5, "weight of the consistency of a window's views; 0 leaves it out", at_least=0)
    temperature: float = setting(0.2, "temperature of the loss", above=0)
    negatives: str = setting(
        "all", "of several sets: 'all' windows are negatives, or those of a window's 'own_set'", choices=NEGATIVES
    )


@objective(ConsistencySettings)
class ConsistencyObjective(Objective):
    """See :func:`view_consistency_loss`; of more than two views, the first two.

    Args:
        settings: of the objective.
        parts: of the module.
    """

    def __init__(self, settings: ConsistencySettings, parts: Parts) -> None:
        super().__init__()
        self.projection = nn.Sequential(nn.Linear(parts.imu_encoder.pooled_width, 256), nn.GELU(), nn.Linear(256, 128))
        self.temperature = settings.temperature
        self.within_sets = settings.negatives == "own_set"

    def forward(self, step: Step) -> Tensor:
        """The first view against the second."""
        first, second = self.projection(step.imu.pooled).chunk(len(step.views))[:2]
        several = self.within_sets and "set" in step.batch
        left_out = other_sets_mask(step.batch["set"]) if several else None
        return view_consistency_loss(first, second, self.temperature, left_out)
