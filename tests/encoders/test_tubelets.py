"""``video_mae`` and ``vjepa2``: the same numbers as transformers' models, and what both share."""

from __future__ import annotations

import builtins
import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from encoders.backbone_encoder import FingerprintError
from encoders.hub_weights import IMAGENET_MEAN, IMAGENET_STD, MissingPackageError
from encoders.registry import UnknownNameError, build_video_encoder
from encoders.tubelets import TubeletEncoder
from encoders.video_mae import sinusoids
from encoders.vit_backbone import WeightsError

transformers = pytest.importorskip("transformers")

MAE = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48, "image_size": 32}
JEPA = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "crop_size": 32,
    "pred_hidden_size": 24,
    "pred_num_hidden_layers": 1,
    "pred_num_attention_heads": 2,
}
SMALL: dict[str, dict[str, Any]] = {"video_mae": MAE, "vjepa2": JEPA}
NAMES = list(SMALL)


def make(name: str, **params: Any) -> TubeletEncoder:
    torch.manual_seed(0)
    settings = {"weights": "random", "frame_size": 32, **params}
    if settings["weights"] == "random":
        settings.setdefault("config", SMALL[name])
    encoder = build_video_encoder(name, settings)
    assert isinstance(encoder, TubeletEncoder)
    return encoder


def clip(n_frames: int, count: int = 2, side: int = 32) -> tuple[Tensor, Tensor]:
    frames = torch.randint(0, 256, (count, n_frames, 3, side, side), dtype=torch.uint8)
    return frames, torch.ones(count, n_frames, dtype=torch.bool)


