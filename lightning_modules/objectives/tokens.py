"""Objectives on IMU tokens and video frames inside a window, compared in a space of their own.

Shape legend: B windows, V views, L IMU tokens, F frames, A width of the space of the comparison.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from encoders.contract import ImuFeatures, VideoFeatures
from lightning_modules.objectives.objective import Objective, Parts
from lightning_modules.objectives.step import Step


class TokenObjective(Objective):
    """An objective on tokens and frames, each projected linearly.

    Args:
        width: A.
        parts: of the module.
    """

    uses_video = True

    def __init__(self, width: int, parts: Parts) -> None:
        super().__init__()
        self.imu_projection = nn.Linear(parts.imu_encoder.token_width, width)
        self.frame_projection = nn.Linear(parts.video.token_width, width)

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
