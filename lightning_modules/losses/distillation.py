"""Video teaches IMU what is like what (Chen et al. 2025, COMODO, arXiv 2503.07259).

The frozen teacher's embedding of a clip has some similarity to each of many other clips; the student's embedding
of the IMU should have the same similarities to those clips. Unlike in a contrastive loss, windows that look alike
need not be told apart.

As in the published code, the candidates are the queue and the teacher's embeddings of the batch, a window's own
among them; candidates have no gradient, nor has the teacher here. With several processes, the batch is that of all.
The temperatures of that code are 0.05 for the student and 0.1 for the teacher, neither learnt; its queue has 16,384
rows, filled before training. Here training may start on an empty one: the candidates are then the batch's own.

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
    """Mean of ``-sum_k softmax(t . c_k / tau_t) log softmax(s . c_k / tau_s)`` over windows.

    The candidates c are ``queue`` and the teacher's rows of all processes. Its least value is the entropy of the
    teacher's distribution, not zero. Values and gradients average over processes to those of the global batch
    (see ``all_gather``). Computed in float32 at least.

    Args:
        student: (n, E), brought to unit length here, as are the others; in the teacher's space.
        teacher: (n, E) of the same windows; gets no gradient.
        queue: (K, E), the teacher's earlier rows; K may be 0. The same on all processes.
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
    """``distillation_loss`` with its queue; whoever trains it calls ``queue.push(teacher)`` after use.

    Args:
        width: E, the teacher's.
        queue_size: rows kept, 16,384 in COMODO.
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
        """See ``distillation_loss``; leaves the queue as it is."""
        return distillation_loss(
            student, teacher, self.queue.contents(), self.student_temperature, self.teacher_temperature
        )
