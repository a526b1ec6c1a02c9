from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_modules.losses.neighbours import NeighbourLoss, nearest, neighbour_loss
from lightning_modules.losses.softmax import softmax_loss

T0 = torch.tensor(math.log(10.0))


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 6), k=st.integers(1, 8), seed=st.integers(0, 99))
def test_nearest_is_by_cosine(n: int, k: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(n, 4, generator=generator)
    keys = torch.randn(k, 4, generator=generator) * torch.rand(k, 1, generator=generator).mul(5).exp()
    found = nearest(queries, keys)
    for query, index in zip(queries, found, strict=True):
        cosines = torch.cosine_similarity(query.double(), keys.double())
        assert cosines[index] >= cosines.max() - 1e-6  # float32 against float64


def test_stand_ins_are_the_videos_nearest_by_video_and_the_windows_pushed_with_them() -> None:
    generator = torch.Generator().manual_seed(0)
    videos, windows = torch.randn(6, 5, generator=generator), torch.randn(6, 4, generator=generator)
    loss = NeighbourLoss(5, 4, queue_size=6, imu_share=0.25)
    loss.push(videos, windows)
    partner = torch.tensor([4, 0, 4])
    video = 3 * videos[partner] + 0.01 * torch.randn(3, 5, generator=generator)
    for_video, imu = torch.randn(3, 5, generator=generator), torch.randn(3, 4, generator=generator)
    mask = torch.tensor([[0, 0, 1], [0, 0, 0], [1, 0, 0]]).bool()
    for negatives in (None, mask):
        expected = 0.75 * softmax_loss(for_video, videos[partner], T0, negatives)
        expected = expected + 0.25 * softmax_loss(imu, windows[partner], T0, negatives)
        torch.testing.assert_close(loss(for_video, imu, video, negatives), expected)


def test_what_is_not_filled_is_never_a_neighbour() -> None:
    """Empty rows are zeros: nearer than any row that points the other way."""
    loss = NeighbourLoss(2, 2, queue_size=100)
    away = torch.tensor([[-1.0, 0.0]])
    loss.push(away, away)
    towards = torch.tensor([[1.0, 0.0], [1.0, 0.1]])
    found = loss(towards, towards, towards)
    torch.testing.assert_close(found, softmax_loss(towards, away.expand(2, 2), T0))


def test_zero_until_the_first_push() -> None:
    loss = NeighbourLoss(3, 3, queue_size=5)
    imu = torch.randn(4, 3, requires_grad=True)
    value = loss(imu, imu, torch.randn(4, 3))
    value.backward()
    assert value.item() == 0
    assert imu.grad is not None
    assert (imu.grad == 0).all()
    assert all(p.grad is not None and p.grad == 0 for p in loss.parameters())
    with pytest.raises(RuntimeError, match="only in training"):
        loss.eval().push(imu, imu)


def test_gradients_in_float64_reach_the_imu_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    loss = NeighbourLoss(3, 3, queue_size=5).double()
    loss.push(*torch.randn(2, 5, 3, dtype=torch.float64, generator=generator))
    video = torch.randn(4, 3, dtype=torch.float64, generator=generator).requires_grad_()
    inputs = [x.requires_grad_() for x in torch.randn(2, 4, 3, dtype=torch.float64, generator=generator)]
    scales = [torch.tensor(x, dtype=torch.float64).requires_grad_() for x in (0.7, 1.1)]
    names = [name for name, _ in loss.named_parameters()]

    def value(*x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(loss, dict(zip(names, x[2:], strict=True)), (x[0], x[1], video))

    assert torch.autograd.gradcheck(value, (*inputs, *scales))
    loss(*inputs, video).backward()
    assert video.grad is None
    assert all(x.grad is not None and (x.grad != 0).any() for x in (*inputs, *loss.parameters()))


def test_a_stand_in_has_no_gradient_and_half_precision_is_computed_in_float32() -> None:
    imu, other = (torch.randn(4, 3, requires_grad=True) for _ in range(2))
    neighbour_loss(imu, other, T0).backward()
    assert other.grad is None
    with torch.autocast("cpu", torch.bfloat16):
        inside = neighbour_loss(imu, other, T0), nearest(imu, other)
    assert torch.equal(inside[0], neighbour_loss(imu, other, T0))
    assert torch.equal(inside[1], nearest(imu, other))


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="at least one key"):
        nearest(torch.ones(2, 3), torch.ones(0, 3))
    with pytest.raises(ValueError, match="imu_share must lie within"):
        NeighbourLoss(3, 3, imu_share=1.5)
    with pytest.raises(ValueError, match="as many videos as windows"):
        NeighbourLoss(3, 3).push(torch.ones(2, 3), torch.ones(3, 3))
