"""Readiness: what a run needs is looked for before anything is built, and said in a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from experiments.artifacts.readiness import evaluation_problems, training_problems
from experiments.artifacts.shards import build_dataset
from experiments.settings.schema import Config

Make = Callable[..., Config]


def test_what_is_ready_has_no_problem_and_nothing_is_built(tiny_in: Make, tmp_path: Path) -> None:
    config = tiny_in(tmp_path / "runs", f"paths.data={tmp_path / 'data'}")
    assert training_problems(config) == []
    assert training_problems(tiny_in(tmp_path, "video_encoder.weights=self_supervised")) == []
    assert not (tmp_path / "data").exists()


def test_weights_must_be_there_be_weights_and_fit(tiny: Make, tmp_path: Path) -> None:
    cut, other = tmp_path / "cut.safetensors", tmp_path / "other.safetensors"
    cut.write_bytes(b"\x10\x00")
    save_file({"blocks.0.attn.qkv.weight": torch.zeros(3, 3)}, other)
    for path, said in (
        (tmp_path / "none.safetensors", "there is no weights file"),
        (cut, "is not a readable safetensors file"),
        (other, "doesn't fit the timm model"),
    ):
        (problem,) = training_problems(tiny(f"video_encoder.weights={path}"))
        assert problem.startswith("video encoder: ")
        assert said in problem
        assert str(path) in problem
        assert "\n" not in problem
        assert "preset=none" not in problem  # there is no preset to do without


def test_a_preset_comes_with_the_way_to_do_without(tiny: Make, tmp_path: Path) -> None:
    preset = ("video_encoder.preset=dinov2", f"video_encoder.weights={tmp_path / 'none.safetensors'}")
    (problem,) = training_problems(tiny(*preset))
    assert "Or set video_encoder.preset=none, which keeps the experiment's own video encoder instead of" in problem


def test_what_learns_nothing_from_video_needs_no_video_encoder(tiny: Make) -> None:
    assert training_problems(tiny("system=no_video", "video_encoder.weights=/nowhere")) == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{name: utd_mhad, params: {root: /nowhere/utd}}", "/nowhere/utd"),
        ("{name: manifest, params: {path: /nowhere/study.yaml}}", "/nowhere/study.yaml"),
    ],
)
def test_recordings_must_be_there(tiny: Make, source: str, said: str) -> None:
    (problem,) = evaluation_problems(tiny(f"datasets.target.source={source}", "evaluation.targets=[{dataset: target}]"))
    assert problem.startswith("data set 'target'")
    assert said in problem
    assert "\n" not in problem


def test_shards_that_are_built_need_no_recordings(tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny()
    build_dataset(config, "pretraining")

    def gone(*_: object) -> None:
        raise AssertionError("the recordings were looked for")

    monkeypatch.setattr("datamodules.sources.simulator.Simulator.names", gone)
    assert training_problems(config) == []


def test_weights_of_others_must_be_there(tiny: Make) -> None:
    config = tiny("evaluation.external={limu: {encoder: limu_bert_x, weights: /nowhere/limu.safetensors}}")
    assert evaluation_problems(config) == ["evaluation.external.limu: no file '/nowhere/limu.safetensors'"]
