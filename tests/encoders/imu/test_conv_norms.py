"""The convolutional encoder with norms; the contract's tests are in test_contract.py."""

from __future__ import annotations

import pytest
import torch

from encoders.contract import ImuInput
from encoders.imu.conv_norms import ConvNorms, ConvNormsParams


def encoder(**params: object) -> ConvNorms:
    torch.manual_seed(0)
    return ConvNorms(ConvNormsParams(**params), ImuInput(100, 50.0)).eval()  # type: ignore[arg-type]


def test_tokens_are_sixteen_samples_apart() -> None:
    found = encoder()(torch.randn(2, 100, 6), torch.ones(2, 6, dtype=torch.bool), torch.ones(2, 100, dtype=torch.bool))
    assert found.tokens.shape == (2, 7, 128)
    assert found.token_times.tolist() == pytest.approx([0.32 * i for i in range(7)], abs=1e-6)
    assert found.pooled.shape == (2, 256)


def test_only_the_values_tell_directions_apart() -> None:
    """With the weights of the six values at zero, a turned sensor gives the same features."""
    made = encoder()
    first = made.convolutions[0].weight
    assert isinstance(first, torch.Tensor)
    with torch.no_grad():
        first[:, :6] = 0
    imu = torch.randn(3, 100, 6)
    turn = torch.linalg.qr(torch.randn(3, 3)).Q
    turned = torch.cat([imu[..., :3] @ turn, imu[..., 3:] @ turn], dim=-1)
    masks = torch.ones(3, 6, dtype=torch.bool), torch.ones(3, 100, dtype=torch.bool)
    # Float32 norms of turned vectors differ in the last digits.
    torch.testing.assert_close(made(imu, *masks).pooled, made(turned, *masks).pooled, atol=1e-4, rtol=1e-4)


def test_it_knows_a_missing_gyroscope_from_one_at_rest() -> None:
    made, imu = encoder(), torch.randn(1, 100, 6)
    imu[..., 3:] = 0
    present = torch.ones(1, 6, dtype=torch.bool)
    missing = present.clone()
    missing[:, 3:] = False
    samples = torch.ones(1, 100, dtype=torch.bool)
    difference = made(imu, present, samples).pooled - made(imu, missing, samples).pooled
    assert difference.abs().max() > 1e-3


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="4 channels and 1 kernels"):
        encoder(kernels=[3])
    with pytest.raises(ValueError, match="expected odd kernels"):
        encoder(channels=[8], kernels=[4])
