"""Similar windows of a person: closed forms and invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.evaluation.adaptation import similar_windows
from experiments.evaluation.adaptation.similar_windows import PULL, Similarity
from experiments.evaluation.features.feature_table import FeatureTable


def table_of(values: np.ndarray) -> FeatureTable:
    table = FeatureTable(*values.shape)
    table.put(np.arange(len(values)), values.astype(np.float32))
    return table


def clusters(rng: np.random.Generator, centres: int, each: int, spread: float = 0.01, width: int = 8) -> np.ndarray:
    """Windows in tight clusters, one cluster after the other."""
    return np.repeat(rng.normal(size=(centres, width)), each, axis=0) + spread * rng.normal(
        size=(centres * each, width)
    )


def one_person(values: np.ndarray, scale: float) -> Similarity:
    return Similarity([table_of(values)], np.zeros(len(values), np.int64), scale)


def test_windows_at_one_place_keep_their_mean_and_a_tenth_of_their_differences() -> None:
    """Of three joined windows each pulls with 3: (I + 3 (3 I - J)) F = P leaves 1 / (1 + 9) of what differs."""
    values = np.repeat(np.array([[1.0, 0.0], [-1.0, 0.0]]), 3, axis=0)
    scores = np.random.default_rng(0).dirichlet(np.ones(4), 6)
    everyone = np.arange(6)
    found = one_person(values, scale=1e-3).agreed(everyone, scores, everyone, scores)
    for own in (slice(0, 3), slice(3, 6)):
        mean = scores[own].mean(axis=0)
        expected = mean + (scores[own] - mean) / (1 + 3 * PULL)
        # The third nearest of each is in the other cluster: a pull of 3 exp(-4000).
        assert found[own] == pytest.approx(expected, abs=1e-12)


@given(st.integers(3, 30), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_rows_keep_their_sum_and_stay_between_those_of_the_person(windows: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, scores = rng.normal(size=(windows, 6)), rng.dirichlet(np.ones(classes), windows)
    everyone = np.arange(windows)
    found = one_person(values, 1.0).agreed(everyone, scores, everyone, scores)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-9)  # rounding of a solution of 30 equations
    assert (found <= scores.max(axis=0) + 1e-9).all()
    assert (found >= scores.min(axis=0) - 1e-9).all()


@given(st.integers(0, 2**32 - 1))
def test_other_people_and_the_order_of_the_tables_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, others = rng.normal(size=(40, 6)), rng.normal(size=(40, 3))
    owners = rng.integers(0, 3, 40)
    scores = rng.dirichlet(np.ones(3), 40)
    tables = [table_of(values), table_of(others)]
    everyone = np.arange(40)
    found = Similarity(tables, owners, 0.5).agreed(everyone, scores, everyone, scores)
    swapped = Similarity(tables[::-1], owners, 0.5).agreed(everyone, scores, everyone, scores)
    assert swapped == pytest.approx(found, abs=1e-9)  # sums of squares in another order
    own = np.flatnonzero(owners == owners[0])
    alone = Similarity(tables, owners, 0.5).agreed(own, scores[own], own, scores[own])
    assert alone == pytest.approx(found[own], abs=1e-12)


def test_a_window_without_a_close_one_keeps_its_own() -> None:
    rng = np.random.default_rng(0)
    values = clusters(rng, 5, 4)
    values[0] = 10 * rng.normal(size=8)
    scores = rng.dirichlet(np.ones(3), 20)
    everyone = np.arange(20)
    similarity = one_person(values, 1e-3)
    found = similarity.agreed(everyone, scores, everyone, scores)
    assert found[0] == pytest.approx(scores[0], abs=1e-6)
    assert (np.abs(found[4:] - scores[4:]).max(axis=1) > 1e-3).all()


def test_windows_that_were_not_seen_are_pulled_and_pull_nothing() -> None:
    rng = np.random.default_rng(0)
    values = clusters(rng, 4, 5)
    scores = rng.dirichlet(np.ones(3), 20)
    everyone, seen = np.arange(20), np.setdiff1d(np.arange(20), [4, 19])
    similarity = one_person(values, 1.0)
    found = similarity.agreed(seen, scores[seen], everyone, scores)
    assert found[seen] == pytest.approx(similarity.agreed(seen, scores[seen], seen, scores[seen]), abs=1e-12)
    # Each lies between its own probabilities and those that its neighbours agreed on, three parts of ten at least.
    near = found[[0, 1, 2, 3]].mean(axis=0)
    assert np.abs(found[4] - near).max() < 0.5 * np.abs(scores[4] - near).max()
    one = similarity.agreed(seen, scores[seen], np.array([19]), scores[[19]])
    assert one == pytest.approx(found[[19]], abs=1e-12)


def test_nothing_is_joined_without_a_scale_or_with_two_windows() -> None:
    values = np.random.default_rng(0).normal(size=(4, 3))
    scores = np.random.default_rng(1).dirichlet(np.ones(3), 4)
    everyone, two = np.arange(4), np.arange(2)
    assert (one_person(values, 0.0).agreed(everyone, scores, everyone, scores) == scores).all()
    assert (one_person(values, 1.0).agreed(two, scores[:2], everyone, scores) == scores).all()
    assert one_person(values, 1.0).typical(two) == 0
    # Windows that are all the same are at distance 0 from each other: there is no scale.
    same = one_person(np.ones((4, 3)), 0.0)
    assert same.typical(everyone) == 0
    assert same.alike(everyone, two, two, lambda windows: scores[windows]) == 0


def test_the_typical_distance_is_the_median_one_to_the_nearest_window_of_the_person() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(31, 4)).astype(np.float32)
    owners = np.r_[np.zeros(20, np.int64), np.ones(11, np.int64)]
    found = Similarity([table_of(values)], owners).typical(np.arange(31))
    nearest = []
    for person in range(2):
        own = values[owners == person].astype(np.float64)
        own = (own - own.mean(axis=0)) / own.std(axis=0)
        own /= np.linalg.norm(own, axis=1, keepdims=True)
        squares = ((own[:, None] - own[None]) ** 2).sum(axis=2) + 1e9 * np.eye(len(own))
        nearest += squares.min(axis=1).tolist()
    assert found == pytest.approx(np.median(nearest), rel=1e-9)  # sums in another order


def test_long_recordings_are_compared_stretch_by_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar_windows, "STRETCH", 8)
    rng = np.random.default_rng(0)
    values = clusters(rng, 5, 4)
    scores = rng.dirichlet(np.ones(3), 20)
    everyone = np.arange(20)
    similarity = one_person(values, 1.0)
    found = similarity.agreed(everyone, scores, everyone, scores)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-12)
    changed = scores.copy()
    changed[0] = [1, 0, 0]
    moved = similarity.agreed(everyone, changed, everyone, changed) != found
    assert moved[:7].any()
    assert not moved[7:].any()  # 20 windows are cut after 7 and 14
    assert similarity.agreed(everyone[::2], scores[::2], everyone, scores).sum(axis=1) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("pure", [True, False])
def test_labels_tell_whether_near_windows_show_the_same(pure: bool) -> None:
    rng = np.random.default_rng(0)
    values = clusters(rng, 6, 4)
    activities = np.repeat(np.arange(6), 4) if pure else np.tile([0, 1, 2, 3], 6)
    everyone = np.arange(24)
    similarity = one_person(values, 0.05)
    asked: list[int] = []

    def scores_of(windows: np.ndarray) -> np.ndarray:
        asked.extend(windows.tolist())
        return np.eye(6)[activities[windows]]

    labelled = np.array([0, 5, 10, 15])
    found = similarity.alike(everyone, labelled, activities[labelled], scores_of)
    assert found == (1.0 if pure else 0.0)
    assert not set(asked) & set(labelled.tolist())  # a window says nothing of itself; no other labelled one is near
    assert similarity.alike(everyone[:2], labelled, activities[labelled], scores_of) == 0  # too few to look at
