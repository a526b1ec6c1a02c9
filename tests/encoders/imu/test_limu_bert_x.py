"""LIMU-BERT-X against a plain implementation in numpy, on random weights and on the real ones, if they are there."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.real_data import real_data
from numpy.typing import NDArray
from scipy.special import erf

from encoders.contract import ImuInput
from encoders.imu.limu_bert_x import LimuBertX, LimuBertXParams, resampling_weights
from encoders.weights import load_weights

Floats = NDArray[np.float64]
AT_20_HZ = ImuInput(samples=20, rate_hz=20.0)


def reference(x: Floats, weights: dict[str, Floats], heads: int = 4, depth: int = 4) -> Floats:
    """One piece (20, 6), acceleration / 9.8 and rad/s, to its tokens (20, D), a line of the description at a time."""

    def linear(name: str, h: Floats) -> Floats:
        return h @ weights[f"transformer.{name}.weight"].T + weights[f"transformer.{name}.bias"]

    def norm(name: str, h: Floats) -> Floats:
        centred = h - h.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return weights[f"transformer.{name}.gamma"] * scaled + weights[f"transformer.{name}.beta"]

    h = norm("embed.norm", linear("embed.lin", x))
    h = norm("embed.norm", h + weights["transformer.embed.pos_embed.weight"])
    width = h.shape[1] // heads
    for _ in range(depth):
        q, k, v = (linear(f"attn.proj_{name}", h) for name in "qkv")
        mixed = []
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            scores = q[:, part] @ k[:, part].T / math.sqrt(width)
            likely = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed.append(likely / likely.sum(axis=1, keepdims=True) @ v[:, part])
        h = np.concatenate(mixed, axis=1)
        h = norm("norm1", h + linear("proj", h))
        inner = linear("pwff.fc1", h)
        h = norm("norm2", h + linear("pwff.fc2", inner * 0.5 * (1 + erf(inner / math.sqrt(2)))))
    return h


def whole(count: int, samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones(count, 6, dtype=torch.bool), torch.ones(count, samples, dtype=torch.bool)


def numbers(encoder: LimuBertX) -> dict[str, Floats]:
    return {name: value.numpy().astype(np.float64) for name, value in encoder.state_dict().items()}


def made(units: str = "none", imu_input: ImuInput = AT_20_HZ) -> LimuBertX:
    torch.manual_seed(0)
    encoder = LimuBertX(LimuBertXParams(units=units), imu_input).eval()
    with torch.no_grad():
        for name, weight in encoder.named_parameters():
            if name.endswith(("gamma", "beta")):
                weight.add_(0.3 * torch.randn_like(weight))  # as drawn, norms would be equal
    return encoder


def windows(samples: int, count: int = 3) -> torch.Tensor:
    values = torch.randn(count, samples, 6, generator=torch.Generator().manual_seed(1))
    values[:, :, 2] += 9.8
    return values


@torch.no_grad()
def test_tokens_are_those_of_the_plain_implementation() -> None:
    encoder, imu = made(), windows(20)
    tokens = encoder(imu, *whole(3, 20)).tokens.numpy()
    for row, window in enumerate(imu.double().numpy()):
        scaled = np.concatenate([window[:, :3] / 9.8, window[:, 3:]], axis=1)
        assert tokens[row] == pytest.approx(reference(scaled, numbers(encoder)), abs=1e-5)  # float32 against float64


@torch.no_grad()
def test_physical_units_are_turned_back() -> None:
    imu, physical = windows(20), made("physical")
    scaled = imu / torch.tensor([9.80665] * 3 + [math.pi] * 3)
    # Dividing and multiplying again rounds, and four blocks carry it on.
    assert torch.allclose(physical(scaled, *whole(3, 20)).tokens, made()(imu, *whole(3, 20)).tokens, atol=1e-4)


@torch.no_grad()
def test_pieces_do_not_see_one_another_and_the_last_ends_with_the_window() -> None:
    long = made(imu_input=ImuInput(samples=50, rate_hz=20.0))
    imu = windows(50)
    tokens, times, mask, pooled = long(imu, *whole(3, 50))
    assert tokens.shape == (3, 50, 72)
    assert times[[0, 49]].tolist() == pytest.approx([0, 49 / 20])
    assert mask.all()
    assert torch.allclose(tokens[:, 20:40], made()(imu[:, 20:40], *whole(3, 20)).tokens, atol=1e-6)
    assert torch.allclose(tokens[:, 40:], made()(imu[:, 30:50], *whole(3, 20)).tokens[:, 10:], atol=1e-6)
    assert torch.allclose(pooled, tokens.mean(dim=1), atol=1e-6)
    imu[:, :20] += 5
    assert torch.equal(long(imu, *whole(3, 50)).tokens[:, 20:], tokens[:, 20:])


@torch.no_grad()
def test_padding_around_a_recording_changes_nothing() -> None:
    short, long = made(imu_input=ImuInput(47, 20.0)), made(imu_input=ImuInput(100, 20.0))
    imu = windows(47)
    padded, samples = torch.zeros(3, 100, 6), torch.zeros(3, 100, dtype=torch.bool)
    for row, start in enumerate((0, 13, 53)):
        padded[row, start : start + 47], samples[row, start : start + 47] = imu[row], True
    found, expected = long(padded, whole(3, 100)[0], samples), short(imu, *whole(3, 47))
    assert torch.allclose(found.tokens[samples], expected.tokens.flatten(0, 1), atol=1e-5)
    assert torch.equal(found.token_mask, samples)


@torch.no_grad()
def test_less_than_a_piece_is_encoded_by_itself() -> None:
    encoder, imu = made(imu_input=ImuInput(60, 20.0)), windows(60)
    channels, samples = whole(3, 60)
    samples[0, 12:], samples[1, :25], samples[1, 31:], samples[2] = False, False, False, False
    found = encoder(imu, channels, samples)
    assert torch.equal(found.token_mask, samples)
    assert torch.isfinite(found.tokens).all()
    assert (found.tokens[0, :12].abs().sum(dim=1) > 0).all()
    assert (found.tokens[1, 25:31].abs().sum(dim=1) > 0).all()
    assert (found.tokens[2] == 0).all()


def test_resampling_keeps_levels_and_slopes_and_leaves_20_hz_alone() -> None:
    assert torch.equal(resampling_weights(AT_20_HZ), torch.eye(20))
    for rate in (25.0, 50.0, 100.0):
        shape = ImuInput(samples=round(4 * rate), rate_hz=rate)
        weights = resampling_weights(shape).numpy().astype(np.float64)
        weights /= weights.sum(axis=1, keepdims=True)
        times = np.arange(shape.samples) / rate
        assert weights.shape == (80, shape.samples)
        inner = slice(1, -1)  # at an end, neighbours are on one side only
        # At 25 Hz, samples do not lie alike on both sides of each wanted one.
        near = 1e-6 if rate > 25 else 0.02
        assert (weights @ (3 + 2 * times))[inner] == pytest.approx((3 + 2 * np.arange(80) / 20)[inner], abs=near)


@torch.no_grad()
def test_what_was_not_measured_has_no_part() -> None:
    encoder = made(imu_input=ImuInput(samples=100, rate_hz=50.0))
    imu, (channels, samples) = windows(100), whole(3, 100)
    samples[:, 30:60] = False
    found = encoder(imu, channels, samples)
    spoilt = torch.where(samples.unsqueeze(2), imu, 1e4)
    assert torch.equal(encoder(spoilt, channels, samples).tokens, found.tokens)
    assert not found.token_mask[:, 13:23].any()  # 0.65 to 1.1 s: nothing within 50 ms
    assert found.token_mask[:, [0, 11, 24, 39]].all()


def test_unfit_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="5 heads do not divide the width of 72"):
        LimuBertX(LimuBertXParams(heads=5), AT_20_HZ)
    with pytest.raises(ValueError, match=r"at least 0\.05 s"):
        LimuBertX(LimuBertXParams(), ImuInput(samples=2, rate_hz=100.0))


@torch.no_grad()
def test_the_published_weights_give_what_the_plain_implementation_gives() -> None:
    path = Path(real_data("limu-bert-x")) / "limu_bert_x.safetensors"
    encoder = made()
    left = load_weights(encoder, path)
    assert sorted({name.partition(".")[0] for name in left}) == ["decoder", "fc", "linear", "norm"]
    assert sum(weight.numel() for weight in encoder.parameters()) == 44_352
    imu = windows(20)
    tokens = encoder(imu, *whole(3, 20)).tokens.numpy()
    for row, window in enumerate(imu.double().numpy()):
        scaled = np.concatenate([window[:, :3] / 9.8, window[:, 3:]], axis=1)
        assert tokens[row] == pytest.approx(reference(scaled, numbers(encoder)), abs=1e-5)
