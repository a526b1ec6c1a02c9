"""The IMU takes over the video's similarities to other videos (COMODO)."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.losses.distillation import DistillationLoss
from lightning_modules.objectives.step import Objective, Step


class DistillationObjective(Objective):
    """See :mod:`lightning_modules.losses.distillation`; the shared space is the teacher's own.

    Args:
        teacher_width: of the video's pooled features.
        queue_size: earlier videos that are kept.
        student_temperature: of the IMU's similarities.
        teacher_temperature: of the video's.
    """

    uses_video = True
    shares_space = True

    def __init__(
        self, teacher_width: int, queue_size: int, student_temperature: float, teacher_temperature: float
    ) -> None:
        super().__init__()
        self.loss = DistillationLoss(teacher_width, queue_size, student_temperature, teacher_temperature)

    def forward(self, step: Step) -> Tensor:
        """Each view; the mean over views. In training the queue is pushed afterwards."""
        assert step.video_embedding is not None
        losses = [self.loss(view, step.video_embedding) for view in step.imu_embeddings]
        if self.training:
            self.loss.queue.push(step.video_embedding)
        return torch.stack(losses).mean()

    @property
    def scale(self) -> float:
        """The inverse temperature of the student's similarities."""
        return 1 / self.loss.student_temperature
