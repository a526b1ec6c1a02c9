"""Changes of windows by hand and by their invariants; the loss in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_modules.losses.pretext import Span, change_loss, permutation, reversal, shown, warp


def masked(start: int, stop: int, samples: int = 12) -> torch.Tensor:
    mask = torch.zeros(1, samples, dtype=torch.bool)
    mask[0, start:stop] = True
    return mask


def test_reversal_by_hand() -> None:
    assert reversal(Span(masked(2, 6, 8)))[0].tolist() == [0, 1, 5, 4, 3, 2, 6, 7]


def test_permutation_by_hand() -> None:
    span = Span(masked(1, 8, 9))  # seven samples in three segments of two, and one that is left over
    drawn = torch.tensor([[0.5, 0.9, 0.1]])  # the third segment first, then the first, then the second
    assert permutation(span, drawn)[0].tolist() == [0, 5, 6, 1, 2, 3, 4, 7, 8]
    # The true order is none: the first two change places.
    assert permutation(span, torch.tensor([[0.1, 0.5, 0.9]]))[0].tolist() == [0, 3, 4, 1, 2, 5, 6, 7, 8]
    # Fewer samples than segments stay.
    assert permutation(Span(masked(1, 3, 5)), drawn)[0].tolist() == [0, 1, 2, 3, 4]


def test_warp_in_closed_form() -> None:
    # Log speed falls linearly from ln 2 to -ln 2: place(u) = (1 - 4^-u) / (1 - 1/4) of the way.
    samples = 2001
    span = Span(masked(0, samples, samples))
    found = warp(span, torch.tensor([[1.0, 0.0]]), 1.0)[0] / (samples - 1)
    u = torch.linspace(0, 1, samples, dtype=torch.float64)
    expected = (1 - 4.0**-u) / 0.75
    # The midpoint rule in 2,000 steps, and float32 sums of as many.
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-5)


@settings(deadline=None)
@given(start=st.integers(0, 11), length=st.integers(0, 12), seed=st.integers(0, 999), segments=st.integers(2, 5))
def test_changes_stay_within_what_is_measured(start: int, length: int, seed: int, segments: int) -> None:
    stop = min(start + length, 12)
    span = Span(masked(start, stop))
    draws = torch.rand(1, segments, generator=torch.Generator().manual_seed(seed))
    own = torch.arange(12.0)
    inside = masked(start, stop)[0]
    for places in (reversal(span), permutation(span, draws)):  # the same samples in another order
        assert torch.equal(places[0].sort().values, own)
        assert torch.equal(places[0][~inside], own[~inside])
    assert torch.equal(reversal(span)[0].flip(0)[~inside.flip(0)], own.flip(0)[~inside.flip(0)])
    warped = warp(span, draws, 1.0)[0]
    assert torch.equal(warped[~inside], own[~inside])
    if stop > start:
        assert warped[start].item() == start
        assert warped[stop - 1].item() == pytest.approx(stop - 1, abs=1e-4)  # float32 sums
        assert (warped[start:stop].diff() > 0).all()
        ratio = warped[start:stop].diff()
        if len(ratio):
            assert ratio.max() / ratio.min() < 4 + 1e-3


def test_reversal_undoes_itself_and_permutation_is_never_none() -> None:
    imu = torch.randn(5, 20, 6, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(5, 20, dtype=torch.bool)
    mask[1, :4] = mask[2, 15:] = mask[3, 7:9] = False
    imu = imu * mask.unsqueeze(2)
    once = shown(imu, mask, reversal(Span(mask)))
    assert not torch.equal(once[0], imu)
    again = shown(*once, reversal(Span(once[1])))
    assert torch.equal(again[0], imu)
    assert torch.equal(again[1], mask)
    for seed in range(20):
        draws = torch.rand(5, 2, generator=torch.Generator().manual_seed(seed))
        changed = shown(imu, mask, permutation(Span(mask), draws))[0]
        assert not (changed == imu).flatten(1).all(1).any()


def test_what_lies_between_samples_is_interpolated() -> None:
    imu = torch.tensor([[[0.0], [10.0], [20.0], [0.0]]])
    mask = torch.tensor([[True, True, True, False]])
    values, measured = shown(imu, mask, torch.tensor([[0.25, 1.0, 1.5, 2.5]]))
    assert values[0, :, 0].tolist() == [2.5, 10, 15, 0]
    assert measured[0].tolist() == [True, True, True, False]  # the last lies beside what was not measured


def test_the_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [0.0, -math.log(3)]], dtype=torch.float64)
    changed = torch.tensor([[True, True], [False, True]])
    expected = (2 * math.log(2) + math.log(4 / 3) + math.log(4)) / 4  # sigmoid(ln 3) = 3/4
    assert change_loss(logits, changed).item() == pytest.approx(expected, rel=1e-12)  # float64 both
    assert torch.autograd.gradcheck(lambda x: change_loss(x, changed), (logits.requires_grad_(),))
    with pytest.raises(ValueError, match="must have one shape"):
        change_loss(logits, changed[:1])
