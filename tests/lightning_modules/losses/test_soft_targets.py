from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.losses.soft_targets import SoftTargetLoss, soft_target_loss


def formula(imu: Tensor, video: Tensor, temperature: float, sharp: bool = False) -> Tensor:
    """The published formula, whole matrices at once."""
    imu, video = F.normalize(imu, dim=1), F.normalize(video, dim=1)
    within = (video @ video.T + imu @ imu.T) / 2
    target = (within / temperature if sharp else within * temperature).softmax(1)
    logits = video @ imu.T / temperature
    forth = -(target * logits.log_softmax(1)).sum(1)
    back = -(target.T * logits.T.log_softmax(1)).sum(1)
    return ((forth + back) / 2).mean()


def scale(temperature: float) -> Tensor:
    return torch.tensor(-math.log(temperature), dtype=torch.float64)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 9), seed=st.integers(0, 99), temperature=st.floats(0.05, 3), sharp=st.booleans())
def test_equals_the_formula(n: int, seed: int, temperature: float, sharp: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    imu, video = torch.randn(2, n, 4, dtype=torch.float64, generator=generator)
    found = soft_target_loss(imu, video, scale(temperature), sharp=sharp)
    torch.testing.assert_close(found, formula(imu, video, temperature, sharp))  # float64 both
    order = torch.randperm(n, generator=generator)
    torch.testing.assert_close(soft_target_loss(3 * imu[order], video[order], scale(temperature), sharp=sharp), found)


def test_closed_forms() -> None:
    one, eye = torch.ones(1, 3), torch.eye(5)
    assert float(soft_target_loss(one, -one, scale(0.1))) == 0  # nothing to choose from
    # All alike: uniform against uniform.
    same = torch.ones(5, 3)
    torch.testing.assert_close(soft_target_loss(same, same, scale(0.1)), torch.tensor(math.log(5)))
    # Orthonormal and aligned: the target has e^T on the diagonal, the logits e^(1 / T).
    own = math.exp(0.1) / (math.exp(0.1) + 4)
    expected = math.log(math.exp(10) + 4) - 10 * own
    torch.testing.assert_close(soft_target_loss(eye, eye, scale(0.1)), torch.tensor(expected))


def test_the_published_targets_hardly_tell_pairs_apart_and_sharp_ones_do() -> None:
    """Perfectly aligned orthonormal pairs are far from the least value as published, and near it when sharp."""
    eye, same = torch.eye(32), torch.ones(32, 32)
    assert soft_target_loss(eye, eye, scale(0.1)) > soft_target_loss(same, same, scale(0.1))
    assert soft_target_loss(eye, eye, scale(0.1), sharp=True) < 0.1 * math.log(32)


def test_gradients_in_float64_through_the_targets_too() -> None:
    generator = torch.Generator().manual_seed(0)
    imu, video = (x.requires_grad_() for x in torch.randn(2, 4, 3, dtype=torch.float64, generator=generator))
    t = scale(0.5).requires_grad_()
    mask = torch.tensor([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]).bool()
    for sharp in (False, True):
        assert torch.autograd.gradcheck(lambda i, v, t: soft_target_loss(i, v, t, mask, sharp), (imu, video, t))  # noqa: B023


def test_masked_pairs_are_in_no_softmax() -> None:
    generator = torch.Generator().manual_seed(0)
    imu, video = torch.randn(2, 6, 4, dtype=torch.float64, generator=generator)
    # Two blocks that do not see each other are two batches.
    mask = torch.block_diag(torch.ones(3, 3), torch.ones(3, 3)) == 0
    found = soft_target_loss(imu, video, scale(0.3), mask)
    apart = [formula(imu[rows], video[rows], 0.3) for rows in (slice(0, 3), slice(3, 6))]
    torch.testing.assert_close(found, torch.stack(apart).mean())
    # A window with all others masked has nothing to choose from; its own pair is never masked.
    assert float(soft_target_loss(imu, video, scale(0.3), torch.ones(6, 6).bool())) == 0


def test_half_precision_is_computed_in_float32_and_the_module_learns() -> None:
    imu, video = torch.randn(2, 6, 8)
    loss = SoftTargetLoss()
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(imu, video)
    assert torch.equal(inside, loss(imu, video))
    assert loss(imu.bfloat16(), video.bfloat16()).dtype == torch.float32
    inside.backward()
    assert loss.log_scale.exp().item() == pytest.approx(10)
    assert loss.log_scale.grad is not None
    assert loss.log_scale.grad != 0


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"both be \(n, E\)"):
        soft_target_loss(torch.zeros(3, 2), torch.zeros(4, 2), scale(1))
    with pytest.raises(ValueError, match=r"negative_mask must be \(3, 3\), found \(2, 2\)"):
        soft_target_loss(torch.ones(3, 2), torch.ones(3, 2), scale(1), torch.zeros(2, 2).bool())
