"""Errors of patches: the values and gradients of torch's own functions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.losses.patch_errors import patch_errors


def example(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    painted, target = torch.randn(2, 3, 5, 48, generator=generator)
    return painted.to(dtype).requires_grad_(), target


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_torchs(dtype: torch.dtype) -> None:
    painted, target = example(dtype)
    weights = torch.rand(3, 5)
    found = patch_errors(painted, target)
    (gradient,) = torch.autograd.grad((found * weights).sum(), painted)
    expected = F.mse_loss(painted.float(), target, reduction="none").mean(2)
    (other,) = torch.autograd.grad((expected * weights).sum(), painted)
    assert found.dtype == torch.float32
    assert gradient.dtype == dtype
    # Sums in another order: a few units of the last place.
    torch.testing.assert_close(found, expected, rtol=2e-6, atol=0)
    torch.testing.assert_close(gradient, other, rtol=1e-2 if dtype == torch.bfloat16 else 2e-6, atol=1e-9)


def test_the_higher_precision_holds() -> None:
    painted, target = example()
    assert patch_errors(painted.double(), target).dtype == torch.float64
    assert patch_errors(painted, target.double()).dtype == torch.float64
    assert patch_errors(painted.bfloat16(), target.bfloat16()).dtype == torch.float32


def test_gradient_is_that_of_small_steps() -> None:
    painted, target = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: patch_errors(x, target), painted.requires_grad_())


def test_what_was_painted_is_not_changed() -> None:
    painted, target = example()
    before = painted.detach().clone()
    patch_errors(painted, target).sum().backward()
    patch_errors(painted, target).sum().backward()
    assert torch.equal(painted.detach(), before)


def test_no_difference_has_no_error_and_no_gradient() -> None:
    target = example()[1]
    painted = target.clone().requires_grad_()
    errors = patch_errors(painted, target)
    errors.sum().backward()
    assert errors.eq(0).all()
    assert painted.grad is not None
    assert painted.grad.eq(0).all()
