from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

open_clip = pytest.importorskip("open_clip")

from helpers.made_clip import SIZE, VIT, WIDTH, MadeClip, make_clip  # noqa: E402

from encoders.registry import build_video_encoder  # noqa: E402
from encoders.text.clip import TEMPLATES, ClipText, TextEncoderError  # noqa: E402
from encoders.video.vit import VideoVit  # noqa: E402


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> MadeClip:
    return make_clip(tmp_path_factory.mktemp("clip"), "made-clip")


@pytest.fixture(scope="module")
def text(clip: MadeClip) -> ClipText:
    return ClipText(clip.name, str(clip.weights))


def video_encoder(clip: MadeClip, model: str = "vit_base_patch32_clip_224", **params: Any) -> VideoVit:
    settings = {"weights": str(clip.weights), "pooling": "joint", "frame_size": SIZE, "kwargs": VIT, **params}
    made = build_video_encoder("vit", {"model": model, **settings})
    assert isinstance(made, VideoVit)
    return made


def test_names_are_the_mean_of_open_clips_sentences(clip: MadeClip, text: ClipText) -> None:
    names = ["walking_slow", "sit", "  lie__down "]
    found = text.embed(names)
    assert found.shape == (3, WIDTH)
    tokenise = open_clip.get_tokenizer(clip.name)
    for row, spoken in zip(found, ("walking slow", "sit", "lie down"), strict=True):
        with torch.no_grad():
            encoded = clip.model.encode_text(tokenise([t.format(spoken) for t in TEMPLATES]), normalize=True)
        # The same operations in another batch: float32 rounding.
        torch.testing.assert_close(row, F.normalize(encoded.mean(0), dim=0), atol=1e-5, rtol=0)
    assert torch.equal(found[[1, 0]], text.embed(["sit", "walking_slow"]))  # each name for itself
    assert found.norm(dim=1).tolist() == pytest.approx([1] * 3, abs=1e-5)
    assert not found.requires_grad
    assert text.embed([]).shape == (0, WIDTH)


def test_pictures_of_both_libraries_are_equal(clip: MadeClip) -> None:
    frames = torch.randint(0, 256, (2, 3, 3, SIZE, SIZE), dtype=torch.uint8)
    mask = torch.tensor([[True] * 3, [True, False, True]])
    found = video_encoder(clip)(frames, mask).frame_tokens
    visual = clip.model.visual
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (visual.image_mean, visual.image_std))
    with torch.no_grad():
        expected = clip.model.encode_image((frames[mask] / 255 - mean) / std, normalize=True)
    # The same weights in two implementations: float32 rounding through two blocks, of unit vectors.
    torch.testing.assert_close(found[mask], expected, atol=1e-5, rtol=0)
    assert not found[~mask].any()


@pytest.mark.parametrize("size", [SIZE, 48])  # at 48 px, both resample the position embeddings
def test_the_twin_is_known_at_any_size(clip: MadeClip, size: int) -> None:
    ClipText(clip.name, str(clip.weights), size).check_same_model(video_encoder(clip, frame_size=size))


@pytest.mark.parametrize(
    "params",
    [
        {"model": "vit_base_patch32_clip_quickgelu_224"},
        {"weights": "random"},
        {"mean": [0.1, 0.1, 0.1]},
        {"pooling": "cls", "kwargs": {**VIT, "embed_dim": WIDTH}, "weights": "random"},
    ],
    ids=["activation", "weights", "normalisation", "pooling"],
)
def test_anything_but_the_twin_is_refused(clip: MadeClip, text: ClipText, params: dict[str, Any]) -> None:
    with pytest.raises(TextEncoderError, match="embed the same picture differently"):
        text.check_same_model(video_encoder(clip, **params))


def test_another_width_is_refused(clip: MadeClip, text: ClipText) -> None:
    with pytest.raises(TextEncoderError, match="frames are 48 wide, text by 'made-clip' 24"):
        text.check_same_model(video_encoder(clip, pooling="cls"))


def test_the_fingerprint_is_that_of_the_texts_weights(clip: MadeClip, text: ClipText, tmp_path: Path) -> None:
    state = clip.model.state_dict()
    moved = tmp_path / "moved.pt"
    torch.save(state, moved)
    assert ClipText(clip.name, str(moved)).fingerprint() == text.fingerprint()
    state["text_projection"] = state["text_projection"] + 1e-6
    torch.save(state, moved)
    assert ClipText(clip.name, str(moved)).fingerprint() != text.fingerprint()


def test_random_weights_are_asked_for_and_said(clip: MadeClip) -> None:
    state = torch.get_rng_state()
    made = ClipText(clip.name, "random")
    assert "RANDOM" in made.description
    assert torch.equal(torch.get_rng_state(), state)
    assert made.fingerprint() == ClipText(clip.name, "random").fingerprint()


def test_weights_that_cannot_be_had_are_errors(clip: MadeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TextEncoderError, match=r"no model 'ViT-B-32-quick'; did you mean .*ViT-B-32-quickgelu"):
        ClipText("ViT-B-32-quick", "openai")
    with pytest.raises(TextEncoderError, match=r"tags \(.*laion2b_s34b_b79k.*found 'openia'.*weights=random"):
        ClipText("ViT-B-32", "openia")
    with pytest.raises(TextEncoderError, match="found ''"):
        ClipText("ViT-B-32", "")
    with pytest.raises(TextEncoderError, match=r"no weights file .*none\.safetensors"):
        ClipText(clip.name, str(tmp_path / "none.safetensors"))
    wrong = tmp_path / "weights.npz"
    wrong.write_bytes(b"x")
    with pytest.raises(TextEncoderError, match=r"weights\.npz: expected a file that ends in \.safetensors"):
        ClipText(clip.name, str(wrong))
    state = clip.model.state_dict()
    del state["text_projection"]
    torch.save(state, tmp_path / "part.pt")
    with pytest.raises(TextEncoderError, match=r"Missing key.*text_projection"):
        ClipText(clip.name, str(tmp_path / "part.pt"))
    for name in ("bad.pt", "bad.safetensors"):
        (tmp_path / name).write_bytes(b"no weights" * 20)
        with pytest.raises(TextEncoderError, match="could not be loaded") as refused:
            ClipText(clip.name, str(tmp_path / name))
        assert "weights_only" not in str(refused.value)  # torch's advice to run what is in the file

    def offline(*_: object, **__: object) -> None:
        raise RuntimeError("Failed to download weights for tag 'openai'")

    monkeypatch.setattr(open_clip, "create_model", offline)
    with pytest.raises(TextEncoderError, match=r"Failed to download.*Offline.*HF_HOME"):
        ClipText("ViT-B-32-quickgelu", "openai")


def test_without_open_clip_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(TextEncoderError, match=r"open_clip_torch, which is not installed: .*'\.\[clip\]'"):
        ClipText("ViT-B-32", "random")
