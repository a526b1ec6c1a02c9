"""Nearest neighbours from a queue stand in for a window's own clip and view (PRIMUS)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_modules.losses.neighbours import NeighbourLoss
from lightning_modules.objectives.step import Objective, Step


class NeighboursObjective(Objective):
    """See :mod:`lightning_modules.losses.neighbours`.

    Args:
        pooled_width: of the IMU encoder.
        shared_width: of the space shared with video.
        queue_size: pairs kept.
        temperature: where both learnt temperatures start.
    """

    uses_video = True
    shares_space = True

    def __init__(self, pooled_width: int, shared_width: int, queue_size: int, temperature: float) -> None:
        super().__init__()
        self.projection = nn.Sequential(nn.Linear(pooled_width, 256), nn.GELU(), nn.Linear(256, 128))
        self.loss = NeighbourLoss(shared_width, 128, queue_size, temperature=temperature)

    def forward(self, step: Step) -> Tensor:
        """Each view against the stand-ins; the mean over views. In training the queue is pushed afterwards."""
        assert step.video_embedding is not None
        own = self.projection(step.imu.pooled).chunk(len(step.views))
        pairs = zip(step.imu_embeddings, own, strict=True)
        losses = [self.loss(shared, view, step.video_embedding, step.negatives) for shared, view in pairs]
        if self.training:
            self.loss.push(step.video_embedding, own[0])
        return torch.stack(losses).mean()
