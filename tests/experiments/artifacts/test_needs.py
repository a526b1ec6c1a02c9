"""Needs of an experiment: missing ones are said before anything is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.made_paper import make_mmea, make_parkinsons

from experiments.artifacts.needs import need_dataset, need_weights
from experiments.artifacts.shards import build_dataset
from experiments.settings.load import load
from experiments.settings.schema import Config

Make = Callable[..., Config]
FIVE = ["standing", "walking", "sit_stand", "downstairs", "fall"]


@pytest.fixture(scope="module")
def mmea(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets") / "mmea"
    make_mmea(root, seconds=1.0)
    return root


def experiment(root: Path, *more: str) -> Config:
    return load("ego4d_to_mmea", [f"datasets.mmea.source.params.root={root}", *more])


def test_a_set_that_is_there(mmea: Path) -> None:
    need = need_dataset(experiment(mmea), "mmea", FIVE)
    assert (need.found, need.missing) == ("48 recordings", "")


def test_a_folder_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    need = need_dataset(experiment(tmp_path / "nowhere"), "mmea", FIVE)
    assert not need.found
    assert "datasets.mmea.source.params.root" in need.what
    assert str(tmp_path / "nowhere") in need.missing


def test_activities_by_other_names_are_told_with_those_that_are_there(mmea: Path) -> None:
    need = need_dataset(experiment(mmea), "mmea", [*FIVE, "stand"])
    assert "no recording shows stand; there are: downstairs, drinking" in need.missing


def test_one_bad_recording_is_no_bad_set_but_five_are(mmea: Path, tmp_path: Path) -> None:
    make_mmea(tmp_path / "set", seconds=1.0)
    files = sorted((tmp_path / "set" / "sensor" / "1_upstairs").glob("*.csv"))
    files[0].write_text("no numbers,,,,,\n")
    assert need_dataset(experiment(tmp_path / "set"), "mmea").found
    for path in files[:5]:
        path.write_text("no numbers,,,,,\n")
    assert f"{files[0].name}, line 1" in need_dataset(experiment(tmp_path / "set"), "mmea").missing


def test_subjects_that_nobody_is(mmea: Path) -> None:
    need = need_dataset(experiment(mmea, "datasets.mmea.subjects=[somebody]"), "mmea")
    assert "no recording of the subjects" in need.missing


def test_a_manifest_is_read_whole(tmp_path: Path) -> None:
    make_parkinsons(tmp_path / "pd", people=2, each_s=2.0)
    config = load(
        "ego4d_to_parkinsons", [f"datasets.parkinsons.source.params.path={tmp_path / 'pd' / 'manifest.yaml'}"]
    )
    assert need_dataset(config, "parkinsons", config.evaluation.targets[0].activities).found == "2 recordings"
    assert "no recording shows freezing" in need_dataset(config, "parkinsons", ["freezing"]).missing


def test_shards_that_are_built_need_no_recordings(tiny: Make, tmp_path: Path) -> None:
    config = tiny(f"paths.data={tmp_path}")
    assert need_dataset(config, "pretraining").found == "2 recordings"
    build_dataset(config, "pretraining")
    assert need_dataset(config, "pretraining").found == "its shards are built already"


def test_weights(tiny: Make, tmp_path: Path) -> None:
    assert "RANDOM" in need_weights(tiny()).found
    assert need_weights(tiny("video_encoder.weights=self_supervised")).found
    need = need_weights(tiny(f"video_encoder.weights={tmp_path / 'none.safetensors'}"), "--clip")
    assert "none.safetensors" in need.missing
    assert "--clip PATH" in need.what
