"""Tested subjects and those who give labels, whatever is held out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_model

from datamodules.shards.concat import ConcatShards
from datamodules.shards.layout import ShardError
from experiments.evaluation.errors import EvaluationError, SplitError
from experiments.evaluation.splits import LeakError
from experiments.evaluation.targets import System, Target, held_out_note, label_note, seen_in_pretraining
from experiments.settings.evaluation import EvaluationConfig, TargetConfig


def target(parts: dict[str, FakeShards], **settings: Any) -> Target:
    joined = ConcatShards(list(parts.items()))  # type: ignore[arg-type]
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


def test_data_sets_meet_in_the_common_names_of_their_activities() -> None:
    """What one calls walking_slow is the other's no_freezing; what has no common name is nobody's."""
    labelled, tested = FakeShards(source="sisfall"), FakeShards(seed=1, source="daphnet")
    own = labelled.table["activity"].copy()
    renamed = {"walk": "walking_slow", "sit": "chair_slow", "turn": "jump"}
    labelled.table["activity"] = np.array([renamed.get(name, "fall") for name in own])
    tested.table["activity"] = np.where(tested.table["activity"] == "walk", "no_freezing", "freezing")
    parts = [("a", tested), ("b", labelled)]
    plain, common = ConcatShards(parts), ConcatShards(parts, common=True)  # type: ignore[arg-type]
    (fold,) = Target(TargetConfig("made", "a", support=["b"], labels="common"), common).folds(EvaluationConfig())
    assert fold.classes == ["fall", "sit_to_stand", "walking"]
    assert set(common.table["activity"][fold.test]) == {"walking"}
    assert fold.left_out == {"freezing": int((common.table["activity"] == "freezing").sum())}
    assert common.renamed.left_out == {("sisfall", "jump"): int((own == "turn").sum())}
    assert common.fingerprint != plain.fingerprint
    with pytest.raises(SplitError):
        Target(TargetConfig("made", "a", support=["b"]), plain).folds(EvaluationConfig())


def test_what_labels_became_is_said_with_the_windows_left_out() -> None:
    labelled, tested = FakeShards(source="sisfall"), FakeShards(seed=1, source="daphnet")
    names = {"walk": "walking_slow", "turn": "jump"}
    labelled.table["activity"] = np.array([names.get(name, "fall") for name in labelled.table["activity"]])
    tested.table["activity"] = np.full(tested.n_windows, "no_freezing")
    joined = ConcatShards([("a", tested), ("b", labelled)], common=True)  # type: ignore[list-item]
    made = Target(TargetConfig("made", "a", support=["b"], labels="common"), joined)
    assert made.remarks(made.folds(EvaluationConfig())) == [
        "activities by their common names: daphnet: no_freezing -> walking 96",
        "activities by their common names: sisfall: fall -> fall 48, walking_slow -> walking 24; without a"
        " counterpart, left out: 24 windows (jump 24)",
    ]


@pytest.mark.parametrize(
    ("lack", "said"),
    [
        (("tested",), "all of the windows that labels come from have one, none of the tested ones"),
        (("labelled",), "none of the windows that labels come from have one, all of the tested ones"),
        (("tested", "labelled"), ""),
        ((), ""),
    ],
)
def test_a_gyroscope_on_one_side_alone_is_said_and_can_be_taken(lack: tuple[str, ...], said: str) -> None:
    parts = {"tested": FakeShards(source="one"), "labelled": FakeShards(seed=1, source="two")}
    for name in lack:
        parts[name].channel_mask[:, 3:] = False
    made = target(parts, support=["labelled"])
    remarks = made.remarks(made.folds(EvaluationConfig()))
    assert [line.split(";")[0] for line in remarks] == ([f"gyroscope: {said}"] if said else [])
    joined = ConcatShards(list(parts.items()), gyroscope=False)  # type: ignore[arg-type]
    without = Target(TargetConfig("made", "tested", support=["labelled"], gyroscope=False), joined)
    assert without.remarks(made.folds(EvaluationConfig())) == ["gyroscope: taken from all windows, 'gyroscope: false'"]


def test_some_windows_with_a_gyroscope_are_neither_all_nor_none() -> None:
    shards = FakeShards(source="one")
    shards.channel_mask[::2, 3:] = False
    made = target({"tested": shards, "labelled": FakeShards(seed=1, source="two")}, support=["labelled"])
    (remark,) = made.remarks(made.folds(EvaluationConfig()))
    assert remark.startswith("gyroscope: all of the windows that labels come from have one, some of the tested ones")


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
    joined = ConcatShards([("a", first), ("b", second)])  # type: ignore[list-item]
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
        ConcatShards([("a", first), ("b", second)])  # type: ignore[list-item]


def test_an_event_is_an_activity() -> None:
    with pytest.raises(EvaluationError, match="event 'fall' is none of its activities: bend, sit"):
        target({"a": FakeShards()}, event="fall").folds(EvaluationConfig())


def test_what_pretraining_was_kept_from_is_said() -> None:
    shards = FakeShards()
    plain = System("", make_model(shards))
    kept = System("", make_model(shards, excluded_activities=["walk", "run"]))
    assert held_out_note(System(), ["walk"]) == held_out_note(plain, ["walk"]) == []
    assert label_note(System()) == label_note(plain) == []
    learnt = System("", make_model(FakeShards(), labels={"lab": ["sit", "walk"], "home": []}))
    assert label_note(learnt) == ["labels were used in pretraining, of lab (2 activities)"]
    assert held_out_note(kept, ["walk"]) == ["held out of pretraining: walk"]
    assert held_out_note(kept, ["sit", "walk"]) == ["held out of pretraining: walk; not held out: sit"]
    assert held_out_note(kept, ["sit"]) == ["held out of pretraining: none of these activities"]


def overlapping(shards: FakeShards, step_s: float = 0.5) -> FakeShards:
    """One recording a person, windows of 2 s every ``step_s``."""
    table = shards.table
    table["recording"] = table["subject"].copy()
    for name in np.unique(table["subject"]):
        own = np.flatnonzero(table["subject"] == name)
        table["start_s"][own] = step_s * np.arange(len(own))
    return shards


def test_windows_that_share_a_moment_are_thinned_in_each_set() -> None:
    made = target({"a": overlapping(FakeShards()), "b": overlapping(FakeShards(seed=1), 2.0)})
    folds = made.folds(EvaluationConfig(folds=2))
    table = made.shards.table
    used = np.unique(np.concatenate([np.concatenate([fold.pool, fold.test]) for fold in folds]))
    for name in "1234":
        starts = np.sort(table["start_s"][used[(table["person"][used] == f"fake/{name}")
                                                & (table["dataset"][used] == "a")]])  # fmt: skip
        assert np.diff(starts).min() >= 2.0
        assert len(starts) == 6  # 24 windows, every fourth
    assert (table["dataset"][used] == "b").sum() == 96  # the same recordings, but not the same data set


def test_windows_that_are_not_used_cost_none() -> None:
    """A window between two activities has no label, or one that isn't asked for."""
    shards = overlapping(FakeShards(per_class=4), 1.0)  # each window overlaps the next
    table = shards.table
    every_second = np.arange(shards.n_windows) % 2 == 0
    whole = table["activity"].copy()
    table["activity"] = np.where(every_second, "", whole)
    labelled = target({"a": shards})
    tested = np.concatenate([fold.test for fold in labelled.folds(EvaluationConfig(folds=2))])
    assert sorted(tested) == np.flatnonzero(~every_second).tolist()
    table["activity"] = np.where(every_second, "other", whole)
    asked = target({"a": shards}, activities=["bend", "sit", "turn", "walk"])
    tested = np.concatenate([fold.test for fold in asked.folds(EvaluationConfig(folds=2))])
    assert sorted(tested) == np.flatnonzero(~every_second).tolist()


