"""The consistency of views against a naive reference in float64, and at its ends."""

import math

import pytest
import torch
from torch.nn import functional as F

from lightning_modules.losses.view_consistency import view_consistency_loss


def naive(first: torch.Tensor, second: torch.Tensor, temperature: float) -> float:
    rows = F.normalize(torch.cat([first, second]), dim=1)
    n = len(first)
    total = 0.0
    for i in range(2 * n):
        others = [j for j in range(2 * n) if j != i]
        logits = {j: float(rows[i] @ rows[j]) / temperature for j in others}
        partner = (i + n) % (2 * n)
        total -= logits[partner] - math.log(sum(math.exp(v) for v in logits.values()))
    return total / (2 * n)


def test_equals_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    found = view_consistency_loss(first, second, 0.3).item()
    assert found == pytest.approx(naive(first, second, 0.3), rel=1e-12)  # float64 both


def test_one_pair_has_nothing_to_be_told_from() -> None:
    assert view_consistency_loss(torch.randn(1, 4), torch.randn(1, 4), 0.1).item() == pytest.approx(0, abs=1e-6)


def test_gradient() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda a, b: view_consistency_loss(a, b, 0.5), (first.requires_grad_(), second.requires_grad_())
    )


def test_shapes_must_match() -> None:
    with pytest.raises(ValueError, match="both views"):
        view_consistency_loss(torch.randn(2, 3), torch.randn(3, 3), 0.1)


def test_two_sets_that_are_told_apart_by_nobody_are_two_losses() -> None:
    generator = torch.Generator().manual_seed(2)
    first, second = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    sets = torch.tensor([0, 1, 0, 0, 1, 1, 0])
    found = view_consistency_loss(first, second, 0.3, sets[:, None] != sets[None, :]).item()
    parts = [naive(first[sets == i], second[sets == i], 0.3) * (sets == i).sum().item() / 7 for i in (0, 1)]
    assert found == pytest.approx(sum(parts), rel=1e-12)  # float64 both
