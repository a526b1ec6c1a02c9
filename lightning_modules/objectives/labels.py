"""Labels of the sources' windows: cross-entropy by a head for each set, and contrast of activities across persons.

The only objective that uses labels. A checkpoint that was trained with it says so (``PretrainingSettings.labels``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.settings import setting
from lightning_modules.losses.supervised import label_loss, supervised_contrastive_loss
from lightning_modules.objectives.objective import Objective, ObjectiveSettings, Parts, objective
from lightning_modules.objectives.step import Step


@dataclass
class LabelSettings(ObjectiveSettings):
    """Labels of the sources' windows."""

    weight: float = setting(
        0.0, "weight of the labels of pretraining's windows; 0 leaves it out, and no label is used", at_least=0
    )
    contrastive: float = setting(
        0.5, "share of the supervised contrastive loss; the rest is cross-entropy", at_least=0, at_most=1
    )
    temperature: float = setting(0.1, "temperature of the supervised contrastive loss", above=0)
    positives: str = setting(
        "other_people",
        "windows of an activity that are brought together: of 'other_people', or of 'all'",
        choices=("other_people", "all"),
    )


@objective(LabelSettings)
class LabelObjective(Objective):
    """See :mod:`lightning_modules.losses.supervised`.

    Args:
        settings: of the objective.
        parts: of the module.

    Raises:
        ValueError: no window has a label.
    """

    targets = ("labels",)
    set_of_class: Tensor

    def __init__(self, settings: LabelSettings, parts: Parts) -> None:
        super().__init__()
        of_class = [number for number, names in enumerate(parts.classes) for _ in names]
        if not of_class:
            raise ValueError("loss.labels: it has a weight, but no window of pretraining has a label")
        self.register_buffer("set_of_class", torch.tensor(of_class))
        width = parts.imu_encoder.pooled_width
        if settings.contrastive < 1:
            self.heads = nn.Linear(width, len(of_class))
        if settings.contrastive > 0:
            self.projection = nn.Sequential(nn.Linear(width, 256), nn.GELU(), nn.Linear(256, 128))
        self.settings = settings

    def forward(self, step: Step) -> Tensor:
        """Compute the mean over views; in the contrastive part, the views of all windows are compared at once."""
        pooled, views, share = step.imu.pooled, len(step.views), self.settings.contrastive
        labels = step.batch["activity"].repeat(views)
        loss = pooled.new_zeros(())
        if share < 1:
            loss = loss + (1 - share) * label_loss(self.heads(pooled), labels, self.set_of_class)
        if share > 0:
            loss = loss + share * supervised_contrastive_loss(
                self.projection(pooled),
                labels,
                step.batch["person"].repeat(views),
                self.set_of_class,
                self.settings.temperature,
                self.settings.positives == "other_people",
            )
        return loss
