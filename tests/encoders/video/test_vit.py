from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.waiting import Waiting
from safetensors.torch import save_file
from torch import nn

from encoders.registry import build_video_encoder
from encoders.video.backbone_encoder import FingerprintError
from encoders.video.vit import VideoVit
from encoders.video.vit_backbone import save_weights
from encoders.weights import WeightsError

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2, "patch_size": 8}


def make(**params: Any) -> VideoVit:
    encoder = build_video_encoder(
        "vit", {"weights": "random", "frame_size": 32, "kwargs": SMALL, "grid_size": 2, **params}
    )
    assert isinstance(encoder, VideoVit)
    return encoder


@pytest.fixture
def clip() -> tuple[torch.Tensor, torch.Tensor]:
    frames = torch.randint(0, 256, (2, 5, 3, 32, 32), dtype=torch.uint8)
    return frames, torch.tensor([[True] * 5, [True] * 3 + [False] * 2])


class Task(nn.Module):
    def __init__(self, video: VideoVit) -> None:
        super().__init__()
        self.video = video
        self.head = nn.Linear(video.token_width, 2)


def test_frozen_has_no_gradients_and_never_trains(clip: tuple[torch.Tensor, torch.Tensor]) -> None:
    task = Task(make(kwargs={**SMALL, "proj_drop_rate": 0.5}))
    task.train()
    assert task.video.training
    assert not any(module.training for module in task.video.backbone.modules())
    assert not any(weight.requires_grad for weight in task.video.parameters())
    features = task.video(*clip)
    assert not features.pooled.requires_grad
    assert torch.equal(task.video(*clip).pooled, features.pooled)  # no dropout
    task.head(features.pooled).sum().backward()  # what follows can be trained
    assert task.head.weight.grad is not None


def test_frames_are_encoded_alike_picked_or_not(clip: tuple[torch.Tensor, torch.Tensor]) -> None:
    encoder = make(chunk=3)
    picked = encoder.tokens_of_valid(*clip)
    with Waiting() as waiting:
        everything = encoder.tokens_of_all(*clip)
    assert waiting.found == []
    # Matrix products over other numbers of rows sum in another order.
    torch.testing.assert_close(everything, picked, rtol=1e-5, atol=1e-5)
    assert (everything[1, 3:] == 0).all()


def test_unfrozen_has_gradients_and_saves_its_weights(clip: tuple[torch.Tensor, torch.Tensor]) -> None:
    encoder = make(frozen=False).train()
    encoder(*clip).pooled.sum().backward()
    assert all(w.grad is not None and torch.isfinite(w.grad).all() for w in encoder.parameters())
    other = make(frozen=False)
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(other.eval()(*clip).pooled, encoder.eval()(*clip).pooled)


def test_frozen_puts_only_its_fingerprint_into_checkpoints(tmp_path: Path) -> None:
    task = Task(make())
    state = task.state_dict()
    assert set(state) == {"video._extra_state", "head.weight", "head.bias"}
    torch.save(state, tmp_path / "checkpoint.pt")
    loaded = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    before = copy.deepcopy(task.video.backbone.state_dict())
    task.load_state_dict(loaded)  # strict
    assert all(torch.equal(before[key], value) for key, value in task.video.backbone.state_dict().items())


def test_loading_beside_other_weights_is_refused() -> None:
    state = Task(make()).state_dict()
    with pytest.raises(FingerprintError, match=r"fingerprint .* load the same weights"):
        Task(make()).load_state_dict(state)  # random weights: others each time
    with pytest.raises(FingerprintError, match="frozen=false"):
        Task(make()).load_state_dict(Task(make(frozen=False)).state_dict())


def test_fingerprint_follows_weights_and_preprocessing(tmp_path: Path) -> None:
    encoder = make()
    path = save_weights(tmp_path / "vit.safetensors", encoder.backbone, encoder.params)
    same = make(weights=str(path))
    assert same.fingerprint() == encoder.fingerprint() == make(weights=str(path), chunk=3).fingerprint()
    others = [
        make(weights=str(path), pooling="cls"),
        make(weights=str(path), grid_size=3),
        make(weights=str(path), precision="bfloat16"),
        make(),
    ]
    with torch.no_grad():
        next(iter(same.backbone.parameters())).flatten()[0].add_(1e-3)
    found = {e.fingerprint() for e in [encoder, same, *others]}
    assert len(found) == 6
    bare = {key: value.contiguous() for key, value in encoder.backbone.state_dict().items()}
    save_file(bare, tmp_path / "bare.safetensors")
    shifted = make(weights=str(tmp_path / "bare.safetensors"), mean=[0.1] * 3)
    assert shifted.fingerprint() != encoder.fingerprint()


