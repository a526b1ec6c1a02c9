"""Temporal alignment inside windows, with the projections that it compares tokens and frames in.

Shape legend: B windows, V views, L IMU tokens, F frames, A width of the space of the comparison.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from encoders.contract import ImuFeatures, VideoFeatures
from lightning_modules.losses.temporal_alignment import TemporalAlignmentLoss, TemporalAlignmentParams
from lightning_modules.objectives.step import Objective, Step


class AlignmentObjective(Objective):
    """See :class:`TemporalAlignmentLoss`.

    Args:
        imu_width: of the IMU tokens.
        frame_width: of the video head's frame tokens.
        width: A.
        params: of the loss.
    """

    uses_video = True

    def __init__(self, imu_width: int, frame_width: int, width: int, params: TemporalAlignmentParams) -> None:
        super().__init__()
        self.imu_projection = nn.Linear(imu_width, width)
        self.frame_projection = nn.Linear(frame_width, width)
        self.loss = TemporalAlignmentLoss(params)

    def forward(self, step: Step) -> Tensor:
        """Each view against the frames, at its own frame times."""
        assert step.video is not None
        n_views = len(step.views)
        recordings = step.batch["recording"].repeat(n_views)  # whose windows share what the clocks differ by
        imu_tokens, frame_tokens = self.tokens(step.imu, step.video)
        loss: Tensor = self.loss(
            imu_tokens,
            step.imu.token_times,
            step.imu.token_mask,
            frame_tokens.repeat(n_views, 1, 1),
            torch.cat([view["frame_times"] for view in step.views]),
            step.batch["frame_mask"].repeat(n_views, 1),
            recordings,
        )
        return loss

    def tokens(self, imu: ImuFeatures, video: VideoFeatures) -> tuple[Tensor, Tensor]:
        """IMU tokens (B, L, A) and frame tokens (B, F, A)."""
        return self.imu_projection(imu.tokens), self.frame_projection(video.frame_tokens)
