from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.contract import ImuInput
from encoders.imu.cnn_transformer import CnnTransformer, CnnTransformerParams, StemStage


def make(**settings_: object) -> CnnTransformer:
    torch.manual_seed(0)
    params = CnnTransformerParams(width=32, depth=2, heads=2, **settings_)  # type: ignore[arg-type]
    return CnnTransformer(params, ImuInput(100, 50.0)).eval()


@pytest.mark.parametrize("norm", ["layer", "group", "none"])
@settings(max_examples=10, deadline=None)
@given(samples=st.integers(5, 80), padding=st.integers(1, 60))
def test_padding_the_end_changes_no_valid_token(norm: str, samples: int, padding: int) -> None:
    encoder = make(stem_norm=norm)
    imu, channels = torch.randn(2, samples, 6), torch.ones(2, 6, dtype=torch.bool)
    mask = torch.ones(2, samples, dtype=torch.bool)
    short = encoder(imu, channels, mask)
    padded_imu = torch.cat([imu, torch.randn(2, padding, 6)], dim=1)
    padded = encoder(padded_imu, channels, torch.nn.functional.pad(mask, (0, padding)))
    L = short.tokens.shape[1]
    assert padded.token_mask[:, :L].all()
    assert not padded.token_mask[:, L:].any()
    # The same sums; longer convolutions and attention only add them in another order.
    torch.testing.assert_close(padded.tokens[:, :L], short.tokens, rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(padded.pooled, short.pooled, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("kernels", "strides"), [([8, 6], [2, 2]), ([9, 5], [2, 2]), ([4, 3, 2], [4, 1, 2]), ([1], [1])]
)
def test_token_times_are_the_centres_of_what_tokens_see(kernels: list[int], strides: list[int]) -> None:
    encoder = make(stem_kernels=kernels, stem_strides=strides, stem_channels=[8] * len(kernels), stem_norm="none")
    imu = torch.zeros(1, 100, 6, requires_grad=True)
    x = torch.cat([imu.transpose(1, 2), torch.ones(1, 6, 100)], dim=1)
    mask = torch.ones(1, 100, dtype=torch.bool)
    for stage in encoder.stem:
        assert isinstance(stage, StemStage)
        x, mask = stage(x, mask)
    times = encoder.token_times(x.shape[2], torch.device("cpu"))
    token = x.shape[2] // 2  # far from the borders, where the field of view is whole
    (seen,) = torch.autograd.grad(x[0, :, token].sum(), imu)
    samples = seen[0].abs().sum(1).nonzero().flatten()
    centre = (samples[0] + samples[-1]) / 2 / 50.0
    torch.testing.assert_close(times[token], centre)


def test_default_tokens_are_centred_on_the_samples_that_they_own() -> None:
    times = make()(torch.zeros(1, 100, 6), torch.ones(1, 6).bool(), torch.ones(1, 100).bool()).token_times
    torch.testing.assert_close(times, (torch.arange(25) * 4 + 1.5) / 50)


def test_a_lacking_channel_is_told_from_a_zero_reading() -> None:
    encoder = make()
    imu, mask = torch.randn(1, 100, 6), torch.ones(1, 100, dtype=torch.bool)
    imu[..., 3:] = 0
    there, lacking = torch.ones(1, 6, dtype=torch.bool), torch.tensor([[True] * 3 + [False] * 3])
    assert not torch.allclose(encoder(imu, there, mask).pooled, encoder(imu, lacking, mask).pooled, atol=1e-3)


def test_bad_stems_are_refused() -> None:
    with pytest.raises(ValueError, match="one entry a stage each"):
        make(stem_kernels=[3])
    with pytest.raises(ValueError, match="would skip samples"):
        make(stem_kernels=[3, 3], stem_strides=[4, 2])
    with pytest.raises(ValueError, match="stem_norm must be"):
        make(stem_norm="batch")


@pytest.mark.parametrize(("kernel", "stride", "samples"), [(8, 2, 250), (6, 2, 63), (3, 3, 40), (5, 1, 9)])
def test_a_stage_is_a_convolution_in_any_order_of_memory(kernel: int, stride: int, samples: int) -> None:
    torch.manual_seed(0)
    stage = StemStage(12, 16, kernel, stride, "none", 1)
    x, mask = torch.randn(3, 12, samples), torch.ones(3, samples, dtype=torch.bool)
    padded = torch.nn.functional.pad(x, (stage.before, kernel - 1 - stage.before))
    expected = torch.nn.functional.gelu(stage.conv(padded))
    for same in (x, x.transpose(1, 2).contiguous().transpose(1, 2)):
        # The same sums of up to 96 products in another order: float32 keeps seven digits.
        torch.testing.assert_close(stage(same, mask)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", ["layer", "group", "none"])
@pytest.mark.parametrize(("kernel", "stride"), [(8, 2), (6, 6), (5, 1)])
def test_a_stage_computes_the_same_in_training_and_outside_of_it(norm: str, kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    stage = StemStage(7, 8, kernel, stride, norm, 2)
    x, mask = torch.randn(3, 7, 41), torch.arange(41).expand(3, 41) < torch.tensor([[41], [20], [0]])
    training, kept = stage.train()(x, mask)
    outside, also = stage.eval()(x, mask)
    assert torch.equal(kept, also)
    # Two kernels of torch, which sum some tens of products of single precision in another order.
    torch.testing.assert_close(training, outside, rtol=1e-4, atol=1e-5)
