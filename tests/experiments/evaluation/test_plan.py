"""The cells of an evaluation, and how they share their fitting."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.fake_shards import FakeShards
from helpers.made_cells import joined, make_config, make_features, make_model, prototypes_of
from helpers.made_protocol import make_target, run

from datamodules.shards.concat import ConcatShards
from experiments.evaluation import protocol, unit_computation
from experiments.evaluation.cells import CellResult
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.target_features import EncoderSpec
from experiments.evaluation.held_out_labels import HeldOutLabels
from experiments.evaluation.perturbations import PerturbationError
from experiments.evaluation.plan import plan_units
from experiments.evaluation.plan_checks import expand_perturbations
from experiments.evaluation.protocol import run_protocol
from experiments.evaluation.prototypes.video import Prototypes
from experiments.evaluation.targets import System, Target
from experiments.settings.evaluation import TargetConfig


def test_conditions_by_kind_and_one_by_one() -> None:
    assert [str(c) for c in expand_perturbations(["noise=1", "gyroscope", "noise=1"])] == ["noise=1", "gyroscope=0"]
    assert len(expand_perturbations(["rotation"])) > 3
    with pytest.raises(PerturbationError, match="no kind 'nois'"):
        expand_perturbations(["nois"])


def test_conditions_are_done_at_the_most_labels_and_share_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    compute = unit_computation.compute_unit
    monkeypatch.setattr(protocol, "compute_unit", lambda config, unit: fits.append(unit) or compute(config, unit))
    config = make_config(
        methods=["majority", "random_frozen"],
        shots=[1, 4],
        draws=3,
        perturbations=["noise=10", "gyroscope=0", "rate=50"],
    )
    results = run(config, FakeShards())
    found = Counter((r.cell.method, r.cell.shots, r.cell.perturbation) for r in results)
    # Two folds; two of three draws; at 25 Hz, 50 Hz is no change.
    assert found[("random_frozen", 4, "")] == 6
    assert found[("random_frozen", 4, "noise=10")] == found[("random_frozen", 4, "gyroscope=0")] == 4
    assert found[("majority", 0, "noise=10")] == 2
    assert not any(perturbation == "rate=50" or (shots == 1 and perturbation) for _, shots, perturbation in found)
    assert len(fits) == 2 + 2 * 2 * 3

    def mean(perturbation: str) -> float:
        chosen = [r for r in results if r.cell.perturbation == perturbation and r.cell.method == "random_frozen"]
        return float(np.mean([r.metrics["accuracy"] for r in chosen if r.cell.shots == 4]))

    assert mean("noise=10") < mean("") - 0.1


def test_a_gyroscope_that_is_not_there_can_not_be_lost() -> None:
    shards = FakeShards()
    shards.channel_mask[:, 3:] = False
    results = run(make_config(methods=["majority"], perturbations=["gyroscope", "noise=1"]), shards)
    assert {r.cell.perturbation for r in results} == {"", "noise=1"}


def test_conditions_added_later_leave_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    store: dict[str, CellResult] = {}
    shards = FakeShards()
    first = run(make_config(methods=["random_frozen"], shots=[2], draws=1), shards, store=store)
    kept = dict(store)
    honest, calls = HeldOutLabels.score, []
    monkeypatch.setattr(HeldOutLabels, "score", lambda self, scores: calls.append(1) or honest(self, scores))
    again = run(
        make_config(methods=["random_frozen"], shots=[2], draws=1, perturbations=["noise=1"]), shards, store=store
    )
    assert len(again) == 2 * len(first)
    assert all(store[key] is result for key, result in kept.items())
    assert len(calls) == len(first)  # what was scored is not scored again
    afresh = run(make_config(methods=["random_frozen"], shots=[2], draws=1, perturbations=["noise=1"]), shards)
    assert [(r.cell, r.by_subject) for r in again] == [(r.cell, r.by_subject) for r in afresh]


def test_several_systems_stand_beside_each_other_and_what_needs_none_is_done_once() -> None:
    shards = FakeShards()
    systems = [System("", make_model(shards), "own"), System("imu_only", make_model(shards), "other")]
    config = make_config(methods=["majority", "random_frozen", "linear_probe", "knn"], shots=[1], draws=1)
    results = run_protocol(config, [make_target(shards)], systems, lambda _: None, lambda _: None, lambda *_: None)
    assert Counter(r.cell.contender for r in results) == {
        "majority": 2, "random_frozen": 2, "linear_probe": 2, "knn": 2, "linear_probe@imu_only": 2, "knn@imu_only": 2,
    }  # fmt: skip
    assert {r.cell.checkpoint for r in results if r.cell.system} == {"other"}


def test_each_encoder_is_trained_from_scratch_once() -> None:
    shards = FakeShards()
    patchtst = {"imu_encoder": {"name": "patchtst", "params": {"width": 8, "depth": 1, "heads": 2}}}
    systems = [
        System("", make_model(shards), "own"),
        System("imu_only", make_model(shards), "other"),
        System("paper", make_model(shards, **patchtst), "seed 0"),
        System("paper", make_model(shards, **patchtst), "seed 1"),
    ]
    config = make_config(methods=["majority", "random_frozen", "supervised"], shots=[1], draws=1, draws_trained=1)
    units = plan_units(config, [make_target(shards)], systems)
    found = Counter((u.cells[0].contender, u.cells[0].encoder) for u in units)
    assert found == {
        ("majority", ""): 2, ("random_frozen", "cnn_transformer"): 2, ("supervised", "cnn_transformer"): 2,
        ("random_frozen@paper", "patchtst"): 2, ("supervised@paper", "patchtst"): 2,
    }  # fmt: skip
    assert not any(u.cells[0].checkpoint for u in units)


def test_whole_people_are_labelled() -> None:
    shards = FakeShards(tuple("123456"), per_class=5)
    # Nobody but 6 ever turns.
    table = shards.table
    table["activity"] = np.where((table["activity"] == "turn") & (table["subject"] != "6"), "sit", table["activity"])
    config = make_config(methods=["random_frozen"], shots=[], subject_shots=[1, 3], draws=4, folds=3)
    results = run(config, shards)
    assert Counter((r.cell.shots_unit, r.cell.shots) for r in results) == {("subjects", 1): 12, ("subjects", 3): 12}
    for result in results:
        assert result.support_subjects == result.cell.shots
        assert result.support_windows == 20 * result.cell.shots
    unknown = [r for r in results if r.cell.fold < 2 and r.cell.shots == 1]
    assert any(r.confusion[:, r.classes.index("turn")].sum() == 0 for r in unknown)  # never answered without 6


def test_windows_from_few_people() -> None:
    shards = FakeShards(tuple("123456"))
    results = run(make_config(methods=["random_frozen"], shots=[1, 3], draws=3, support_subjects=2), shards)
    assert {r.support_subjects for r in results if r.cell.shots == 3} == {2}
    assert {r.support_windows for r in results} == {4, 12}


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    def content(results: list[CellResult]) -> list[Any]:
        return [{**r.to_json(), "seconds": 0} for r in results]

    shards = FakeShards()
    model = make_model(shards)
    prototypes = prototypes_of(shards, make_features(shards, model))
    found = []
    for workers in (1, 4):
        config = make_config(
            methods=["handcrafted_rf", "knn", "linear_probe", "zero_shot"], shots=[1, 3], draws=2, workers=workers,
            forest_trees=20,
        )  # fmt: skip
        found.append(content(run(config, shards, model, prototypes)))
    assert found[0] == found[1]


def test_random_weights_do_not_depend_on_what_other_threads_draw() -> None:
    """torch has one random state for all threads."""
    spec = EncoderSpec.of(make_config(), joined(FakeShards()), None)
    expected = spec.build(3).state_dict()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: spec.build(3).state_dict(), range(40)))
    assert all(torch.equal(value, made[name]) for made in found for name, value in expected.items())


@pytest.mark.slow
@pytest.mark.parametrize("processes", [False, True])
def test_several_targets_and_conditions_do_not_depend_on_the_number_of_threads(
    monkeypatch: pytest.MonkeyPatch, processes: bool
) -> None:
    if processes:
        monkeypatch.setattr(protocol, "WORTH_IT", 1)
    targets = [Target(TargetConfig(f"t{seed}", "fake"), joined(FakeShards(seed=seed))) for seed in range(3)]
    found = []
    for workers in (1, 3):
        config = make_config(
            methods=["random_frozen", "handcrafted_rf"], shots=[2], draws=2, workers=workers, forest_trees=20,
            perturbations=["noise", "rotation"],
        )  # fmt: skip
        results = run_protocol(config, targets, [System()], lambda _: None, lambda _: None, lambda *_: None)
        found.append([{**r.to_json(), "seconds": 0} for r in results])
    assert found[0] == found[1]


def test_planning_computes_nothing() -> None:
    shards = FakeShards()
    units = plan_units(make_config(methods=["linear_probe"]), [make_target(shards)], [System("", make_model(shards))])
    assert units
    assert len(shards.read) <= 256  # a look at the channels only


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"subject_shots": [1, 3]}, r"subject_shots asks for labels of 3 subjects, but fold 0 of target 'fake' has 2"),
        ({"support_subjects": 5}, r"support_subjects asks for labels of 5 subjects.* that are not tested: 3, 4"),
        ({"shots": [5, 0]}, r"evaluation\.shots has 0; expected at least 1"),
        ({"subject_shots": [-1]}, r"evaluation\.subject_shots has -1"),
        (
            {"shots": [1, 5], "perturbations": ["noise"], "perturbations_shots": 2},
            r"is 2; expected one of .*shots: 1, 5",
        ),
    ],
)
def test_what_can_not_be_drawn_is_said_before_anything_is_computed(asked: dict[str, Any], found: str) -> None:
    shards = FakeShards()
    with pytest.raises(EvaluationError, match=found):
        plan_units(
            make_config(**{"methods": ["majority", "random_frozen"], **asked}), [make_target(shards)], [System()]
        )
    assert not shards.read


def test_methods_without_labels_do_not_care_how_many_there_could_be() -> None:
    assert run(make_config(methods=["majority"], subject_shots=[50]), FakeShards())


def test_what_is_named_twice_is_done_once() -> None:
    shards = FakeShards()
    system = System("", make_model(shards), "own")
    config = make_config(methods=["majority", "linear_probe", "majority"], shots=[1, 3, 1], draws=1)
    results = run_protocol(config, [make_target(shards)], [system, system], lambda _: None, lambda _: None,
                           lambda *_: None)  # fmt: skip
    assert Counter((r.cell.method, r.cell.shots) for r in results) == {
        ("majority", 0): 2, ("linear_probe", 1): 2, ("linear_probe", 3): 2,
    }  # fmt: skip


def test_methods_that_train_have_draws_and_shots_of_their_own() -> None:
    shards = FakeShards()
    config = make_config(
        methods=["random_frozen", "supervised"], shots=[1, 2, 4], draws=3, shots_trained=[2], draws_trained=1,
        subject_shots=[1], perturbations=["noise=1"], perturbations_shots=2, perturbations_draws=1,
    )  # fmt: skip
    units = plan_units(config, [make_target(shards)], [System()])
    found = Counter((c.method, c.shots_unit, c.shots, c.perturbation) for u in units for c in u.cells)
    assert found == {
        **{("random_frozen", "windows", k, ""): 6 for k in (1, 2, 4)},
        ("random_frozen", "subjects", 1, ""): 6,
        ("random_frozen", "windows", 2, "noise=1"): 2,
        ("supervised", "windows", 2, ""): 2,
        ("supervised", "subjects", 1, ""): 2,
        ("supervised", "windows", 2, "noise=1"): 2,
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"shots": [1, 4], "shots_trained": [1, 2]}, {("random_frozen", "windows", 4), ("supervised", "windows", 2)}),
        ({"shots": [], "subject_shots": [1, 2]}, {("random_frozen", "subjects", 2), ("supervised", "subjects", 2)}),
    ],
)
def test_conditions_are_done_where_each_method_has_the_most_labels(asked: dict[str, Any], found: set[Any]) -> None:
    config = make_config(
        methods=["random_frozen", "supervised"], draws=1, draws_trained=1, perturbations=["noise=1"], **asked
    )
    units = plan_units(config, [make_target(FakeShards())], [System()])
    assert {(c.method, c.shots_unit, c.shots) for u in units for c in u.cells if c.perturbation} == found


@pytest.mark.parametrize("has_it", ["tested", "support"])
def test_the_gyroscope_that_can_be_lost_is_that_of_tested_windows(has_it: str) -> None:
    tested, support = FakeShards(), FakeShards(seed=1, source="other")
    (support if has_it == "tested" else tested).channel_mask[:, 3:] = False
    shards = ConcatShards([("a", tested), ("b", support)])  # type: ignore[list-item]
    target = Target(TargetConfig("made", "a", support=["b"]), shards)
    units = plan_units(make_config(methods=["majority"], perturbations=["gyroscope"]), [target], [System()])
    assert {c.perturbation for u in units for c in u.cells} == ({"", "gyroscope=0"} if has_it == "tested" else {""})


def test_a_gyroscope_that_only_the_last_person_has_can_be_lost() -> None:
    shards = FakeShards(tuple(f"{i:02}" for i in range(20)), per_class=8)
    shards.channel_mask[shards.table["subject"] != "19", 3:] = False
    units = plan_units(
        make_config(methods=["majority"], perturbations=["gyroscope"]), [make_target(shards)], [System()]
    )
    assert {c.perturbation for u in units for c in u.cells} == {"", "gyroscope=0"}


@pytest.mark.parametrize("support", [[], ["b"], ["c", "b"]])
def test_prototypes_of_the_target_show_nobody_who_is_tested(
    monkeypatch: pytest.MonkeyPatch, support: list[str]
) -> None:
    """Windows are numbered through all sets; each set's clips are numbered by itself."""
    sets = {"a": FakeShards(), "c": FakeShards(("3", "4"), seed=2), "b": FakeShards(("1", "2", "5"), seed=1)}
    keys = list(dict.fromkeys(["a", *support]))
    target = Target(TargetConfig("made", "a", support=support), ConcatShards([(k, sets[k]) for k in keys]))  # type: ignore[misc]
    with_clips = "b" if support else "a"
    clips = {with_clips: SimpleNamespace(encoder_fingerprint="video encoder")}
    model, given = make_model(sets["a"]), []
    vectors = prototypes_of(sets["a"], make_features(sets["a"], model)).vectors

    def build(model: Any, shards: Any, features: Any, device: Any, windows: Any, labels: Any) -> Prototypes:
        assert shards is sets[with_clips]
        assert (labels == shards.table["activity"]).all()
        assert features is clips[with_clips]
        given.append({str(name) for name in shards.table["subject"][windows]})
        return Prototypes(["bend", "walk"], vectors[[0, 3]], [1, 1], "made", True)

    monkeypatch.setattr(unit_computation, "build_prototypes", build)
    system = System("", model, "own", clips=clips)  # type: ignore[arg-type]
    config = make_config(methods=["zero_shot_target"], workers=1)
    results = run_protocol(config, [target], [system], lambda _: None, lambda _: None, lambda *_: None)
    people = set(sets[with_clips].table["subject"])
    assert len(given) == len(results) == 2
    assert given == [people - set(r.windows_by_subject) for r in results]
    for result in results:
        assert result.notes == ["zero-shot: without a prototype, so always missed: sit, turn"]
        assert result.simulated
        assert result.confusion[:, [1, 2]].sum() == 0
        assert result.cell.shots == result.support_windows == 0