def spread(model: torch.nn.Module) -> None:
    """Random weights as large as trained ones: with those that transformers draws, layers hardly do anything."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)


def saved(folder: Path, name: str) -> Any:
    """A whole model of transformers with random weights, written to a folder as it would be on the hub."""
    torch.manual_seed(3)
    if name == "video_mae":
        settings = {**MAE, "use_mean_pooling": False, "decoder_num_attention_heads": 2}
        model = transformers.VideoMAEForPreTraining(transformers.VideoMAEConfig(**settings))
    else:
        model = transformers.VJEPA2ForVideoClassification(transformers.VJEPA2Config(**JEPA, num_pooler_layers=1))
    spread(model)
    model.eval().save_pretrained(folder)
    return model


def pixels(frames: Tensor, mean: list[float], std: list[float]) -> Tensor:
    return (frames / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def reference_tokens(name: str, model: Any, values: Tensor) -> Tensor:
    if name == "video_mae":
        return model.videomae(values).last_hidden_state
    return model.vjepa2(values, skip_predictor=True).last_hidden_state


@pytest.mark.parametrize("name", NAMES)
def test_sixteen_frames_are_as_transformers_has_them(name: str, tmp_path: Path) -> None:
    model = saved(tmp_path, name)
    encoder = make(name, weights=str(tmp_path))
    frames, mask = clip(16)
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
    model = saved(tmp_path, "video_mae").videomae
    frames, mask = clip(n_frames)
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
    features = make("video_mae", weights=str(tmp_path))(frames, mask)
    per_step = expected.reshape(2, steps, 4, -1).mean(2)
    # The same operations, in float32; the convolution and the means sum in another order.
    torch.testing.assert_close(features.frame_tokens, per_step.repeat_interleave(2, dim=1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(features.pooled, expected.mean(1), rtol=1e-5, atol=1e-5)


def test_ten_frames_of_vjepa2_are_as_transformers_has_them(tmp_path: Path) -> None:
    model = saved(tmp_path, "vjepa2")
    frames, mask = clip(10)
    with torch.no_grad():
        expected = reference_tokens("vjepa2", model, pixels(frames, IMAGENET_MEAN, IMAGENET_STD))
    features = make("vjepa2", weights=str(tmp_path))(frames, mask)
    torch.testing.assert_close(features.pooled, expected.mean(1), rtol=1e-5, atol=1e-5)  # as with 16 frames


def test_sinusoids_are_those_of_transformers() -> None:
    from transformers.models.videomae.modeling_videomae import get_sinusoid_encoding_table

    table = get_sinusoid_encoding_table(50, 24)[0]
    torch.testing.assert_close(sinusoids(50, 24), table, rtol=0, atol=1e-7)  # float64, rounded once
    assert torch.equal(sinusoids(20, 24), sinusoids(50, 24)[:20])


def test_clips_longer_than_in_training_get_more_sinusoids() -> None:
    encoder = make("video_mae")
    frames, mask = clip(20)
    assert encoder(frames, mask).frame_tokens.shape == (2, 20, 24)
    torch.testing.assert_close(encoder.positions, sinusoids(40, 24))
    before = encoder(frames[:, :16], mask[:, :16]).pooled
    torch.testing.assert_close(make("video_mae")(frames[:, :16], mask[:, :16]).pooled, before)


@pytest.mark.parametrize("name", NAMES)
def test_missing_frames_are_the_nearest_ones_and_odd_clips_repeat_the_last(name: str) -> None:
    encoder = make(name)
    spread(encoder.backbone)
    frames, mask = clip(5)
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
    encoder = make(name, frozen=False)
    frames, mask = clip(4, count=3)
    mask[1] = False
    features = encoder(frames, mask)
    assert (features.pooled[1] == 0).all()
    assert (features.frame_tokens[1] == 0).all()
    rest = encoder(frames[[0, 2]], mask[[0, 2]])
    torch.testing.assert_close(features.pooled[[0, 2]], rest.pooled, rtol=1e-5, atol=1e-6)
    assert torch.equal(encoder(frames, torch.zeros_like(mask)).pooled, torch.zeros(3, encoder.pooled_width))


@pytest.mark.parametrize("name", NAMES)
def test_frozen_has_no_gradients_and_unfrozen_trains_every_weight(name: str) -> None:
    frozen, trained = make(name).train(), make(name, frozen=False).train()
    frames, mask = clip(4)
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
    other = make(name, frozen=False)
    spread(other)
    other.load_state_dict(trained.state_dict())
    assert torch.equal(other.eval()(frames, mask).pooled, trained.eval()(frames, mask).pooled)


@pytest.mark.parametrize("name", NAMES)
def test_frames_of_another_size_are_resized(name: str) -> None:
    encoder = make(name, frame_size=48)
    frames, mask = clip(4, side=48)
    assert encoder(frames, mask).pooled.isfinite().all()
    plain = torch.full((1, 4, 3, 48, 48), 77, dtype=torch.uint8)
    found = encoder(plain, mask[:1]).pooled
    # A plain picture stays one; interpolation rounds in float32.
    torch.testing.assert_close(make(name)(plain[..., :32, :32], mask[:1]).pooled, found, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"uint8 \(B, F, 3, 48, 48\), found torch\.uint8 \(1, 4, 3, 32, 32\)"):
        encoder(plain[..., :32, :32], mask[:1])


@pytest.mark.parametrize("name", NAMES)
def test_chunks_do_not_change_the_numbers(name: str) -> None:
    frames, mask = clip(4, count=5)
    found = make(name, chunk=2)(frames, mask).frame_tokens
    # Smaller matrix products sum in another order.
    torch.testing.assert_close(found, make(name)(frames, mask).frame_tokens, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_weights_from_a_folder_a_file_and_a_file_with_its_config(name: str, tmp_path: Path) -> None:
    saved(tmp_path / "a", name)
    folder = make(name, weights=str(tmp_path / "a"))
    file = make(name, weights=str(tmp_path / "a" / "model.safetensors"))
    (tmp_path / "b").mkdir()
    bare = (tmp_path / "a" / "model.safetensors").rename(tmp_path / "b" / "bare.safetensors")
    config = {**SMALL[name], **({"use_mean_pooling": False} if name == "video_mae" else {})}
    alone = make(name, weights=str(bare), config=config)
    assert folder.fingerprint() == file.fingerprint() == alone.fingerprint()
    assert str(tmp_path / "a") in folder.weights_description
    assert "RANDOM" in make(name).weights_description


@pytest.mark.parametrize("name", NAMES)
def test_fingerprint_follows_what_changes_the_features(name: str, tmp_path: Path) -> None:
    saved(tmp_path, name)
    encoder = make(name, weights=str(tmp_path))
    assert encoder.fingerprint() == make(name, weights=str(tmp_path), chunk=3, frozen=False).fingerprint()
    others = [
        make(name),
        make(name, weights=str(tmp_path), frame_size=64),
        make(name, weights=str(tmp_path), mean=[0.5] * 3),
        make(name, weights=str(tmp_path), precision="bfloat16"),
        make(name, config={**SMALL[name], "num_attention_heads": 4}),
    ]
    changed = copy.deepcopy(encoder)
    with torch.no_grad():
        next(iter(changed.backbone.parameters())).flatten()[0].add_(1e-3)
    assert len({e.fingerprint() for e in [encoder, changed, *others]}) == 7
    with pytest.raises(FingerprintError, match="load the same weights"):
        changed.load_state_dict(encoder.state_dict())


def test_normalisation_is_that_of_the_file_beside_the_weights(tmp_path: Path) -> None:
    saved(tmp_path, "video_mae")
    assert make("video_mae", weights=str(tmp_path)).pixel_mean.tolist() == pytest.approx(IMAGENET_MEAN)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]}')
    encoder = make("video_mae", weights=str(tmp_path))
    assert encoder.pixel_mean.tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert encoder.pixel_std.tolist() == pytest.approx([0.2, 0.2, 0.1])
    with pytest.raises(ValueError, match="std above zero"):
        make("video_mae", weights=str(tmp_path), std=[0.0, 1.0, 1.0])


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_do_not_fit_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights folder or file .*nowhere.*weights=random"):
        make(name, weights=str(tmp_path / "nowhere"))
    model = saved(tmp_path / "a", name)
    other = NAMES[1 - NAMES.index(name)]
    with pytest.raises(WeightsError, match="model_type is"):
        make(other, weights=str(tmp_path / "a"))
    with pytest.raises(ValueError, match=r"leave config out"):
        make(name, weights=str(tmp_path / "a"), config=SMALL[name])
    state = model.state_dict()
    lost = next(
        key
        for key in state
        if "encoder.layer.1" in key and key.endswith("norm1.weight" if name == "vjepa2" else "layernorm_after.weight")
    )
    model.save_pretrained(tmp_path / "b", state_dict={k: v for k, v in state.items() if k != lost})
    with pytest.raises(WeightsError, match=r"missing \['encoder\.layer\.1\."):
        make(name, weights=str(tmp_path / "b"))
    (tmp_path / "b" / "model.safetensors").write_bytes(b"not a safetensors file")
    with pytest.raises(WeightsError, match=str(tmp_path / "b")):
        make(name, weights=str(tmp_path / "b"))
    with pytest.raises(WeightsError, match="is no readable safetensors file"):
        make(name, weights=str(tmp_path / "b" / "model.safetensors"))
    (tmp_path / "b" / "model.safetensors").rename(tmp_path / "b" / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"no \.safetensors file in .*refs/pr/1"):
        make(name, weights=str(tmp_path / "b"))


def test_a_config_with_fewer_layers_than_the_weights_is_refused(tmp_path: Path) -> None:
    saved(tmp_path, "video_mae")
    bare = (tmp_path / "model.safetensors").rename(tmp_path.parent / f"{tmp_path.name}.safetensors")
    for config, message in (
        ({**MAE, "use_mean_pooling": False, "num_hidden_layers": 1}, r"unexpected \['encoder\.layer\.1"),
        ({**MAE, "use_mean_pooling": False, "hidden_size": 48}, "does not fit video_mae"),
        (MAE, r"unexpected \['layernorm\.bias"),
    ):
        with pytest.raises(WeightsError, match=message):
            make("video_mae", weights=str(bare), config=config)


def test_pretrained_offline_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"'MCG-NJU/videomae-base-ssv2' could not be had.*HF_HOME"):
        build_video_encoder("video_mae", {})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *arguments: Any) -> Any:
        if name.startswith("transformers"):
            raise ImportError(f"No module named '{name}'")
        return builtins.__import__(name, *arguments)

    monkeypatch.setattr("encoders.hub_weights.importlib.import_module", refuse)
    with pytest.raises(MissingPackageError, match=r"'video_mae' needs the package transformers.*\[transformers\]"):
        make("video_mae")


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"'hiden_size'\. Did you mean 'hidden_size'"):
        make("video_mae", config={"hiden_size": 24})
    with pytest.raises(ValueError, match=r"config: .*hidden_size.*expected int"):
        make("video_mae", config={"hidden_size": "wide"})
    with pytest.raises(ValueError, match="precision must be one of"):
        make("video_mae", precision="half")
    with pytest.raises(ValueError, match="chunk and frame_size must be positive"):
        make("vjepa2", chunk=0)
    with pytest.raises(ValueError, match=r"image_size must be square, found \[32, 64\]"):
        make("video_mae", config={**MAE, "image_size": [32, 64]})


@pytest.mark.slow
def test_the_papers_tower_at_its_own_size() -> None:
    torch.manual_seed(0)
    encoder = build_video_encoder("video_mae", {"weights": "random"})
    # Base: 12 layers of 768, 86 million weights, one of them no more than ViT-B.
    assert 85e6 < sum(weight.numel() for weight in encoder.parameters()) < 87e6
    frames, mask = clip(10, count=1, side=224)
    features = encoder(frames, mask)
    assert features.frame_tokens.shape == (1, 10, 768)
    torch.testing.assert_close(features.pooled, features.frame_tokens.mean(1), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_vjepa2_large_at_its_own_size() -> None:
    encoder = build_video_encoder("vjepa2", {"weights": "random"})
    frames, mask = clip(4, count=1, side=256)
    assert encoder(frames, mask).frame_tokens.shape == (1, 4, 1024)