def test_one_person_may_be_tested_with_labels_of_all_others() -> None:
    (fold,) = target({"a": FakeShards()}, test_where={"subject": ["3"]}).folds(EvaluationConfig())
    assert (fold.test_subjects, fold.support_subjects) == (["3"], ["1", "2", "4"])


def test_activities_of_a_target_come_before_those_of_the_evaluation() -> None:
    made = target({"a": FakeShards()}, activities=["sit", "walk"])
    assert made.folds(EvaluationConfig(folds=2, activities=["bend", "turn"]))[0].classes == ["sit", "walk"]
    plain = target({"a": FakeShards()})
    assert plain.folds(EvaluationConfig(folds=2, activities=["bend", "turn"]))[0].classes == ["bend", "turn"]
    with pytest.raises(SplitError, match="names 'walking'; there are: bend, sit, turn, walk"):
        target({"a": FakeShards()}, activities=["walking"]).folds(EvaluationConfig(folds=2))


def test_only_tested_people_must_not_have_been_in_pretraining() -> None:
    made = target({"a": FakeShards(source="one"), "b": FakeShards(seed=1, source="two")}, support=["b"])
    folds = made.folds(EvaluationConfig())
    support_only = System("", make_model(FakeShards(), pretraining_subjects=["two/1", "two/2"]))
    assert seen_in_pretraining(made, folds, support_only, allowed=False) == []
    tested = System("", make_model(FakeShards(), pretraining_subjects=["two/1", "one/3", "one/1"]))
    with pytest.raises(LeakError, match=r"target 'made': tested subjects .*: one/1, one/3; leave them out"):
        seen_in_pretraining(made, folds, tested, allowed=False)
    expected = ["tested subjects who were in pretraining too: one/1, one/3"]
    assert seen_in_pretraining(made, folds, tested, allowed=True) == expected
    unknown = System("", make_model(FakeShards(), pretraining_subjects=None))
    with pytest.raises(LeakError, match="does not say which subjects"):
        seen_in_pretraining(made, folds, unknown, allowed=False)
    assert "does not say" in seen_in_pretraining(made, folds, unknown, allowed=True)[0]
    assert seen_in_pretraining(made, folds, System(), allowed=False) == []


def test_someone_whose_windows_are_not_tested_may_have_been_in_pretraining() -> None:
    """Person 4 has no label, so nothing of them is tested."""
    shards = FakeShards()
    shards.table["activity"] = np.where(shards.table["subject"] == "4", "", shards.table["activity"])
    made = target({"a": shards})
    folds = made.folds(EvaluationConfig(folds=3))
    system = System("", make_model(FakeShards(), pretraining_subjects=["fake/4"]))
    assert seen_in_pretraining(made, folds, system, allowed=False) == []


def test_a_remark_on_a_part_of_the_windows_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    shards = FakeShards(source="one")
    shards.channel_mask[:, 3:] = False
    made = target({"tested": shards, "labelled": FakeShards(seed=1, source="two")}, support=["labelled"])
    folds = made.folds(EvaluationConfig())
    (of_all,) = made.remarks(folds)
    assert "looked at" not in of_all
    monkeypatch.setattr("experiments.evaluation.targets._LOOKED_AT", 8)
    (of_some,) = made.remarks(folds)
    assert "(up to 8 of either were looked at)" in of_some
