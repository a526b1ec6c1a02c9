"""Consistency of two augmented views of a window, in a space of its own."""

from __future__ import annotations

from torch import Tensor, nn

from lightning_modules.losses.view_consistency import view_consistency_loss
from lightning_modules.objectives.step import Objective, Step


class ConsistencyObjective(Objective):
    """See :func:`view_consistency_loss`; of more than two views, the first two.

    Args:
        pooled_width: of the IMU encoder.
        temperature: of the loss.
    """

    def __init__(self, pooled_width: int, temperature: float) -> None:
        super().__init__()
        self.projection = nn.Sequential(nn.Linear(pooled_width, 256), nn.GELU(), nn.Linear(256, 128))
        self.temperature = temperature

    def forward(self, step: Step) -> Tensor:
        """The first view against the second."""
        first, second = self.projection(step.imu.pooled).chunk(len(step.views))[:2]
        return view_consistency_loss(first, second, self.temperature)
