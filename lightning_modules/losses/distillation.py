"""Distillation of similarities from video to IMU (Chen et al. 2025, COMODO, arXiv 2503.07259).

The frozen teacher's embedding of a clip has a similarity to each of many candidate clips. The student's embedding of
the IMU should have the same similarities to these candidates. Unlike a contrastive loss, this does not separate windows
that look alike.

As in the published code, the candidates are the queue and the teacher's embeddings of the batch, including the window's
own. Neither the candidates nor the teacher have a gradient. With several processes, the batch is the global batch.
The published code has fixed temperatures, 0.05 for the student and 0.1 for the teacher, and a queue of 16,384 rows,
filled before training. Here training may start with an empty queue: the candidates are then the batch alone.

Shape legend: n rows of this process, N rows of all, K rows in the queue, E width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.all_gather import all_gather_rows
from lightning_modules.losses.queue import EmbeddingQueue


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    queue: Tensor,
    student_temperature: float = 0.05,
    teacher_temperature: float = 0.1,
) -> Tensor:
    """Compute the mean of ``-sum_k softmax(t . c_k / tau_t) log softmax(s . c_k / tau_s)`` over windows.

    The candidates c are ``queue`` and the teacher's rows of all processes. The smallest possible value is the entropy
    of the teacher's distribution, not zero. The averages of values and gradients over processes are those of the global
    batch (see ``all_gather``). The precision is at least float32.

    Args:
        student: (n, E), in the teacher's space; this function normalises the length of all its inputs.
        teacher: (n, E), embeddings of the same windows; gets no gradient.
        queue: (K, E), earlier rows of the teacher, equal on all processes; K may be 0.
        student_temperature: tau_s, above 0.
        teacher_temperature: tau_t, above 0.

    Returns:
        ().

    Raises:
        ValueError: shapes don't match, or a temperature is not above 0.
    """
    if student.shape != teacher.shape or student.ndim != 2:
        raise ValueError(
            f"student and teacher must both be (n, E), found {tuple(student.shape)}, {tuple(teacher.shape)}"
        )
    if queue.ndim != 2 or queue.shape[1] != student.shape[1]:
        raise ValueError(f"queue must be (K, {student.shape[1]}), found {tuple(queue.shape)}")
    if student_temperature <= 0 or teacher_temperature <= 0:
        raise ValueError(f"temperatures must be above 0, found {student_temperature} and {teacher_temperature}")
    dtype = torch.promote_types(student.dtype, torch.float32)
    with torch.autocast(student.device.type, enabled=False):
        student, teacher = F.normalize(student.to(dtype), dim=1), F.normalize(teacher.detach().to(dtype), dim=1)
        candidates = torch.cat([F.normalize(queue.detach().to(dtype), dim=1), all_gather_rows(teacher)])
        target = (teacher @ candidates.T / teacher_temperature).softmax(1)
        return F.cross_entropy(student @ candidates.T / student_temperature, target)


class DistillationLoss(nn.Module):
    """``distillation_loss`` with its queue; the training step calls ``queue.push(teacher)`` after the loss.

    Args:
        width: E, the teacher's width.
        queue_size: rows in the queue, 16,384 in COMODO.
        student_temperature: 0.05 in COMODO.
        teacher_temperature: 0.1 in COMODO.
    """

    def __init__(
        self,
        width: int,
        queue_size: int = 16_384,
        student_temperature: float = 0.05,
        teacher_temperature: float = 0.1,
    ) -> None:
        super().__init__()
        self.queue = EmbeddingQueue(queue_size, width)
        self.student_temperature = student_temperature
        self.teacher_temperature = teacher_temperature

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute ``distillation_loss``; the queue does not change."""
        return distillation_loss(
            student, teacher, self.queue.contents(), self.student_temperature, self.teacher_temperature
        )
