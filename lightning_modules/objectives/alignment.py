"""What happens inside a window: IMU tokens and video frames, compared in a space of their own.

Shape legend: B windows, V views, L IMU tokens, F frames, A width of the space of the comparison.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from encoders.contract import ImuFeatures, VideoFeatures
from lightning_modules.losses.frame_order import FrameOrderLoss, draw_priorities
from lightning_modules.losses.temporal_alignment import TemporalAlignmentLoss, TemporalAlignmentParams
from lightning_modules.objectives.step import Objective, Step


class TokenObjective(Objective):
    """An objective on tokens and frames, each projected linearly.

    Args:
        imu_width: of the IMU tokens.
        frame_width: of the video head's frame tokens.
        width: A.
    """

    uses_video = True

    def __init__(self, imu_width: int, frame_width: int, width: int) -> None:
        super().__init__()
        self.imu_projection = nn.Linear(imu_width, width)
        self.frame_projection = nn.Linear(frame_width, width)

    def tokens(self, imu: ImuFeatures, video: VideoFeatures) -> tuple[Tensor, Tensor]:
        """IMU tokens (B, L, A) and frame tokens (B, F, A)."""
        return self.imu_projection(imu.tokens), self.frame_projection(video.frame_tokens)

    def compared(self, step: Step) -> tuple[Any, ...]:
        """Each view against the frames, at its own frame times: what the losses take first, (V B) windows."""
        assert step.video is not None
        n_views = len(step.views)
        imu_tokens, frame_tokens = self.tokens(step.imu, step.video)
        return (
            imu_tokens,
            step.imu.token_times,
            step.imu.token_mask,
            frame_tokens.repeat(n_views, 1, 1),
            torch.cat([view["frame_times"] for view in step.views]),
            step.batch["frame_mask"].repeat(n_views, 1),
        )


class AlignmentObjective(TokenObjective):
    """See :class:`TemporalAlignmentLoss`.

    Args:
        imu_width: see ``TokenObjective``, as the next two.
        frame_width: of the video head's frame tokens.
        width: A.
        params: of the loss.
    """

    def __init__(self, imu_width: int, frame_width: int, width: int, params: TemporalAlignmentParams) -> None:
        super().__init__(imu_width, frame_width, width)
        self.loss = TemporalAlignmentLoss(params)

    def forward(self, step: Step) -> Tensor:
        """The mean over views."""
        recordings = step.batch["recording"].repeat(len(step.views))  # whose windows share what the clocks differ by
        loss: Tensor = self.loss(*self.compared(step), recordings)
        return loss


class OrderObjective(TokenObjective):
    """See :class:`FrameOrderLoss`.

    Args:
        imu_width: see ``TokenObjective``, as the next two.
        frame_width: of the video head's frame tokens.
        width: A.
        orders: K, that are compared.

    Raises:
        ValueError: fewer than two orders.
    """

    def __init__(self, imu_width: int, frame_width: int, width: int, orders: int) -> None:
        super().__init__(imu_width, frame_width, width)
        if orders < 2:
            raise ValueError(f"loss.order_count must be at least 2, the true order and another; found {orders}")
        self.loss = FrameOrderLoss()
        self.orders = orders

    def forward(self, step: Step) -> Tensor:
        """The mean over views, which see the same orders."""
        compared = self.compared(step)
        mask = compared[-1]
        generator = torch.Generator(device=mask.device).manual_seed(step.common_seed)
        loss: Tensor = self.loss(*compared, draw_priorities(mask.shape[1], self.orders, generator))
        return loss
