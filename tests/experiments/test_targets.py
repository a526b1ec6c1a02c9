"""Who is tested, and whom labels come from, whatever is held out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fake_shards import FakeShards
from test_methods import make_model

from datamodules.shards.joined import JoinedShards
from datamodules.shards.layout import ShardError
from datamodules.splits import SplitError
from experiments.schema import EvaluationConfig, TargetConfig
from experiments.target_features import EvaluationError
from experiments.targets import System, Target, held_out_note


def target(parts: dict[str, FakeShards], **settings: Any) -> Target:
    joined = JoinedShards(list(parts.items()))  # type: ignore[arg-type]
    return Target(TargetConfig("made", next(iter(parts)), **settings), joined)


def people(found: Target, windows: np.ndarray) -> set[str]:
    return {str(name) for name in found.shards.table["person"][windows]}


def test_one_person_at_a_time() -> None:
    made = target({"a": FakeShards(tuple("12345"))})
    folds = made.folds(EvaluationConfig())
    assert [fold.test_subjects for fold in folds] == [["1"], ["2"], ["3"], ["4"], ["5"]]
    many = target({"a": FakeShards(tuple(f"{i:02}" for i in range(26)), per_class=1)})
    assert len(many.folds(EvaluationConfig())) == 10  # groups


def test_another_population_is_tested_at_once() -> None:
    shards = FakeShards()
    shards.table["population"] = np.where(shards.table["subject"] < "3", "young", "older")
    sides = {"support_where": {"population": ["young"]}, "test_where": {"population": ["older"]}}
    (fold,) = target({"a": shards}, **sides).folds(EvaluationConfig())
    assert (fold.test_subjects, fold.support_subjects) == (["3", "4"], ["1", "2"])
    with pytest.raises(SplitError, match="population 'old'; there are: older, young"):
        target({"a": shards}, test_where={"population": ["old"]}).folds(EvaluationConfig())
    with pytest.raises(SplitError, match="'age'; expected one of dataset, subject"):
        target({"a": shards}, test_where={"age": ["70"]}).folds(EvaluationConfig())


def test_labels_from_another_data_set() -> None:
    """The same names in two sources are different people."""
    made = target({"a": FakeShards(source="one"), "b": FakeShards(seed=1, source="two")}, support=["b"])
    (fold,) = made.folds(EvaluationConfig())
    assert fold.test_subjects == [f"one/{i}" for i in "1234"]
    assert fold.support_subjects == [f"two/{i}" for i in "1234"]
    assert set(made.shards.table["dataset"][fold.test]) == {"a"}
    assert set(made.shards.table["dataset"][fold.pool]) == {"b"}


@pytest.mark.parametrize("column", ["placement", "device"])
def test_another_placement_of_the_same_people_is_other_people_too(column: str) -> None:
    shards = FakeShards()
    half = np.arange(shards.n_windows) % 2 == 0
    shards.table[column] = np.where(half, "head", "chest")
    sides = {"support_where": {column: ["head"]}, "test_where": {column: ["chest"]}}
    made = target({"a": shards}, **sides)
    folds = made.folds(EvaluationConfig(folds=2))
    assert len(folds) == 2
    for fold in folds:
        assert people(made, fold.test).isdisjoint(people(made, fold.pool))
        assert set(shards.table[column][fold.test]) == {"chest"}
        assert set(shards.table[column][fold.pool]) == {"head"}


def test_one_person_in_two_sets_of_a_source_is_one_person() -> None:
    made = target({"chest": FakeShards(), "head": FakeShards(seed=1)}, support=["head"])
    folds = made.folds(EvaluationConfig(folds=2))
    assert [fold.test_subjects for fold in folds] == [["1", "2"], ["3", "4"]]
    for fold in folds:
        assert people(made, fold.test).isdisjoint(people(made, fold.pool))


def test_joined_windows_are_those_of_their_sets() -> None:
    first, second = FakeShards(), FakeShards(seed=1)
    joined = JoinedShards([("a", first), ("b", second)])  # type: ignore[list-item]
    n = first.n_windows
    assert joined.n_windows == 2 * n
    asked = np.array([n + 3, 5, 5, 2 * n - 1, 0])
    values, samples, channels = joined.imu(asked)
    assert (values[[0, 3]] == second._imu[[3, n - 1]]).all()
    assert (values[[1, 2, 4]] == first._imu[[5, 5, 0]]).all()
    assert samples.all()
    assert channels.all()
    assert (joined.table["activity"][n:] == second.table["activity"]).all()
    with pytest.raises(IndexError):
        joined.imu(np.array([2 * n]))
    second.settings = type(second.settings)(duration_s=1.0, imu_rate_hz=25.0)
    with pytest.raises(ShardError, match="25 samples at 25 Hz, 'a' of 50"):
        JoinedShards([("a", first), ("b", second)])  # type: ignore[list-item]


def test_an_event_is_an_activity() -> None:
    with pytest.raises(EvaluationError, match="event 'fall' is none of its activities: bend, sit"):
        target({"a": FakeShards()}, event="fall").folds(EvaluationConfig())


def test_what_pretraining_was_kept_from_is_said() -> None:
    shards = FakeShards()
    plain = System("", make_model(shards))
    kept = System("", make_model(shards, excluded_activities=["walk", "run"]))
    assert held_out_note(System(), ["walk"]) == held_out_note(plain, ["walk"]) == []
    assert held_out_note(kept, ["walk"]) == ["held out of pretraining: walk"]
    assert held_out_note(kept, ["sit", "walk"]) == ["held out of pretraining: walk; not held out: sit"]
    assert held_out_note(kept, ["sit"]) == ["held out of pretraining: none of these activities"]
