from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from encoders.contract import ImuInput
from encoders.imu.conv_gru import ConvGru, ConvGruParams
from encoders.layers.masking import MaskedGroupNorm

IMU = ImuInput(250, 50.0)


def make(width: int = 16, samples: int = 250) -> ConvGru:
    torch.manual_seed(0)
    return ConvGru(ConvGruParams(width=width), ImuInput(samples, 50.0)).eval()


def whole(count: int, samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones(count, 6, dtype=torch.bool), torch.ones(count, samples, dtype=torch.bool)


def published(ours: ConvGru) -> tuple[nn.Sequential, nn.GRU]:
    """The layers as the paper lists them, with our weights."""
    layers = nn.Sequential(nn.GroupNorm(2, 6))
    for inputs, kernel in ((6, 10), (32, 5), (32, 5)):
        layers.extend([nn.Conv1d(inputs, 32, kernel, dilation=2, bias=False), nn.MaxPool1d(3)])
    layers.append(nn.GroupNorm(4, 32))
    ordered: list[Any] = [ours.input_norm, *(stage.conv for stage in ours.stages), ours.norm]
    for layer, source in zip([layer for layer in layers if list(layer.parameters())], ordered, strict=True):
        layer.load_state_dict(source.state_dict())
    gru = nn.GRU(32, ours.token_width, batch_first=True)
    gru.load_state_dict(ours.gru.state_dict())
    return layers, gru


def test_has_as_many_weights_as_published() -> None:
    convolutions = 32 * 6 * 10 + 32 * 32 * 5 + 32 * 32 * 5
    norms = 2 * 6 + 2 * 32
    gru = 3 * 512 * (32 + 512) + 2 * 3 * 512  # three gates, with two biases each
    assert convolutions + norms + gru == 850_892
    assert sum(weight.numel() for weight in ConvGru(ConvGruParams(), IMU).parameters()) == 850_892


def test_shapes_and_times_of_the_papers_windows() -> None:
    features = make(512)(torch.randn(2, 250, 6), *whole(2, 250))
    assert features.tokens.shape == (2, 5, 512)
    assert features.pooled.shape == (2, 512)
    # A token sees 1 + 18 + 2 + 3 (8 + 2) + 9 (8 + 2) = 141 samples, and they are 27 apart.
    torch.testing.assert_close(features.token_times, (70 + 27 * torch.arange(5)) / 50)
    # IMU2CLIP's own windows, 5 s at 200 Hz: (((1000 - 18) // 3 - 8) // 3 - 8) // 3 = 32.
    at_200_hz = ConvGru(ConvGruParams(width=8), ImuInput(1000, 200.0))
    assert at_200_hz(torch.randn(1, 1000, 6), *whole(1, 1000)).tokens.shape == (1, 32, 8)


@pytest.mark.parametrize("samples", [141, 250, 301])
def test_is_the_published_network_where_everything_is_valid(samples: int) -> None:
    encoder = make()
    layers, gru = published(encoder)
    imu = torch.randn(3, samples, 6) * 2 + 1
    outputs, last = gru(layers(imu.transpose(1, 2)).transpose(1, 2))
    features = encoder(imu, *whole(3, samples))
    # In float32, with the normalisation's sums in another order.
    torch.testing.assert_close(features.tokens, outputs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features.pooled, last[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("index", [0, 2, 4])
def test_a_token_sees_its_receptive_field_only(index: int) -> None:
    encoder = make()
    x, seen = torch.randn(1, 6, 250, requires_grad=True), torch.ones(1, 250, dtype=torch.bool)
    y = x
    for stage in encoder.stages:
        y, seen = stage(y, seen)
    y[0, :, index].sum().backward()
    assert x.grad is not None
    touched = x.grad[0].abs().sum(0).nonzero().flatten()
    assert touched.min() >= 27 * index
    assert touched.max() < 27 * index + encoder.field
    assert touched.float().mean() == pytest.approx(50 * encoder.token_times(5, x.device)[index].item(), abs=25)


@settings(max_examples=12, deadline=None)
@given(valid=st.integers(1, 180), more=st.integers(0, 120))
def test_more_padding_changes_nothing(valid: int, more: int) -> None:
    encoder = make()
    imu = torch.randn(1, 250, 6, generator=torch.Generator().manual_seed(valid))
    channels, samples = whole(1, 250)
    samples[:, valid:] = False
    short = encoder(imu, channels, samples)
    long = encoder(
        torch.nn.functional.pad(imu, (0, 0, 0, more), value=9.0),
        channels,
        torch.nn.functional.pad(samples, (0, more)),
    )
    assert torch.equal(long.token_mask[:, :5], short.token_mask)
    assert not long.token_mask[:, 5:].any()
    # The same values; convolutions of other lengths may sum in another order.
    torch.testing.assert_close(long.pooled, short.pooled, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(long.tokens[:, :5], short.tokens, rtol=1e-4, atol=1e-5)


def test_pooled_is_the_last_valid_token_and_gaps_are_stepped_over() -> None:
    encoder = make()
    imu = torch.randn(3, 250, 6)
    channels, samples = whole(3, 250)
    samples[0, 130:] = False
    samples[1, 75:150] = False
    samples[2, :120] = False
    features = encoder(imu, channels, samples)
    assert features.token_mask.tolist() == [
        [True, True, True, False, False],
        [True, False, False, True, True],  # token j owns the samples 57 + 27 j ... 83 + 27 j
        [False, False, True, True, True],
    ]
    last = [features.tokens[0, 2], features.tokens[1, 4], features.tokens[2, 4]]
    assert torch.equal(features.pooled, torch.stack(last))
    assert (features.tokens[~features.token_mask] == 0).all()


def test_samples_at_the_ends_belong_to_the_outer_tokens() -> None:
    channels, samples = whole(2, 250)
    samples[:] = False
    samples[0, :3] = samples[1, -3:] = True
    mask = make()(torch.randn(2, 250, 6), channels, samples).token_mask
    assert mask.tolist() == [[True] + [False] * 4, [False] * 4 + [True]]


def test_a_lacking_sensor_leaves_the_other_one_as_it_is() -> None:
    encoder = make()
    imu = torch.randn(2, 250, 6)
    channels, samples = whole(2, 250)
    channels[:, 3:] = False
    with torch.no_grad():
        encoder.input_norm.bias.uniform_(-1, 1)
        features = encoder(imu, channels, samples)
        layers, gru = published(encoder)
        accelerometer = layers[0](imu.transpose(1, 2))
        accelerometer[:, 3:] = 0  # not even the normalisation's bias
        outputs, _ = gru(layers[1:](accelerometer).transpose(1, 2))
    torch.testing.assert_close(features.tokens, outputs, rtol=1e-4, atol=1e-5)  # float32, other order of sums


def test_group_statistics_leave_single_channels_out() -> None:
    x = torch.randn(2, 6, 9)
    mask = torch.ones(2, 6, 9, dtype=torch.bool)
    mask[0, 1] = False
    found = MaskedGroupNorm(2, 6)(x, mask)[0, [0, 2]]
    kept = x[0, [0, 2]]
    expected = (kept - kept.mean()) / (kept.var(correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_windows_that_are_too_short_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 141 samples \(2\.82 s at 50 Hz\), found 140"):
        make(samples=140)
    with pytest.raises(ValueError, match="found 100"):
        make()(torch.zeros(1, 100, 6), *whole(1, 100))
    with pytest.raises(ValueError, match="at least one kernel"):
        ConvGru(ConvGruParams(kernels=[]), IMU)
