"""Nearest neighbours from a queue stand in for a window's own clip and view (PRIMUS)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.settings import setting
from lightning_modules.losses.neighbours import NeighbourLoss
from lightning_modules.objectives.objective import Objective, ObjectiveSettings, Parts, objective
from lightning_modules.objectives.step import Step


@dataclass
class NeighbourSettings(ObjectiveSettings):
    """Nearest neighbours from a queue (PRIMUS)."""

    weight: float = setting(0.0, "weight of the nearest neighbours from a queue; 0 leaves it out", at_least=0)
    temperature: float = setting(0.1, "temperatures at the start; they are learnt", above=0)
    queue_size: int = setting(4096, "pairs in the queue; fewer than the windows of an epoch", at_least=1)

    def check_windows(self, windows: int) -> None:
        """Refuse a queue that still holds a window when the window comes again."""
        if self.queue_size >= windows:
            raise ValueError(
                f"queue_size is {self.queue_size}, but an epoch has {windows} windows: the nearest neighbour of each"
                " would be itself, an epoch ago; expected less, e.g. a third of them"
            )


@objective(NeighbourSettings)
class NeighboursObjective(Objective):
    """See :mod:`lightning_modules.losses.neighbours`.

    Args:
        settings: of the objective.
        parts: of the module.
    """

    uses_video = True
    shares_space = True

    def __init__(self, settings: NeighbourSettings, parts: Parts) -> None:
        super().__init__()
        self.projection = nn.Sequential(nn.Linear(parts.imu_encoder.pooled_width, 256), nn.GELU(), nn.Linear(256, 128))
        self.loss = NeighbourLoss(parts.shared_width, 128, settings.queue_size, temperature=settings.temperature)

    def forward(self, step: Step) -> Tensor:
        """Each view against the stand-ins; the mean over views. In training the queue is pushed afterwards."""
        assert step.video_embedding is not None
        own = self.projection(step.imu.pooled).chunk(len(step.views))
        pairs = zip(step.imu_embeddings, own, strict=True)
        losses = [self.loss(shared, view, step.video_embedding, step.negatives) for shared, view in pairs]
        if self.training:
            self.loss.push(step.video_embedding, own[0])
        return torch.stack(losses).mean()
