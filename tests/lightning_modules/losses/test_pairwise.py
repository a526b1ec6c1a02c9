from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightning_modules.losses.negatives import neighbour_mask
from lightning_modules.losses.sigmoid import SigmoidLoss, sigmoid_loss
from lightning_modules.losses.softmax import SoftmaxLoss, softmax_loss

T0, B0 = torch.tensor(math.log(10.0)), torch.tensor(-10.0)


def naive_sigmoid(imu: Tensor, video: Tensor, t: float, b: float, left_out: Tensor | None = None) -> float:
    """The paper's formula, term by term in float64."""
    total, n = 0.0, len(imu)
    for i in range(n):
        for j in range(n):
            if i != j and left_out is not None and left_out[i, j]:
                continue
            u, v = imu[i].double(), video[j].double()
            z = 1 if i == j else -1
            x = z * (math.exp(t) * float(u @ v / (u.norm() * v.norm())) + b)
            total += math.log1p(math.exp(-x)) if x > -700 else -x
    return total / n


def test_sigmoid_closed_forms() -> None:
    one = torch.tensor([[3.0, 4.0]])
    # One pair, aligned: -log sigmoid(10 - 10) = ln 2; opposed: -log sigmoid(-20).
    torch.testing.assert_close(sigmoid_loss(one, one, T0, B0), torch.tensor(math.log(2)))
    torch.testing.assert_close(sigmoid_loss(one, -one, T0, B0), torch.tensor(20 + math.log1p(math.exp(-20))))
    # Orthonormal and aligned: each row has ln 2 and n - 1 times -log sigmoid(10).
    eye = torch.eye(5)
    expected = math.log(2) + 4 * math.log1p(math.exp(-10))
    torch.testing.assert_close(sigmoid_loss(eye, eye, T0, B0), torch.tensor(expected))


def test_softmax_closed_forms() -> None:
    one, eye = torch.tensor([[3.0, 4.0]]), torch.eye(5)
    assert float(softmax_loss(one, -one, T0)) == 0  # nothing to choose from
    expected = math.log(1 + 4 * math.exp(-10))
    torch.testing.assert_close(softmax_loss(eye, eye, T0), torch.tensor(expected), rtol=1e-3, atol=1e-7)
    same = torch.ones(5, 3)
    torch.testing.assert_close(softmax_loss(same, same, T0), torch.tensor(math.log(5)))


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 9),
    width=st.integers(1, 8),
    seed=st.integers(0, 99),
    t=st.floats(0, 4),
    b=st.floats(-12, 2),
)
def test_sigmoid_equals_the_formula(n: int, width: int, seed: int, t: float, b: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    imu, video = torch.randn(2, n, width, generator=generator)
    left_out = torch.rand(n, n, generator=generator) < 0.3
    for mask in (None, left_out):
        found = sigmoid_loss(imu, video, torch.tensor(t), torch.tensor(b), mask)
        expected = naive_sigmoid(imu, video, t, b, mask)
        assert float(found) == pytest.approx(expected, rel=1e-4, abs=1e-5)  # float32 against float64


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 9), seed=st.integers(0, 99))
def test_order_of_the_batch_does_not_matter(n: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    imu, video = torch.randn(2, n, 4, dtype=torch.float64, generator=generator)
    order = torch.randperm(n, generator=generator)
    for loss in (lambda a, b: sigmoid_loss(a, b, T0, B0), lambda a, b: softmax_loss(a, b, T0)):
        torch.testing.assert_close(loss(imu[order], video[order]), loss(imu, video))
        torch.testing.assert_close(loss(7 * imu, 0.1 * video), loss(imu, video))  # lengths do not count


def test_gradients_in_float64() -> None:
    imu, video = torch.randn(2, 4, 3, dtype=torch.float64).requires_grad_().unbind()
    t, b = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (1.0, -2.0))
    mask = torch.tensor([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]).bool()
    imu, video = imu.detach().requires_grad_(), video.detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda i, v, t, b: sigmoid_loss(i, v, t, b, mask), (imu, video, t, b))
    assert torch.autograd.gradcheck(lambda i, v, t: softmax_loss(i, v, t, mask), (imu, video, t))


def test_softmax_masked_pairs_are_not_choices_and_own_pairs_always_are() -> None:
    eye = torch.eye(4)
    everything = torch.ones(4, 4, dtype=torch.bool)
    assert float(softmax_loss(eye, eye.roll(1, 0), T0, everything)) == 0
    torch.testing.assert_close(sigmoid_loss(eye, eye, T0, B0, everything), torch.tensor(math.log(2)))


def test_half_precision_is_computed_in_float32() -> None:
    imu, video = torch.randn(2, 6, 8)
    with torch.autocast("cpu", torch.bfloat16):
        inside = sigmoid_loss(imu, video, T0, B0), softmax_loss(imu, video, T0)
    assert torch.equal(inside[0], sigmoid_loss(imu, video, T0, B0))
    assert torch.equal(inside[1], softmax_loss(imu, video, T0))
    assert sigmoid_loss(imu.bfloat16(), video.bfloat16(), T0, B0).dtype == torch.float32


def test_modules_start_as_published_and_learn() -> None:
    sigmoid, softmax = SigmoidLoss(), SoftmaxLoss()
    assert sigmoid.log_temperature.exp().item() == pytest.approx(10)
    assert sigmoid.bias.item() == -10
    assert softmax.log_scale.exp().item() == pytest.approx(10)
    imu, video = torch.randn(2, 6, 8)
    (sigmoid(imu, video) + softmax(imu, video)).backward()
    assert all(p.grad is not None and p.grad != 0 for m in (sigmoid, softmax) for p in m.parameters())


def test_neighbours_are_windows_of_one_recording_close_in_time() -> None:
    mask = neighbour_mask(torch.tensor([1, 1, 1, 2]), torch.tensor([0.0, 5.0, 30.0, 5.0]), 10.0)
    assert mask.tolist() == [
        [True, True, False, False],
        [True, True, False, False],
        [False, False, True, False],
        [False, False, False, True],
    ]
    assert not neighbour_mask(torch.tensor([1, 1]), torch.zeros(2), 0.0).any()


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"both be \(n, E\)"):
        sigmoid_loss(torch.zeros(3, 2), torch.zeros(4, 2), T0, B0)
    with pytest.raises(ValueError, match=r"negative_mask must be \(3, 3\), found \(2, 2\)"):
        softmax_loss(torch.zeros(3, 2), torch.zeros(3, 2), T0, torch.zeros(2, 2).bool())
