"""The IMU takes over the video's similarities to other videos (COMODO)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from core.settings import setting
from lightning_modules.losses.distillation import DistillationLoss
from lightning_modules.objectives.objective import Objective, ObjectiveSettings, Parts, objective
from lightning_modules.objectives.step import Step


@dataclass
class DistillationSettings(ObjectiveSettings):
    """The video's similarities to earlier videos, taken over by the IMU (COMODO)."""

    weight: float = setting(0.0, "weight of the distillation; 0 leaves it out", at_least=0)
    queue_size: int = setting(4096, "embeddings of earlier videos that are kept", at_least=0)
    student_temperature: float = setting(0.05, "temperature of the IMU's similarities", above=0)
    teacher_temperature: float = setting(0.1, "temperature of the video's similarities", above=0)


@objective(DistillationSettings)
class DistillationObjective(Objective):
    """See :mod:`lightning_modules.losses.distillation`; the shared space is the teacher's own.

    Args:
        settings: of the objective.
        parts: of the module.

    Raises:
        ValueError: the video head has something to learn.
    """

    uses_video = True
    shares_space = True

    def __init__(self, settings: DistillationSettings, parts: Parts) -> None:
        super().__init__()
        if any(True for _ in parts.video.parameters()):
            raise ValueError(
                "loss.distillation: it takes the video as it is, but the video head has something to learn;"
                " set video_head.name to 'mean' or 'middle_frame'"
            )
        self.loss = DistillationLoss(
            parts.video.pooled_width, settings.queue_size, settings.student_temperature, settings.teacher_temperature
        )

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
