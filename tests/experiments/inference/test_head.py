"""Saved heads: they predict what was fitted, calibrated on people whom they never saw; damage ends in one sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules.labels.label_column import positions
from experiments.adapt import main, run
from experiments.evaluation.features.target_features import EncoderSpec, TargetFeatures
from experiments.evaluation.held_out_labels import UnlabelledShards
from experiments.evaluation.methods import find_method
from experiments.evaluation.methods.registry import CellData
from experiments.evaluation.target_data import open_targets
from experiments.inference import InferenceError
from experiments.inference.calibration import fit_temperature, log_loss, temperatures_of_others
from experiments.inference.head import load_head
from experiments.inference.parts import channels_of, parts_of
from experiments.runtime.errors import UserError
from experiments.runtime.run_folder import run_folder
from lightning_modules.pretraining import ImuPretraining

Adapted = Any  # of conftest


@pytest.mark.parametrize("method", ["hybrid_logistic", "linear_probe", "handcrafted_logistic"])
def test_a_saved_head_predicts_as_the_method_of_the_evaluation(adapted: Adapted, method: str) -> None:
    config = adapted.config
    head = load_head(adapted.folders[method])
    (target,) = open_targets(config)
    table = target.shards.table
    model = ImuPretraining.load_pretrained(run_folder(config) / "checkpoints" / "last.ckpt")
    study = np.flatnonzero(target.sides(config.evaluation)[0])
    spec = EncoderSpec.of(config, target.shards, model)
    features = TargetFeatures(UnlabelledShards(target.shards), study, spec, model, 0, "cpu")
    classes = list(head.classes)
    labels = positions(table["activity"][study], classes)
    data = CellData(
        config, features, None, None, classes, study, labels, table["subject"][study], study, np.bincount(labels), 0
    )
    expected = find_method(method).fit(data)(features, study)
    expected = expected ** (1 / head.temperature)
    expected /= expected.sum(axis=1, keepdims=True)

    # The windows of the head, cut anew out of the recordings.
    from datamodules.sources.registry import make_source

    source = make_source("simulator", config.datasets["study"].source.params)
    starts, names = table["start_s"][study], table["recording"][study]
    for name in source.names()[:2]:
        stream = source.load(name).imu("head")
        found = {}
        for part in parts_of([stream], channels_of(stream.values), head.grid):
            windows, _ = part.cut(head.grid)
            for window, row in zip(windows, head.probabilities(windows), strict=True):
                found[round(window.start_s, 6)] = row
        mine = np.flatnonzero(names == name)
        again = np.stack([found[round(float(starts[i]), 6)] for i in mine])
        # Features in float32, and batches of other sizes: 1e-6 in a feature is less than 1e-5 in a probability.
        np.testing.assert_allclose(again, expected[mine], atol=1e-5)


def test_a_saved_head_equals_the_fitted_one(adapted: Adapted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept = []
    from experiments.inference import head as module

    save = module.save_head
    monkeypatch.setattr(module, "save_head", lambda head, folder: (kept.append(head), save(head, folder))[1])
    folder = run(adapted.config, "hybrid_logistic", folder=tmp_path / "head")
    (fitted,) = kept
    loaded = load_head(folder)
    features = np.random.default_rng(0).normal(size=(20, len(fitted.probe.standardisation.mean)))
    np.testing.assert_allclose(
        loaded.calibrated.probabilities(features), fitted.calibrated.probabilities(features), atol=1e-12
    )
    assert loaded.classes == fitted.classes
    assert loaded.window == fitted.window
    assert loaded.encoder is not None
    assert fitted.encoder is not None
    assert loaded.encoder.digest() == fitted.encoder.digest()


def test_a_head_needs_nothing_but_its_folder(adapted: Adapted, tmp_path: Path) -> None:
    folder = shutil.copytree(adapted.folders["hybrid_logistic"], tmp_path / "elsewhere")
    assert load_head(folder).encoder is not None
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pt", ".ckpt", ".joblib")]


def test_the_estimate_is_for_people_left_out_and_the_card_tells_it(adapted: Adapted) -> None:
    folder = adapted.folders["hybrid_logistic"]
    about = load_head(folder).about
    estimate = about["estimate"]
    assert list(estimate["subjects"]) == about["subjects"]
    assert len(about["subjects"]) == 4
    assert estimate["mean"] == pytest.approx(np.mean(list(estimate["subjects"].values())))
    assert estimate["low"] < estimate["mean"] < estimate["high"]
    assert estimate["chance"] < estimate["mean"]  # movement tells activities apart
    assert sum(map(sum, estimate["confusion"])) == sum(estimate["windows"].values())
    card = (folder / "README.md").read_text()
    assert "Simulated data" in card
    assert f"{100 * estimate['mean']:.1f} %" in card
    for name in (*about["subjects"], *load_head(folder).classes):
        assert name in card


def test_calibration_never_raises_the_log_loss_of_people_left_out(adapted: Adapted) -> None:
    for folder in adapted.folders.values():
        estimate = load_head(folder).about["estimate"]
        assert estimate["log_loss"] <= estimate["log_loss_uncalibrated"] + 1e-12


def test_the_temperature_of_overconfident_logits_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6000, 4)) * 2
    likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(4, p=row) for row in likely])
    # 6000 labels tell the temperature to about 2 %.
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.08)
    assert log_loss(3 * logits, labels, 3) < log_loss(3 * logits, labels)
    subjects = np.arange(6000) % 5
    np.testing.assert_allclose(temperatures_of_others(3 * logits, labels, subjects), 3, rtol=0.1)
    # An activity that nobody else shows can't be predicted: its logit is minus infinity.
    logits[:, 3] = -np.inf
    known = labels < 3
    assert 2 < fit_temperature(3 * logits[known], labels[known]) < 4.5


def test_damaged_heads_end_in_one_sentence(
    adapted: Adapted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from experiments.predict import main as predict

    whole = adapted.folders["hybrid_logistic"]
    content = json.loads((whole / "head.json").read_text())
    changes: dict[str, object] = {
        "format": "imu-video-har head 99",
        "method": "handcrafted_rf",
        "classes": ["walking"],
        "temperature": -1,
        "clip": "six",
        "window": {"duration_s": 4.0},
        "handcrafted": "0",
        "numbers": "0",
        "encoder": {"weights": "0"},
        "about": 3,
    }
    (tmp_path / "x.csv").write_text("ax,ay,az\n0,0,1\n0,0,1\n")
    for number, (key, value) in enumerate(changes.items()):
        folder = shutil.copytree(whole, tmp_path / str(number))
        (folder / "head.json").write_text(json.dumps({**content, key: value}))
        assert predict([str(folder), str(tmp_path / "x.csv"), "--acceleration", "ax,ay,az:g", "--rate", "50"]) == 1
        said = capsys.readouterr().err.strip()
        assert str(folder) in said, key
        assert len(said.splitlines()) == 1, said
    for name, damage in (
        ("head.json", lambda b: b[:50]),
        ("head.json", lambda b: b"[]"),
        ("head.safetensors", lambda b: b[:200]),
        ("head.safetensors", lambda b: b[:-8] + b"\0" * 8),
        ("encoder/model.safetensors", lambda b: b[:-4] + b"\1\2\3\4"),
        ("encoder/config.json", lambda b: b"{}"),
    ):
        folder = shutil.copytree(whole, tmp_path / "damaged", dirs_exist_ok=True)
        (folder / name).write_bytes(damage((folder / name).read_bytes()))
        with pytest.raises(InferenceError) as error:
            load_head(folder)
        assert "\n" not in str(error.value)
        shutil.rmtree(folder)
    with pytest.raises(InferenceError, match="no such folder"):
        load_head(tmp_path / "nothing")


def test_targets_and_people_that_cannot_be_used_are_named(adapted: Adapted, tmp_path: Path) -> None:
    from dataclasses import replace

    config = adapted.config
    with pytest.raises(UserError, match="did you mean 'new people'"):
        run(config, "linear_probe", "new peple", tmp_path / "head")
    with pytest.raises(UserError, match=r"evaluation\.targets is empty"):
        run(replace(config, evaluation=replace(config.evaluation, targets=[])), "linear_probe")


def test_one_person_gives_a_head_without_an_estimate(adapted: Adapted, tmp_path: Path) -> None:
    from dataclasses import replace

    config = adapted.config
    (target,) = config.evaluation.targets
    subject = load_head(adapted.folders["linear_probe"]).about["subjects"][0]
    alone = replace(target, test_where={"subject": [subject]})
    config = replace(config, evaluation=replace(config.evaluation, targets=[alone]))
    folder = run(config, "handcrafted_logistic", folder=tmp_path / "head")
    head = load_head(folder)
    assert head.about["estimate"]["mean"] is None
    assert head.temperature == 1
    assert "no estimate" in (folder / "README.md").read_text()


def test_the_command_says_the_estimate(adapted: Adapted, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from experiments.settings.load import to_yaml

    path = tmp_path / "experiment.yaml"
    path.write_text(to_yaml(adapted.config))
    arguments = [f"paths.runs={adapted.config.paths.runs}", f"paths.data={adapted.config.paths.data}"]
    output = ["--output", str(tmp_path / "head"), "--method", "handcrafted_logistic"]
    assert main([str(path), *arguments, *output]) == 0
    assert "On people whom it never saw" in capsys.readouterr().out
    assert main([str(path), "run.nonsense=1"]) == 2
