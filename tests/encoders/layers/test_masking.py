"""Means, maxima and zeros over valid positions."""

from __future__ import annotations

import pytest
import torch

from encoders.layers.masking import masked_max, masked_mean, mean_and_max, zero_invalid

X = torch.tensor([[[1.0, -5.0], [3.0, -7.0], [100.0, 100.0]], [[9.0, 9.0], [9.0, 9.0], [9.0, 9.0]]])
MASK = torch.tensor([[True, True, False], [False, False, False]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_valid_positions_count(dtype: torch.dtype) -> None:
    x = X.to(dtype)
    # These values are exact in both types.
    assert masked_mean(x, MASK).tolist() == [[2, -6], [0, 0]]
    assert masked_max(x, MASK).tolist() == [[3, -5], [0, 0]]
    assert mean_and_max(x, MASK).tolist() == [[2, -6, 3, -5], [0, 0, 0, 0]]
    assert zero_invalid(x, MASK.unsqueeze(2)).tolist() == [[[1, -5], [3, -7], [0, 0]], [[0, 0]] * 3]
    assert {found.dtype for found in (masked_mean(x, MASK), masked_max(x, MASK), zero_invalid(x, MASK[..., None]))} == {
        dtype
    }


def test_gradients_reach_valid_positions_only() -> None:
    x = X.clone().requires_grad_()
    (masked_mean(x, MASK) + 10 * masked_max(x, MASK)).sum().backward()
    assert x.grad is not None
    # A half for each of two valid positions in the mean, and ten for the largest.
    assert x.grad[0].tolist() == [[0.5, 10.5], [10.5, 0.5], [0, 0]]
    assert (x.grad[1] == 0).all()
