"""Each way in which a result could be better than it should be, planted, and caught."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.fake_shards import ACTIVITIES, FakeShards
from helpers.made_cells import make_cell, make_config, make_features, make_model
from helpers.made_protocol import make_target, run

from datamodules.shards.concat import ConcatShards
from experiments import eval_ood
from experiments.evaluation import opening, plan, targets, unit_computation
from experiments.evaluation.audit.checks import audit_target
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.held_out_labels import HeldOutLabels
from experiments.evaluation.methods import CellData, Method, Predict, find_method
from experiments.evaluation.protocol import run_protocol
from experiments.evaluation.splits import Fold, LeakError, make_folds
from experiments.evaluation.targets import System, Target
from experiments.settings.evaluation import EvaluationConfig, TargetConfig


def planted(monkeypatch: pytest.MonkeyPatch, fit: Any) -> None:
    monkeypatch.setattr(plan, "find_contender", lambda name: Method(name, fit, needs_labels=True))


def test_a_person_on_both_sides_of_a_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = make_folds

    def leaking(*args: Any) -> list[Fold]:
        folds = honest(*args)
        for fold in folds:
            fold.pool[0] = fold.test[0]
        return folds

    monkeypatch.setattr(targets, "make_folds", leaking)
    with pytest.raises(LeakError, match=r"subjects give labels and are tested: fake/[123]"):
        run(make_config(methods=["majority"]), FakeShards())


@pytest.mark.parametrize("shots", [{"shots": [2]}, {"shots": [], "subject_shots": [1]}])
def test_a_tested_window_among_those_drawn(monkeypatch: pytest.MonkeyPatch, shots: dict[str, Any]) -> None:
    """The folds are right; what is drawn from them is not."""
    shards = FakeShards()

    def leaking(table: Any, candidates: Any, *_: Any) -> Any:
        everybody = np.arange(shards.n_windows)
        return everybody if shots["shots"] == [] else (everybody[:8], [])

    monkeypatch.setattr(unit_computation, "draw_subjects" if shots["shots"] == [] else "draw_support", leaking)
    with pytest.raises(LeakError, match="subjects give labels and are tested: fake/1"):
        run(make_config(methods=["handcrafted_rf"], draws=1, **shots), shards)


def test_the_same_person_under_two_names_of_sets_is_one_person() -> None:
    """Labels from the head, tests on the chest: without a look at who it is, everyone would be on both sides."""
    chest, head = FakeShards(), FakeShards(seed=1)
    joined = ConcatShards([("chest", chest), ("head", head)])  # type: ignore[list-item]
    target = Target(TargetConfig("made", "chest", support=["head"]), joined)
    config = make_config(methods=["handcrafted_rf"], shots=[], subject_shots=[2], draws=1)
    results = run_protocol(config, [target], [System()], lambda _: None, lambda _: None, lambda *_: None)
    assert [set(r.windows_by_subject) for r in results] == [{"1", "2"}, {"3", "4"}]
    assert {r.support_windows for r in results} == {48}  # of the other two


def test_a_method_that_asks_for_the_tested_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    def cheats(data: CellData) -> Predict:
        def predict(features: TargetFeatures, windows: Any) -> Any:
            truth = features.shards.table["activity"][windows]
            return np.eye(4)[[ACTIVITIES.index(str(name)) for name in truth]]

        return predict

    planted(monkeypatch, cheats)
    with pytest.raises(LeakError, match="labels of its support only"):
        run(make_config(methods=["cheats"], shots=[1], draws=1), FakeShards())


def test_an_epoch_chosen_by_the_tested_windows() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(40) % 4
    held_out = HeldOutLabels(truth, np.repeat(["1", "2"], 20), 4, None, 0.01, ranking=False)
    epochs = [rng.dirichlet(np.ones(4), 40) for _ in range(5)]
    held_out.score(epochs[0])
    with pytest.raises(LeakError, match="scored a second time"):
        max(epochs, key=lambda scores: held_out.score(scores).metrics["accuracy"])


def test_tested_windows_are_scored_once_a_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    honest, calls = HeldOutLabels.score, []
    monkeypatch.setattr(HeldOutLabels, "score", lambda self, scores: calls.append(self) or honest(self, scores))
    shards = FakeShards()
    config = make_config(
        methods=["majority", "linear_probe", "finetune_tuned"], shots=[2, 6], draws=2, draws_trained=1,
        finetune_min_steps=2, finetune_epochs=1, finetune_rates=[1e-4, 1e-3], perturbations=["noise=1"],
    )  # fmt: skip
    results = run(config, shards, make_model(shards))
    assert len(calls) == len(results) == len({id(held_out) for held_out in calls})
    # Choosing rates looked at the support's people alone.
    assert {r.cell.perturbation for r in results} == {"", "noise=1"}


def test_the_same_window_under_two_people() -> None:
    shards = FakeShards()
    target, evaluation = make_target(shards), EvaluationConfig(folds=2)
    assert not any("duplicate" in line or "same" in line for line in audit_target(target, evaluation))
    mine, other = (int(np.flatnonzero(shards.table["subject"] == name)[0]) for name in ("1", "4"))
    shards._imu[other] = shards._imu[mine]
    with pytest.raises(LeakError, match="r0"):
        audit_target(target, evaluation)
    allowed = EvaluationConfig(folds=2, allow_leaks=True)
    assert any("a leak, allowed" in line for line in audit_target(target, allowed))


@pytest.mark.parametrize("allowed", [False, True])
def test_the_command_refuses_the_same_window_under_two_people(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str], allowed: bool
) -> None:
    shards = FakeShards(per_class=12)
    mine, other = (int(np.flatnonzero(shards.table["subject"] == name)[3]) for name in ("1", "4"))
    shards._imu[other] = shards._imu[mine]
    monkeypatch.setattr(opening, "open_targets", lambda config: [make_target(shards)])
    settings = tmp_path / "leaking.yaml"
    settings.write_text(
        "datasets: {fake: {}}\n"
        "evaluation: {targets: [{name: fake, dataset: fake}], methods: [majority], bootstrap: 100, map_windows: 0}\n"
    )
    arguments = [str(settings), f"paths.runs={tmp_path}", f"evaluation.allow_leaks={allowed}"]
    assert eval_ood.main(arguments) == (0 if allowed else 1)
    folder = tmp_path / "leaking" / "default"
    if allowed:
        assert "a leak, allowed" in (folder / "results.md").read_text()
    else:
        error = capsys.readouterr().err
        assert f"recording r{mine} (subject 1)" in error
        assert f"recording r{other} (subject 4)" in error
        assert not (folder / "cells.jsonl").exists()
        assert not (folder / "results.csv").exists()


@pytest.mark.parametrize("where", ["last sample", "length", "channel mask"])
def test_a_label_that_can_be_read_off(where: str) -> None:
    shards = FakeShards(per_class=12)
    codes = np.array([ACTIVITIES.index(str(name)) for name in shards.table["activity"]])
    if where == "last sample":
        shards._imu[:, -1, 5] = codes
    elif where == "length":
        for window, code in enumerate(codes):
            shards.sample_mask[window, len(shards.sample_mask[0]) - 1 - code :] = False
            shards._imu[window][~shards.sample_mask[window]] = 0
    else:
        for window, code in enumerate(codes):
            shards.channel_mask[window, 2 + code] = False
            shards._imu[window][:, 2 + code] = 0
    with pytest.raises(LeakError, match="target 'fake'"):
        audit_target(make_target(shards), EvaluationConfig(folds=2))


def test_overlapping_windows_are_counted_once() -> None:
    shards = FakeShards()
    shards.table["recording"] = shards.table["subject"].copy()
    shards.table["start_s"] = np.arange(shards.n_windows) * shards.settings.duration_s / 2
    tested = np.concatenate([fold.test for fold in make_target(shards).folds(EvaluationConfig(folds=2))])
    starts, owner = shards.table["start_s"][tested], shards.table["recording"][tested]
    for name in np.unique(owner):
        assert np.diff(np.sort(starts[owner == name])).min() >= shards.settings.duration_s - 1e-9
    assert len(tested) == shards.n_windows / 2


def test_a_checkpoint_that_saw_the_tested_people_is_refused_and_one_that_saw_the_others_is_not() -> None:
    shards = FakeShards()
    sides: dict[str, Any] = {"test_where": {"subject": ["1", "2"]}, "support_where": {"subject": ["3", "4"]}}
    config = make_config(methods=["linear_probe"], shots=[2], draws=1)
    assert run(config, shards, make_model(shards, pretraining_subjects=["fake/3", "fake/4"]), **sides)
    with pytest.raises(LeakError, match="fake/2"):
        run(config, shards, make_model(shards, pretraining_subjects=["fake/2"]), **sides)


@pytest.mark.parametrize("name", ["linear_probe", "knn", "random_frozen", "handcrafted_rf"])
def test_statistics_come_from_the_support_side(name: str) -> None:
    """Tested windows may be anything: what is fitted stays the same."""
    clean, found = FakeShards(), []
    for factor in (1.0, 50.0):
        shards = FakeShards()
        shards._imu[np.isin(shards.table["subject"], ["1", "2"])] *= factor
        data, test, _ = make_cell(shards)  # of people 3 and 4
        found.append(find_method(name).fit(data)(make_features(clean, data.features.model), test))
    assert (found[0] == found[1]).all()
