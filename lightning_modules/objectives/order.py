"""The order of frames inside a window: the IMU tells the true order from others.

Shape legend: B windows, V views, K orders, A width of the space of the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from core.settings import setting
from lightning_modules.losses.frame_order import FrameOrderLoss, draw_priorities
from lightning_modules.objectives.objective import ObjectiveSettings, Parts, objective
from lightning_modules.objectives.step import Step
from lightning_modules.objectives.tokens import TokenObjective


@dataclass
class OrderSettings(ObjectiveSettings):
    """The true order of frames against others."""

    weight: float = setting(0.5, "weight of telling the frames' true order by the IMU; 0 leaves it out", at_least=0)
    count: int = setting(32, "orders that are compared, the true one among them", at_least=2)
    width: int = setting(128, "width of the space in which tokens and frames are compared", at_least=1)


@objective(OrderSettings)
class OrderObjective(TokenObjective):
    """The loss of the frames' order; see :class:`FrameOrderLoss`.

    Args:
        settings: of the objective.
        parts: of the module.

    Raises:
        ValueError: fewer than two orders.
    """

    def __init__(self, settings: OrderSettings, parts: Parts) -> None:
        super().__init__(settings.width, parts)
        if settings.count < 2:
            raise ValueError(f"loss.order.count must be at least 2, the true order and another; found {settings.count}")
        self.loss = FrameOrderLoss()
        self.orders = settings.count

    def forward(self, step: Step) -> Tensor:
        """Compute the mean over views, which see the same orders."""
        compared = self.compared(step)
        mask = compared[-1]
        generator = torch.Generator(device=mask.device).manual_seed(step.common_seed)
        loss: Tensor = self.loss(*compared, draw_priorities(mask.shape[1], self.orders, generator))
        return loss
