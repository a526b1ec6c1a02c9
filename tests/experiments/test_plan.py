"""Which cells there are, and how they share their fitting."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from fake_shards import FakeShards
from test_methods import make_config, make_features, make_model, prototypes_of
from test_protocol import make_target, run

from experiments import protocol
from experiments.cells import CellResult
from experiments.conditions import ConditionError
from experiments.plan import expand_conditions, plan_units
from experiments.protocol import run_protocol
from experiments.targets import System


def test_conditions_by_kind_and_one_by_one() -> None:
    assert [str(c) for c in expand_conditions(["noise=1", "gyroscope", "noise=1"])] == ["noise=1", "gyroscope=0"]
    assert len(expand_conditions(["rotation"])) > 3
    with pytest.raises(ConditionError, match="no kind 'nois'"):
        expand_conditions(["nois"])


def test_conditions_are_done_at_the_most_labels_and_share_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    fits = []
    compute = protocol._compute
    monkeypatch.setattr(protocol, "_compute", lambda config, unit: fits.append(unit) or compute(config, unit))
    config = make_config(
        methods=["majority", "random_frozen"], shots=[1, 4], draws=3, conditions=["noise=10", "gyroscope=0", "rate=50"]
    )
    results = run(config, FakeShards())
    found = Counter((r.cell.method, r.cell.shots, r.cell.condition) for r in results)
    # Two folds; two of three draws; at 25 Hz, 50 Hz is no change.
    assert found[("random_frozen", 4, "")] == 6
    assert found[("random_frozen", 4, "noise=10")] == found[("random_frozen", 4, "gyroscope=0")] == 4
    assert found[("majority", 0, "noise=10")] == 2
    assert not any(condition == "rate=50" or (shots == 1 and condition) for _, shots, condition in found)
    assert len(fits) == 2 + 2 * 2 * 3

    def mean(condition: str) -> float:
        chosen = [r for r in results if r.cell.condition == condition and r.cell.method == "random_frozen"]
        return float(np.mean([r.metrics["accuracy"] for r in chosen if r.cell.shots == 4]))

    assert mean("noise=10") < mean("") - 0.1


def test_a_gyroscope_that_is_not_there_can_not_be_lost() -> None:
    shards = FakeShards()
    shards.channel_mask[:, 3:] = False
    results = run(make_config(methods=["majority"], conditions=["gyroscope", "noise=1"]), shards)
    assert {r.cell.condition for r in results} == {"", "noise=1"}


def test_conditions_added_later_leave_what_is_done() -> None:
    store: dict[str, CellResult] = {}
    shards = FakeShards()
    first = run(make_config(methods=["random_frozen"], shots=[2], draws=1), shards, store=store)
    kept = dict(store)
    again = run(make_config(methods=["random_frozen"], shots=[2], draws=1, conditions=["noise=1"]), shards, store=store)
    assert len(again) == 2 * len(first)
    assert all(store[key] is result for key, result in kept.items())


def test_several_systems_stand_beside_each_other_and_what_needs_none_is_done_once() -> None:
    shards = FakeShards()
    systems = [System("", make_model(shards), "own"), System("imu_only", make_model(shards), "other")]
    config = make_config(methods=["majority", "random_frozen", "linear_probe", "knn"], shots=[1], draws=1)
    results = run_protocol(config, [make_target(shards)], systems, lambda _: None, lambda _: None, lambda *_: None)
    assert Counter(r.cell.entrant for r in results) == {
        "majority": 2, "random_frozen": 2, "linear_probe": 2, "knn": 2, "linear_probe@imu_only": 2, "knn@imu_only": 2,
    }  # fmt: skip
    assert {r.cell.checkpoint for r in results if r.cell.system} == {"other"}


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


def test_planning_computes_nothing() -> None:
    shards = FakeShards()
    units = plan_units(make_config(methods=["linear_probe"]), [make_target(shards)], [System("", make_model(shards))])
    assert units
    assert len(shards.read) <= 256  # a look at the channels only
