import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.splits import (
    LeakError,
    SplitError,
    assert_disjoint,
    draw_support,
    make_folds,
    natural_key,
    seen_subjects,
    subject_folds,
)


def test_contiguous_even_groups_in_natural_order() -> None:
    assert subject_folds(["8", "2", "6", "4", "2"], 2) == [["2", "4"], ["6", "8"]]
    assert subject_folds(["s10", "s9", "s1"], 2) == [["s1", "s9"], ["s10"]]


@given(st.sets(st.text("ab19", min_size=1), min_size=2, max_size=12), st.integers(2, 5))
def test_every_subject_is_tested_once(subjects: set[str], folds: int) -> None:
    if len(subjects) < folds:
        with pytest.raises(SplitError, match="folds"):
            subject_folds(subjects, folds)
        return
    groups = subject_folds(subjects, folds)
    assert sorted(s for g in groups for s in g) == sorted(subjects)
    sizes = [len(g) for g in groups]
    assert max(sizes) - min(sizes) <= 1


def test_fewer_than_two_folds_are_refused() -> None:
    with pytest.raises(SplitError, match="at least 2"):
        subject_folds(["1", "2"], 1)


def test_natural_key_sorts_mixed_names() -> None:
    assert sorted(["b", "10", "9", "a2", "a10"], key=natural_key) == ["9", "10", "a2", "a10", "b"]


def _of(labels: np.ndarray) -> dict[str, np.ndarray]:
    """As many windows, of three subjects in turn."""
    return {"activity": labels, "subject": np.array(["x", "y", "z"])[np.arange(len(labels)) % 3]}


def _table() -> dict[str, np.ndarray]:
    subjects = np.array(["1"] * 6 + ["2"] * 6)
    activities = np.array(["walk", "walk", "sit", "sit", "fall", "", "walk", "sit", "sit", "turn", "", "walk"])
    return {"subject": subjects, "activity": activities}


def test_classes_are_those_with_labels_to_learn_from_and_unlabelled_windows_are_not_used() -> None:
    first, second = make_folds(_table(), 2)
    assert (first.test_subjects, first.support_subjects) == (["1"], ["2"])
    assert (first.classes, second.classes) == (["sit", "turn", "walk"], ["fall", "sit", "walk"])
    assert (first.left_out, second.left_out) == (["fall"], ["turn"])
    assert (first.test.tolist(), second.pool.tolist()) == ([0, 1, 2, 3], [0, 1, 2, 3, 4])
    assert (first.pool.tolist(), second.test.tolist()) == ([6, 7, 8, 9, 11], [6, 7, 8, 11])


def test_activities_filter() -> None:
    with pytest.raises(SplitError, match="'walking'; there are: fall, sit, turn, walk"):
        make_folds(_table(), 2, ["walking"])
    with pytest.raises(SplitError, match="expected at least 2"):
        make_folds(_table(), 2, ["walk"])
    assert make_folds(_table(), 2, ["walk", "sit"])[0].left_out == []


def test_no_labels() -> None:
    with pytest.raises(SplitError, match="no window has a label"):
        make_folds({"subject": np.array(["1", "2"]), "activity": np.array(["", ""])}, 2)


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(0, 5))
def test_draws_are_nested_balanced_and_from_the_candidates(seed: int, shots: int, more: int) -> None:
    labels = np.array(["a"] * 10 + ["b"] * 20 + ["c"] * 5)
    candidates = np.setdiff1d(np.arange(35), [0, 11, 30])
    fewer, notes = draw_support(_of(labels), candidates, shots, (seed, "x"))
    larger, _ = draw_support(_of(labels), candidates, shots + more, (seed, "x"))
    assert set(fewer) <= set(larger) <= set(candidates)
    assert len(set(fewer)) == len(fewer)
    for name, available in (("a", 9), ("b", 19), ("c", 4)):
        assert (labels[fewer] == name).sum() == min(shots, available)
        assert any(name in note.rpartition("of ")[2] for note in notes) == (available < shots)


def test_draws_depend_on_the_key_and_not_on_the_order_of_candidates() -> None:
    labels = np.array(["a", "b"] * 50)
    candidates = np.arange(100)
    one, _ = draw_support(_of(labels), candidates, 3, (0, "t", 1, 2))
    again, _ = draw_support(_of(labels), candidates[::-1], 3, (0, "t", 1, 2))
    other, _ = draw_support(_of(labels), candidates, 3, (0, "t", 1, 3))
    assert one.tolist() == again.tolist()
    assert one.tolist() != other.tolist()


def test_an_activity_that_is_not_evaluated_does_not_change_the_draw_of_the_others() -> None:
    labels = np.array(["a", "b", "c"] * 20)
    every, _ = draw_support(_of(labels), np.arange(60), 4, (1,))
    without, _ = draw_support(_of(labels), np.flatnonzero(labels != "b"), 4, (1,))
    assert [w for w in every if labels[w] != "b"] == without.tolist()


def test_zero_shots_are_refused() -> None:
    with pytest.raises(SplitError, match="shots"):
        draw_support(_of(np.array(["a"])), np.array([0]), 0, (1,))


def test_a_subject_on_both_sides_is_refused() -> None:
    assert_disjoint(["1"], ["2"])
    with pytest.raises(LeakError, match="2, 10"):
        assert_disjoint(["1", "10", "2"], ["2", "3", "10"])


def test_seen_subjects_go_by_source_and_name() -> None:
    assert seen_subjects(["utd/1", "utd/2", "utd/11"], ["utd/11", "utd/2", "mmea/1"]) == ["utd/2", "utd/11"]
