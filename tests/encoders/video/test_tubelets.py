"""``video_mae`` and ``vjepa2``: the same numbers as transformers' models, and what both share."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.made_video_models import MAE, NAMES, SMALL, made_clip, make_tubelets, saved_model, spread
from torch import Tensor

from encoders.registry import build_video_encoder
from encoders.video.backbone_encoder import FingerprintError
from encoders.video.hub_weights import IMAGENET_MEAN, IMAGENET_STD
from encoders.video.mae import sinusoids

pytest.importorskip("transformers")


def pixels(frames: Tensor, mean: list[float], std: list[float]) -> Tensor:
    return (frames / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def reference_tokens(name: str, model: Any, values: Tensor) -> Tensor:
    if name == "video_mae":
        return model.videomae(values).last_hidden_state
    return model.vjepa2(values, skip_predictor=True).last_hidden_state


@pytest.mark.parametrize("name", NAMES)
def test_sixteen_frames_are_as_transformers_has_them(name: str, tmp_path: Path) -> None:
    model = saved_model(tmp_path, name)
    encoder = make_tubelets(name, weights=str(tmp_path))
    frames, mask = made_clip(16)
    with torch.no_grad():
        expected = reference_tokens(name, model, pixels(frames, IMAGENET_MEAN, IMAGENET_STD))
    features = encoder(frames, mask)
    steps = expected.reshape(2, 8, 4, -1).mean(2)
    # The same operations, in float32; only the means are taken in another order.
    torch.testing.assert_close(features.frame_tokens, steps.repeat_interleave(2, dim=1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(features.pooled, expected.mean(1), rtol=1e-5, atol=1e-5)
    assert features.frame_tokens.std() > 0.05  # not all the same


@pytest.mark.parametrize("n_frames", [2, 10])
def test_ten_frames_of_videomae_by_hand(n_frames: int, tmp_path: Path) -> None:
    """Transformers' model can't take fewer frames than it was configured for: its layers, one by one."""
    model = saved_model(tmp_path, "video_mae").videomae
    frames, mask = made_clip(n_frames)
    values = pixels(frames, IMAGENET_MEAN, IMAGENET_STD)
    projection, steps = model.embeddings.patch_embeddings.projection, n_frames // 2
    with torch.no_grad():
        x = torch.stack([projection(values[:, 2 * n : 2 * n + 2].transpose(1, 2)) for n in range(steps)], dim=2)
        x = x.squeeze(3).flatten(2).transpose(1, 2)  # step by step, row by row
        places, width = torch.arange(steps * 4, dtype=torch.float64), MAE["hidden_size"]
        for i in range(width):
            angle = places / 10_000 ** (2 * (i // 2) / width)
            x[:, :, i] += (angle.sin() if i % 2 == 0 else angle.cos()).float()
        for layer in model.encoder.layer:
            x = layer(x)
        expected = model.layernorm(x)
    features = make_tubelets("video_mae", weights=str(tmp_path))(frames, mask)
    per_step = expected.reshape(2, steps, 4, -1).mean(2)
    # The same operations, in float32; the convolution and the means sum in another order.
    torch.testing.assert_close(features.frame_tokens, per_step.repeat_interleave(2, dim=1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(features.pooled, expected.mean(1), rtol=1e-5, atol=1e-5)


def test_ten_frames_of_vjepa2_are_as_transformers_has_them(tmp_path: Path) -> None:
    model = saved_model(tmp_path, "vjepa2")
    frames, mask = made_clip(10)
    with torch.no_grad():
        expected = reference_tokens("vjepa2", model, pixels(frames, IMAGENET_MEAN, IMAGENET_STD))
    features = make_tubelets("vjepa2", weights=str(tmp_path))(frames, mask)
    torch.testing.assert_close(features.pooled, expected.mean(1), rtol=1e-5, atol=1e-5)  # as with 16 frames


def test_sinusoids_are_those_of_transformers() -> None:
    from transformers.models.videomae.modeling_videomae import get_sinusoid_encoding_table

    table = get_sinusoid_encoding_table(50, 24)[0]
    torch.testing.assert_close(sinusoids(50, 24), table, rtol=0, atol=1e-7)  # float64, rounded once
    assert torch.equal(sinusoids(20, 24), sinusoids(50, 24)[:20])


def test_clips_longer_than_in_training_get_more_sinusoids() -> None:
    encoder = make_tubelets("video_mae")
    frames, mask = made_clip(20)
    assert encoder(frames, mask).frame_tokens.shape == (2, 20, 24)
    torch.testing.assert_close(encoder.positions, sinusoids(40, 24))
    before = encoder(frames[:, :16], mask[:, :16]).pooled
    torch.testing.assert_close(make_tubelets("video_mae")(frames[:, :16], mask[:, :16]).pooled, before)


@pytest.mark.parametrize("name", NAMES)
def test_missing_frames_are_the_nearest_ones_and_odd_clips_repeat_the_last(name: str) -> None:
    encoder = make_tubelets(name)
    spread(encoder.backbone)
    frames, mask = made_clip(5)
    mask[0] = torch.tensor([False, True, False, True, True])
    mask[1] = torch.tensor([True, True, True, False, False])
    filled = torch.stack([frames[0][[1, 1, 1, 3, 4, 4]], frames[1][[0, 1, 2, 2, 2, 2]]])
    expected = encoder(filled, torch.ones(2, 6, dtype=torch.bool))
    features = encoder(frames, mask)
    assert torch.equal(features.pooled, expected.pooled)  # the very same clips
    assert torch.equal(features.frame_tokens[mask], expected.frame_tokens[:, :5][mask])
    assert (features.frame_tokens[~mask] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_without_frames_is_zero_and_others_are_as_without_it(name: str) -> None:
    encoder = make_tubelets(name, frozen=False)
    frames, mask = made_clip(4, count=3)
    mask[1] = False
    features = encoder(frames, mask)
    assert (features.pooled[1] == 0).all()
    assert (features.frame_tokens[1] == 0).all()
    rest = encoder(frames[[0, 2]], mask[[0, 2]])
    torch.testing.assert_close(features.pooled[[0, 2]], rest.pooled, rtol=1e-5, atol=1e-6)
    assert torch.equal(encoder(frames, torch.zeros_like(mask)).pooled, torch.zeros(3, encoder.pooled_width))


@pytest.mark.parametrize("name", NAMES)
def test_frozen_has_no_gradients_and_unfrozen_trains_every_weight(name: str) -> None:
    frozen, trained = make_tubelets(name).train(), make_tubelets(name, frozen=False).train()
    frames, mask = made_clip(4)
    assert not frozen(frames, mask).frame_tokens.requires_grad
    assert not any(module.training for module in frozen.backbone.modules())
    assert not any(weight.requires_grad for weight in frozen.parameters())
    assert set(frozen.state_dict()) == {"_extra_state"}
    assert all(module.training for module in trained.modules())
    trained(frames, mask).frame_tokens.square().sum().backward()
    assert len(list(trained.parameters())) > 20
    for weight_name, weight in trained.named_parameters():
        assert weight.grad is not None, weight_name
        assert torch.isfinite(weight.grad).all(), weight_name
    other = make_tubelets(name, frozen=False)
    spread(other)
    other.load_state_dict(trained.state_dict())
    assert torch.equal(other.eval()(frames, mask).pooled, trained.eval()(frames, mask).pooled)


@pytest.mark.parametrize("name", NAMES)
def test_frames_of_another_size_are_resized(name: str) -> None:
    encoder = make_tubelets(name, frame_size=48)
    frames, mask = made_clip(4, side=48)
    assert encoder(frames, mask).pooled.isfinite().all()
    plain = torch.full((1, 4, 3, 48, 48), 77, dtype=torch.uint8)
    found = encoder(plain, mask[:1]).pooled
    # A plain picture stays one; interpolation rounds in float32.
    torch.testing.assert_close(make_tubelets(name)(plain[..., :32, :32], mask[:1]).pooled, found, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"uint8 \(B, F, 3, 48, 48\), found torch\.uint8 \(1, 4, 3, 32, 32\)"):
        encoder(plain[..., :32, :32], mask[:1])


@pytest.mark.parametrize("name", NAMES)
def test_chunks_do_not_change_the_numbers(name: str) -> None:
    frames, mask = made_clip(4, count=5)
    found = make_tubelets(name, chunk=2)(frames, mask).frame_tokens
    # Smaller matrix products sum in another order.
    torch.testing.assert_close(found, make_tubelets(name)(frames, mask).frame_tokens, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_fingerprint_follows_what_changes_the_features(name: str, tmp_path: Path) -> None:
    saved_model(tmp_path, name)
    encoder = make_tubelets(name, weights=str(tmp_path))
    assert encoder.fingerprint() == make_tubelets(name, weights=str(tmp_path), chunk=3, frozen=False).fingerprint()
    others = [
        make_tubelets(name),
        make_tubelets(name, weights=str(tmp_path), frame_size=64),
        make_tubelets(name, weights=str(tmp_path), mean=[0.5] * 3),
        make_tubelets(name, weights=str(tmp_path), precision="bfloat16"),
        make_tubelets(name, config={**SMALL[name], "num_attention_heads": 4}),
    ]
    changed = copy.deepcopy(encoder)
    with torch.no_grad():
        next(iter(changed.backbone.parameters())).flatten()[0].add_(1e-3)
    assert len({e.fingerprint() for e in [encoder, changed, *others]}) == 7
    with pytest.raises(FingerprintError, match="load the same weights"):
        changed.load_state_dict(encoder.state_dict())


@pytest.mark.slow
def test_the_papers_video_encoder_at_its_own_size() -> None:
    torch.manual_seed(0)
    encoder = build_video_encoder("video_mae", {"weights": "random"})
    # 12 layers of 12 x 768^2 weights are 85 million, without biases.
    assert 85e6 < sum(weight.numel() for weight in encoder.parameters()) < 87e6
    frames, mask = made_clip(10, count=1, side=224)
    features = encoder(frames, mask)
    assert features.frame_tokens.shape == (1, 10, 768)
    torch.testing.assert_close(features.pooled, features.frame_tokens.mean(1), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_vjepa2_large_at_its_own_size() -> None:
    encoder = build_video_encoder("vjepa2", {"weights": "random"})
    frames, mask = made_clip(4, count=1, side=256)
    assert encoder(frames, mask).frame_tokens.shape == (1, 4, 1024)