def test_chunks_do_not_change_the_numbers(clip: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    encoder = make()
    path = save_weights(tmp_path / "vit.safetensors", encoder.backbone, encoder.params)
    small = make(weights=str(path), chunk=3)
    # Smaller matrix products sum in another order.
    torch.testing.assert_close(small(*clip).frame_tokens, encoder(*clip).frame_tokens, rtol=1e-4, atol=1e-5)


def test_poolings_are_what_they_say(clip: tuple[torch.Tensor, torch.Tensor], tmp_path: Path) -> None:
    encoder = make()
    path = str(save_weights(tmp_path / "vit.safetensors", encoder.backbone, encoder.params))
    frames, mask = clip
    pixels = (frames[0].float() / 255 - 0.5) / 0.5  # vit_tiny's own mean and deviation
    tokens = encoder.backbone.forward_features(pixels)  # type: ignore[operator]
    picture = tokens[:, 1:].reshape(5, 4, 4, 32)
    cells = [picture[:, r : r + 2, c : c + 2].mean((1, 2)) for r in (0, 2) for c in (0, 2)]
    expected = {
        "cls": tokens[:, 0],
        "mean": tokens[:, 1:].mean(1),
        "grid": torch.cat([tokens[:, 0], *cells], dim=1),
    }
    for pooling, value in expected.items():
        found = make(weights=path, pooling=pooling)
        assert found.token_width == value.shape[1]
        features = found(frames, mask)
        torch.testing.assert_close(features.frame_tokens[0], value, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(features.pooled[0], value.mean(0), rtol=1e-4, atol=1e-5)
    assert (features.frame_tokens[1, 3:] == 0).all()


def test_positions_are_resampled_to_another_frame_size_and_classifiers_left_out(tmp_path: Path) -> None:
    weights = {key: value.contiguous() for key, value in make().backbone.state_dict().items()}
    save_file({**weights, "head.weight": torch.zeros(10, 32)}, tmp_path / "w.safetensors")
    encoder = make(weights=str(tmp_path / "w.safetensors"), frame_size=64)
    assert encoder(torch.zeros(1, 1, 3, 64, 64, dtype=torch.uint8), torch.ones(1, 1).bool()).pooled.isfinite().all()


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights file .*nowhere\.safetensors.*Offline"):
        make(weights=str(tmp_path / "nowhere.safetensors"))
    (tmp_path / "broken.safetensors").write_bytes(b"not a safetensors file")
    with pytest.raises(WeightsError, match=r"broken\.safetensors is not a readable"):
        make(weights=str(tmp_path / "broken.safetensors"))
    encoder = make()
    path = str(save_weights(tmp_path / "vit.safetensors", encoder.backbone, encoder.params))
    with pytest.raises(WeightsError, match=r"missing \['blocks\.2"):
        make(weights=path, kwargs={**SMALL, "depth": 3})
    with pytest.raises(WeightsError, match=r"proj\.bias is \(32,\) in the file and \(64,\) in"):
        make(weights=path, kwargs={**SMALL, "embed_dim": 64})
    with pytest.raises(WeightsError, match=r"trained with mean \[0\.5"):
        make(weights=path, mean=[0.1, 0.1, 0.1])


def test_pretrained_offline_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"pretrained weights for 'vit_tiny_patch16_224'.*HF_HOME"):
        build_video_encoder("vit", {"frame_size": 224})


def test_bad_settings_and_frames_are_refused(clip: tuple[torch.Tensor, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="no model 'vit_tinyy'"):
        make(model="vit_tinyy")
    with pytest.raises(ValueError, match="embed_dimm"):
        make(kwargs={"embed_dimm": 3})
    with pytest.raises(ValueError, match="pooling must be one of"):
        make(pooling="max")
    with pytest.raises(ValueError, match="no class token"):
        make(kwargs={**SMALL, "class_token": False, "global_pool": "avg"}, pooling="cls")
    with pytest.raises(ValueError, match="three values each"):
        make(mean=[0.5])
    with pytest.raises(ValueError, match=r"uint8 \(B, F, 3, 32, 32\), found torch\.float32"):
        make()(clip[0].float(), clip[1])


def test_says_which_weights_it_has(tmp_path: Path) -> None:
    encoder = make()
    assert "RANDOM" in encoder.weights_description
    path = save_weights(tmp_path / "vit.safetensors", encoder.backbone, encoder.params)
    assert str(path) in make(weights=str(path)).weights_description


def test_joint_pooling_is_the_heads_output_at_unit_length(clip: tuple[torch.Tensor, torch.Tensor]) -> None:
    encoder = make(pooling="joint", kwargs={**SMALL, "num_classes": 12})
    assert encoder.token_width == encoder.pooled_width == 12
    frames, mask = clip
    tokens = encoder(frames, mask).frame_tokens
    assert tokens.shape == (2, 5, 12)
    assert tokens[mask].norm(dim=1).tolist() == pytest.approx([1] * 8, abs=1e-5)
    pixels = (frames[0] / 255 - encoder.pixel_mean.view(3, 1, 1)) / encoder.pixel_std.view(3, 1, 1)
    expected = torch.nn.functional.normalize(encoder.backbone(pixels), dim=1)
    # The same operations, in float32, on another number of frames at once.
    torch.testing.assert_close(tokens[0], expected, atol=1e-5, rtol=0)


def test_joint_pooling_refuses_a_classifier(tmp_path: Path) -> None:
    encoder = make(pooling="joint", kwargs={**SMALL, "num_classes": 12})
    state = encoder.backbone.state_dict()
    save_file(state, tmp_path / "projection.safetensors")
    settings = {"pooling": "joint", "kwargs": {**SMALL, "num_classes": 12}}
    same = make(weights=str(tmp_path / "projection.safetensors"), **settings)
    assert same.fingerprint() == encoder.fingerprint()
    save_file({**state, "head.bias": torch.ones(12)}, tmp_path / "classifier.safetensors")
    with pytest.raises(WeightsError, match=r"needs a CLIP model with its image projection.*clip_quickgelu_224\.openai"):
        make(weights=str(tmp_path / "classifier.safetensors"), **settings)
    with pytest.raises(WeightsError, match="needs a CLIP model"):
        make(pooling="joint", kwargs={**SMALL, "num_classes": 0})
    headless = {name: value for name, value in state.items() if not name.startswith("head.")}
    save_file(headless, tmp_path / "headless.safetensors")
    with pytest.raises(WeightsError, match=r"missing \['head\.bias', 'head\.weight'\]"):
        make(weights=str(tmp_path / "headless.safetensors"), **settings)


def test_pretrained_joint_weights_bring_their_own_width() -> None:
    with pytest.raises(ValueError, match=r"leave kwargs\.num_classes out"):
        make(pooling="joint", model="vit_base_patch32_clip_224.openai", weights="pretrained", kwargs={"num_classes": 9})


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["grid", "mean", "cls"])
@pytest.mark.parametrize(
    ("model", "side", "mean", "std"),
    [
        ("vit_base_patch32_clip_224", 64, [0.4815, 0.4578, 0.4082], [0.2686, 0.2613, 0.2758]),
        ("vit_base_patch16_siglip_224", 32, [0.5] * 3, [0.5] * 3),
        ("vit_small_patch14_dinov2", 28, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("vit_small_patch14_reg4_dinov2", 28, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ("vit_small_patch16_dinov3", 32, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ],
)
def test_video_encoders_by_timm_name(
    model: str, side: int, mean: list[float], std: list[float], pooling: str, tmp_path: Path
) -> None:
    settings = {"model": model, "frame_size": side, "pooling": pooling, "kwargs": {"depth": 2}}
    if pooling == "cls" and "siglip" in model:
        with pytest.raises(ValueError, match="no class token"):
            make(**settings)
        return
    encoder = make(**settings, frozen=False).train()
    assert encoder.pixel_mean.tolist() == pytest.approx(mean, abs=1e-4)  # as published, to four digits
    assert encoder.pixel_std.tolist() == pytest.approx(std, abs=1e-4)
    frames = torch.randint(0, 256, (2, 3, 3, side, side), dtype=torch.uint8)
    mask = torch.tensor([[True] * 3, [True, False, False]])
    features = encoder(frames, mask)
    features.pooled.square().sum().backward()
    for name, weight in encoder.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name  # else several processes would wait for it
    assert not torch.equal(features.frame_tokens[0, 0], features.frame_tokens[0, 1])
    path = save_weights(tmp_path / "video encoder.safetensors", encoder.backbone, encoder.params)
    loaded = make(**settings, weights=str(path))
    assert loaded.fingerprint() == encoder.fingerprint()
    # One is in train mode, which these models have no use for; products of other shapes round otherwise.
    torch.testing.assert_close(loaded(frames, mask).pooled, features.pooled, rtol=1e-4, atol=1e-5)
    larger = make(**{**settings, "frame_size": 2 * side}, weights=str(path))
    assert larger(frames.repeat(1, 1, 1, 2, 2), mask).pooled.isfinite().all()
