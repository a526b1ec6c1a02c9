"""Encoders by name: the shipped one, those of others, and Hugging Face, whose servers are faked here."""

from __future__ import annotations

import json
import shutil
import sys
import types
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_encoders import PEOPLE, small_encoder
from helpers.real_data import real_data

from encoders import load_imu_encoder
from experiments.inference import InferenceError
from experiments.inference.encoder_files import seen_sets
from experiments.inference.named_encoders import shipped, shipped_folder

LARGEST = 5_000_000  # bytes of a shipped encoder


def walk(seconds: float = 12.0, rate: float = 100.0) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    moves = np.sin(2 * np.pi * np.outer(t, [2.0, 1.0, 2.0, 1.0, 1.5, 2.5]))
    return moves + np.array([0, 0, 9.80665, 0, 0, 0])


def test_the_shipped_encoder_loads_by_its_name_wherever_the_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    encoder = load_imu_encoder("default")
    found = encoder.embed(walk(), rate_hz=100, acceleration_unit="m/s^2")
    assert found.pooled.shape == (2, encoder.pooled_width)
    assert np.isfinite(found.pooled).all()


@pytest.mark.parametrize("name", shipped())
def test_shipped_encoders_are_package_data_with_a_card_and_a_list_of_what_they_saw(name: str) -> None:
    folder = resources.files("encoders") / "pretrained" / name
    assert {entry.name for entry in folder.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert sum(len(entry.read_bytes()) for entry in folder.iterdir()) <= LARGEST
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    for entry in config["seen"]:
        assert set(entry) == {"dataset", "subjects", "labels"}
        assert f"`{entry['dataset']}`" in card
    # Sets without a licence, or for other than commercial use alone.
    assert not {"utd_mhad", "sisfall", "weda_fall", "daphnet", "bandai"} & {
        entry["dataset"] for entry in config["seen"]
    }
    with shipped_folder(name) as path:
        assert (path / "config.json").is_file()


def test_a_folder_of_ones_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = small_encoder()
    mine.save_pretrained("default")
    assert load_imu_encoder("default").digest() == mine.digest()


def test_what_is_saved_is_what_is_loaded_and_a_card_of_ones_own_is_kept(tmp_path: Path) -> None:
    encoder = small_encoder()
    folder = encoder.save_pretrained(tmp_path / "one")
    assert {path.name for path in folder.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    again = load_imu_encoder(folder)
    assert again.config == encoder.config
    assert again.digest() == encoder.digest()
    card = (folder / "README.md").read_text()
    assert "| `sp_sw_har` | s2, s10 | no |" in card
    assert "Simulated data" in card
    (folder / "README.md").write_text("mine")
    encoder.save_pretrained(folder)
    assert (folder / "README.md").read_text() == "mine"


def test_what_was_seen_is_listed_by_data_set() -> None:
    assert seen_sets(PEOPLE, True) == [
        {"dataset": "simulator", "subjects": ["sim_h_000"], "labels": True},
        {"dataset": "sp_sw_har", "subjects": ["s2", "s10"], "labels": True},
    ]
    assert seen_sets(None, False) is None


def test_files_from_before_that_list_have_their_people(tmp_path: Path) -> None:
    folder = small_encoder().save_pretrained(tmp_path)
    content = json.loads((folder / "config.json").read_text())
    del content["seen"], content["digest"]  # they had neither
    (folder / "config.json").write_text(json.dumps(content))
    assert load_imu_encoder(folder).config.seen == seen_sets(PEOPLE, False)
    for wrong in ("all", [{"dataset": "x"}], [{"dataset": "x", "subjects": "some", "labels": False}]):
        (folder / "config.json").write_text(json.dumps({**content, "seen": wrong}))
        with pytest.raises(InferenceError, match="damaged: in 'seen' expected"):
            load_imu_encoder(folder)


def test_unknown_names_say_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InferenceError, match=r"did you mean 'default'.*limu_bert_x"):
        load_imu_encoder("defualt")
    with pytest.raises(InferenceError, match=r"expected load_imu_encoder\('limu_bert_x', weights="):
        load_imu_encoder("limu_bert_x")
    with pytest.raises(InferenceError, match="'default' has its own"):
        load_imu_encoder("default", weights="x.safetensors")
    with pytest.raises(InferenceError, match=r"limu_bert_x: no file 'x\.safetensors'"):
        load_imu_encoder("limu_bert_x", weights="x.safetensors")


def test_published_weights_of_limu_bert_x() -> None:
    file = real_data("limu-bert-x") / "limu_bert_x.safetensors"
    encoder = load_imu_encoder("limu_bert_x", weights=file)
    assert encoder.config.seen is None  # 60,000 couriers, not by name
    found = encoder.embed(walk(), rate_hz=100, acceleration_unit="m/s^2")
    assert found.pooled.shape == (2, 72)
    # 20 Hz is the model's own rate: twelve seconds at 20 Hz are met by the same samples.
    slow = encoder.embed(walk(rate=20.0), rate_hz=20, acceleration_unit="m/s^2")
    np.testing.assert_allclose(found.pooled, slow.pooled, atol=0.05)  # the low-pass from 100 Hz takes a little


class FakeHub(types.ModuleType):
    """What of huggingface_hub is used, with a folder in the place of its servers."""

    def __init__(self, root: Path) -> None:
        super().__init__("huggingface_hub")
        self.root = root
        self.said: list[Any] = []
        hub = self

        class HfApi:
            def __init__(self, token: str | None = None) -> None:
                hub.said.append(("token", token))

            def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> None:
                hub.said.append(("private", private))
                (hub.root / repo_id).mkdir(parents=True, exist_ok=exist_ok)

            def upload_folder(self, repo_id: str, folder_path: str, commit_message: str) -> str:
                shutil.copytree(folder_path, hub.root / repo_id, dirs_exist_ok=True)
                hub.said.append(("message", commit_message))
                return f"https://huggingface.co/{repo_id}/commit/1"

        self.HfApi = HfApi

    def snapshot_download(self, repo_id: str, allow_patterns: list[str]) -> str:
        if not (self.root / repo_id).is_dir():
            raise OSError(f"404: {repo_id} is not there\nand more")
        assert all((self.root / repo_id / name).is_file() for name in allow_patterns)
        return str(self.root / repo_id)


def test_pushed_and_loaded_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(tmp_path / "servers")
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.chdir(tmp_path)
    encoder = small_encoder()
    assert encoder.push("somebody/gait", token="t", message="first").endswith("somebody/gait/commit/1")
    assert hub.said == [("token", "t"), ("private", True), ("message", "first")]
    assert load_imu_encoder("somebody/gait").digest() == encoder.digest()
    with pytest.raises(InferenceError, match=r"Hugging Face: 404: somebody/else is not there$"):
        load_imu_encoder("somebody/else")
    with pytest.raises(InferenceError, match="expected a repository as OWNER/NAME; found 'gait'"):
        encoder.push("gait")
    # A path below a folder that is here is a path, and is looked for nowhere else.
    (tmp_path / "somebody").mkdir()
    with pytest.raises(InferenceError, match="no such file or folder"):
        load_imu_encoder("somebody/gait")


def test_without_huggingface_hub_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InferenceError, match=r"pip install 'imu-video-har\[hub\]'"):
        load_imu_encoder("somebody/gait")
    with pytest.raises(InferenceError, match=r"pip install 'imu-video-har\[hub\]'"):
        small_encoder().push("somebody/gait")


def test_an_encoder_that_saw_nobody_by_name_says_so(tmp_path: Path) -> None:
    encoder = small_encoder()
    encoder.config = replace(encoder.config, pretraining_subjects=None, seen=None)
    assert "Not known" in (encoder.save_pretrained(tmp_path) / "README.md").read_text()
    assert load_imu_encoder(tmp_path).config.seen is None
