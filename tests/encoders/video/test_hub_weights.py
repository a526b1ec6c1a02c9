"""Weights of transformers' models: whole or not at all, and errors that say what to do."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
from helpers.made_video_models import MAE, NAMES, SMALL, make_tubelets, saved_model

from core.registry import UnknownNameError
from encoders.registry import build_video_encoder
from encoders.video.hub_weights import IMAGENET_MEAN, MissingPackageError
from encoders.weights import WeightsError

pytest.importorskip("transformers")


@pytest.mark.parametrize("name", NAMES)
def test_weights_from_a_folder_a_file_and_a_file_with_its_config(name: str, tmp_path: Path) -> None:
    saved_model(tmp_path / "a", name)
    folder = make_tubelets(name, weights=str(tmp_path / "a"))
    file = make_tubelets(name, weights=str(tmp_path / "a" / "model.safetensors"))
    (tmp_path / "b").mkdir()
    bare = (tmp_path / "a" / "model.safetensors").rename(tmp_path / "b" / "bare.safetensors")
    config = {**SMALL[name], **({"use_mean_pooling": False} if name == "video_mae" else {})}
    alone = make_tubelets(name, weights=str(bare), config=config)
    assert folder.fingerprint() == file.fingerprint() == alone.fingerprint()
    assert str(tmp_path / "a") in folder.weights_description
    assert "RANDOM" in make_tubelets(name).weights_description


def test_normalisation_is_that_of_the_file_beside_the_weights(tmp_path: Path) -> None:
    saved_model(tmp_path, "video_mae")
    assert make_tubelets("video_mae", weights=str(tmp_path)).pixel_mean.tolist() == pytest.approx(IMAGENET_MEAN)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]}')
    encoder = make_tubelets("video_mae", weights=str(tmp_path))
    assert encoder.pixel_mean.tolist() == pytest.approx([0.5, 0.4, 0.3])
    assert encoder.pixel_std.tolist() == pytest.approx([0.2, 0.2, 0.1])
    with pytest.raises(ValueError, match="std above zero"):
        make_tubelets("video_mae", weights=str(tmp_path), std=[0.0, 1.0, 1.0])


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_do_not_fit_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights folder or file .*nowhere.*weights=random"):
        make_tubelets(name, weights=str(tmp_path / "nowhere"))
    model = saved_model(tmp_path / "a", name)
    other = NAMES[1 - NAMES.index(name)]
    with pytest.raises(WeightsError, match="model_type is"):
        make_tubelets(other, weights=str(tmp_path / "a"))
    with pytest.raises(ValueError, match=r"leave config out"):
        make_tubelets(name, weights=str(tmp_path / "a"), config=SMALL[name])
    state = model.state_dict()
    lost = next(
        key
        for key in state
        if "encoder.layer.1" in key and key.endswith("norm1.weight" if name == "vjepa2" else "layernorm_after.weight")
    )
    model.save_pretrained(tmp_path / "b", state_dict={k: v for k, v in state.items() if k != lost})
    with pytest.raises(WeightsError, match=r"missing \['encoder\.layer\.1\."):
        make_tubelets(name, weights=str(tmp_path / "b"))
    (tmp_path / "b" / "model.safetensors").write_bytes(b"not a safetensors file")
    with pytest.raises(WeightsError, match=str(tmp_path / "b")):
        make_tubelets(name, weights=str(tmp_path / "b"))
    with pytest.raises(WeightsError, match="is not a readable safetensors file"):
        make_tubelets(name, weights=str(tmp_path / "b" / "model.safetensors"))
    (tmp_path / "b" / "model.safetensors").rename(tmp_path / "b" / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"no \.safetensors file in .*refs/pr/1"):
        make_tubelets(name, weights=str(tmp_path / "b"))


def test_a_config_with_fewer_layers_than_the_weights_is_refused(tmp_path: Path) -> None:
    saved_model(tmp_path, "video_mae")
    bare = (tmp_path / "model.safetensors").rename(tmp_path.parent / f"{tmp_path.name}.safetensors")
    for config, message in (
        ({**MAE, "use_mean_pooling": False, "num_hidden_layers": 1}, r"unexpected \['encoder\.layer\.1"),
        ({**MAE, "use_mean_pooling": False, "hidden_size": 48}, "does not fit video_mae"),
        (MAE, r"unexpected \['layernorm\.bias"),
    ):
        with pytest.raises(WeightsError, match=message):
            make_tubelets("video_mae", weights=str(bare), config=config)


def test_pretrained_offline_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"'MCG-NJU/videomae-base-ssv2' are not available.*HF_HOME"):
        build_video_encoder("video_mae", {})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *arguments: Any) -> Any:
        if name.startswith("transformers"):
            raise ImportError(f"No module named '{name}'")
        return builtins.__import__(name, *arguments)

    monkeypatch.setattr("encoders.video.hub_weights.importlib.import_module", refuse)
    with pytest.raises(MissingPackageError, match=r"'video_mae' needs the package transformers.*\[transformers\]"):
        make_tubelets("video_mae")


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"'hiden_size'; did you mean 'hidden_size'"):
        make_tubelets("video_mae", config={"hiden_size": 24})
    with pytest.raises(ValueError, match=r"config: .*hidden_size.*expected int"):
        make_tubelets("video_mae", config={"hidden_size": "wide"})
    with pytest.raises(ValueError, match="precision must be one of"):
        make_tubelets("video_mae", precision="half")
    with pytest.raises(ValueError, match="chunk and frame_size must be positive"):
        make_tubelets("vjepa2", chunk=0)
    with pytest.raises(ValueError, match=r"image_size must be square, found \[32, 64\]"):
        make_tubelets("video_mae", config={**MAE, "image_size": [32, 64]})
