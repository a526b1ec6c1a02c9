from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.losses.distillation import DistillationLoss, distillation_loss

NOTHING = torch.zeros(0, 3, dtype=torch.float64)


def naive(student: Tensor, teacher: Tensor, queue: Tensor, tau_s: float, tau_t: float) -> float:
    """Candidate by candidate."""
    candidates = [F.normalize(row, dim=0) for row in (*queue, *teacher)]
    total = 0.0
    for s, t in zip(F.normalize(student, dim=1), F.normalize(teacher, dim=1), strict=True):
        of_teacher = [math.exp(float(t @ c) / tau_t) for c in candidates]
        of_student = [math.exp(float(s @ c) / tau_s) for c in candidates]
        for a, b in zip(of_teacher, of_student, strict=True):
            total -= a / sum(of_teacher) * math.log(b / sum(of_student))
    return total / len(student)


@settings(max_examples=10, deadline=None)
@given(n=st.integers(1, 5), k=st.integers(0, 6), seed=st.integers(0, 99), tau_s=st.floats(0.05, 1))
def test_equals_the_definition(n: int, k: int, seed: int, tau_s: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, n, 3, dtype=torch.float64, generator=generator)
    queue = torch.randn(k, 3, dtype=torch.float64, generator=generator)
    found = distillation_loss(student, teacher, queue, tau_s, 0.1)
    assert found.item() == pytest.approx(naive(student, teacher, queue, tau_s, 0.1), rel=1e-10)  # float64 both
    # Neither lengths nor the queue's order count.
    order = torch.randperm(k, generator=generator)
    torch.testing.assert_close(distillation_loss(9 * student, 0.1 * teacher, 3 * queue[order], tau_s, 0.1), found)


def test_closed_forms() -> None:
    one = torch.tensor([[0.6, 0.8, 0.0]], dtype=torch.float64)
    assert distillation_loss(-one, one, NOTHING).item() == 0  # its own clip is all there is
    eye = torch.eye(3, dtype=torch.float64)
    # Student = teacher, one temperature: the entropy of (e^(1/tau), 1, 1) over its sum.
    own = math.exp(2) / (math.exp(2) + 2)
    entropy = -own * math.log(own) - (1 - own) * math.log((1 - own) / 2)
    assert distillation_loss(eye, eye, NOTHING, 0.5, 0.5).item() == pytest.approx(entropy, rel=1e-12)


def test_nothing_beats_the_teacher_at_one_temperature() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(6, 3, dtype=torch.float64, generator=generator)
    queue = torch.randn(20, 3, dtype=torch.float64, generator=generator)
    least = distillation_loss(teacher, teacher, queue, 0.1, 0.1)
    for _ in range(20):
        other = teacher + 0.3 * torch.randn(6, 3, dtype=torch.float64, generator=generator)
        assert distillation_loss(other, teacher, queue, 0.1, 0.1) > least


def test_gradients_in_float64_reach_the_student_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    student, teacher = torch.randn(2, 4, 3, dtype=torch.float64, generator=generator)
    queue = torch.randn(5, 3, dtype=torch.float64, generator=generator).requires_grad_()
    teacher.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: distillation_loss(s, teacher, queue, 0.3, 0.2), student.requires_grad_())
    distillation_loss(student, teacher, queue).backward()
    assert student.grad is not None
    assert teacher.grad is None
    assert queue.grad is None


def test_the_module_reads_its_queue_and_leaves_it_to_others() -> None:
    generator = torch.Generator().manual_seed(2)
    student, teacher, earlier = torch.randn(3, 4, 3, generator=generator)
    loss = DistillationLoss(width=3, queue_size=8)
    assert torch.equal(loss(student, teacher), distillation_loss(student, teacher, NOTHING.float()))
    assert loss.queue.filled == 0
    loss.queue.push(earlier)
    assert torch.equal(loss(student, teacher), distillation_loss(student, teacher, earlier, 0.05, 0.1))
    assert torch.equal(loss.eval()(student, teacher), distillation_loss(student, teacher, earlier))
    assert loss.queue.filled == 4
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss(student, teacher), distillation_loss(student, teacher, earlier))


def test_a_student_learns_the_teachers_similarities() -> None:
    generator = torch.Generator().manual_seed(3)
    video = torch.randn(64, 8, generator=generator)
    imu = video @ torch.randn(8, 8, generator=generator)
    torch.manual_seed(0)
    student, loss = torch.nn.Linear(8, 8), DistillationLoss(8, 32, 0.1, 0.1)
    at_first = loss(student(imu), video).item()
    optimiser = torch.optim.Adam(student.parameters(), 0.05)
    for step in range(40):
        rows = torch.arange(16) + 16 * (step % 4)
        value = loss(student(imu[rows]), video[rows])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        loss.queue.push(video[rows])
    # Over other candidates: the queue is empty again, as it was at first.
    loss.queue.pushed.zero_()
    best, at_last = loss(video, video).item(), loss(student(imu), video).item()
    assert at_last - best < 0.2 * (at_first - best)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match=r"both be \(n, E\)"):
        distillation_loss(torch.ones(3, 2), torch.ones(4, 2), torch.ones(1, 2))
    with pytest.raises(ValueError, match=r"queue must be \(K, 2\), found \(1, 3\)"):
        distillation_loss(torch.ones(3, 2), torch.ones(3, 2), torch.ones(1, 3))
    with pytest.raises(ValueError, match="above 0"):
        distillation_loss(torch.ones(3, 2), torch.ones(3, 2), torch.ones(1, 2), 0.0)
