"""Earlier and later windows of one person share no trial, or are apart in time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import joined, make_cell, make_config
from hypothesis import given
from hypothesis import strategies as st

from experiments.evaluation.adaptation import find_contender
from experiments.evaluation.adaptation.personal import personal
from experiments.evaluation.cells import KNOWS_LABELS, CellResult
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.methods import CellData, Predict
from experiments.evaluation.plan import plan_units
from experiments.evaluation.protocol import run_units
from experiments.evaluation.sealed_slice import SealedSlice, assert_apart, sealed_slice
from experiments.evaluation.splits import LeakError
from experiments.evaluation.targets import System, Target
from experiments.settings.evaluation import TargetConfig

WINDOW_S = 2.0


def table(rows: list[tuple[str, str, str, float]]) -> dict[str, Any]:
    names = ("subject", "recording", "activity")
    found: dict[str, Any] = {name: np.array([row[i] for row in rows]) for i, name in enumerate(names)}
    return {**found, "start_s": np.array([row[3] for row in rows])}


def test_trials_of_an_activity_are_halved_in_natural_order() -> None:
    rows = [("a", f"{activity}_t{trial}", activity, 0.0) for trial in (10, 2, 1, 9) for activity in ("walk", "sit")]
    made = table(rows)
    found = sealed_slice(made, np.arange(8), WINDOW_S, 10.0)
    assert set(made["recording"][found.earlier]) == {"walk_t1", "walk_t2", "sit_t1", "sit_t2"}
    assert set(made["recording"][found.later]) == {"walk_t9", "walk_t10", "sit_t9", "sit_t10"}


def test_a_single_recording_is_cut_in_time_with_a_gap() -> None:
    made = table([("a", "day", ("walk", "sit")[i % 2], 2.0 * i) for i in range(20)])
    found = sealed_slice(made, np.arange(20), WINDOW_S, 6.0)
    assert found.later.tolist() == list(range(10, 20))  # from 20 s on
    assert found.earlier.tolist() == list(range(7))  # they end at 14 s


def test_recordings_of_several_activities_are_halved_together() -> None:
    rows = [("a", f"r{i}", activity, 4.0 * j) for i in (1, 2) for j, activity in enumerate(("walk", "sit"))]
    found = sealed_slice(table(rows), np.arange(4), WINDOW_S, 10.0)
    assert (found.earlier.tolist(), found.later.tolist()) == ([0, 1], [2, 3])


def test_windows_that_are_too_near_are_refused() -> None:
    made = table([("a", "day", "walk", 0.0), ("a", "day", "walk", 5.0)])
    assert_apart(made, SealedSlice(np.array([0]), np.array([1])), WINDOW_S, 3.0)
    with pytest.raises(LeakError, match=r"recording day: .* are 3\.0 s apart; expected at least 4 s"):
        assert_apart(made, SealedSlice(np.array([0]), np.array([1])), WINDOW_S, 4.0)


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("123"), st.sampled_from(["walk", "sit"]), st.integers(0, 40)),
        min_size=1,
        max_size=40,
        unique_by=lambda row: (row[0], row[1], row[3]),
    ),
    st.integers(0, 20),
)
def test_the_halves_are_apart_whatever_the_recordings(rows: list[tuple[str, str, str, int]], gap_s: int) -> None:
    made = table([(person, f"{person}{number}", activity, float(at)) for person, number, activity, at in rows])
    found = sealed_slice(made, np.arange(len(rows)), WINDOW_S, gap_s)
    assert not np.intersect1d(found.earlier, found.later).size
    assert set(made["subject"][found.later]) == set(made["subject"])  # everybody is tested
    for one in found.earlier.tolist():
        for other in found.later.tolist():
            if made["recording"][one] == made["recording"][other]:
                assert made["start_s"][other] - made["start_s"][one] - WINDOW_S >= gap_s - 1e-6


def run(shards: FakeShards, *methods: str, **settings: Any) -> list[CellResult]:
    config = make_config(methods=list(methods), draws=1, **settings)
    target = Target(TargetConfig("made", "fake"), joined(shards))
    units = plan_units(config, [target], [System()])
    return run_units(config, units, lambda cell: None, lambda result: None, lambda *progress: None)


def test_labels_of_the_person_are_a_knowledge_of_their_own() -> None:
    """Everybody calls activities by other names: only labels of the person can help."""
    shards = FakeShards(per_class=8)
    activities = shards.table["activity"].copy()
    names = sorted(set(activities.tolist()))
    for shift, subject in enumerate("1234"):
        own = shards.table["subject"] == subject
        shards.table["activity"][own] = [names[(names.index(a) + shift) % 4] for a in activities[own]]
    results = run(shards, *METHODS, shots=[4], personal_weight=10)
    plain, control, adapted = ([r for r in results if r.cell.method == name] for name in METHODS)
    assert {r.cell.knowledge for r in [*adapted, *control]} == {KNOWS_LABELS}
    assert {r.cell.knowledge for r in plain} == {"none"}
    for before, other, after in zip(plain, control, adapted, strict=True):
        assert sum(after.windows_by_subject.values()) == sum(before.windows_by_subject.values()) // 2
        assert after.windows_by_subject == other.windows_by_subject
        assert after.metrics["balanced_accuracy"] > 0.7 > 0.4 > other.metrics["balanced_accuracy"]
        assert any("32 of 64 windows are later, and tested" in note for note in after.notes)


METHODS = ("handcrafted_logistic", "handcrafted_logistic+personal_none", "handcrafted_logistic+personal")


def test_each_label_of_the_person_counts_several_times() -> None:
    fits: list[CellData] = []

    def spy(data: CellData) -> Predict:
        fits.append(data)
        return find_contender("handcrafted_logistic").fit(data)

    data, test, truth = make_cell(FakeShards(per_class=4), shots=1)
    labelled = test[:2]
    data = replace(data, personal=labelled, personal_labels=truth[:2])
    scores = personal(spy, data)(data.features, test)
    assert scores.shape == (len(test), 4)
    # One fit for the person with labels, each of which counts three times, and one without for the other person.
    assert sorted(int(np.isin(fit.support, labelled).sum()) for fit in fits) == [0, 2 * 3]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("handcrafted_logistic+person+personal", "not mixed with others"),
        ("handcrafted_logistic+personal+balanced", "not mixed with others"),
        ("majority+personal", "fitted on no labelled window"),
    ],
)
def test_it_goes_with_no_other_knowledge(name: str, said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        find_contender(name)
