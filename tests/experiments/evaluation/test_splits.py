from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.labels.natural_order import natural_key
from experiments.evaluation.errors import SplitError
from experiments.evaluation.groupings import subject_folds
from experiments.evaluation.splits import (
    LeakError,
    assert_disjoint,
    draw_subjects,
    draw_support,
    make_folds,
    non_overlapping,
    seen_subjects,
    where,
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
    assert (first.left_out, second.left_out) == ({"fall": 1}, {"turn": 1})
    assert (first.test.tolist(), second.pool.tolist()) == ([0, 1, 2, 3], [0, 1, 2, 3, 4])
    assert (first.pool.tolist(), second.test.tolist()) == ([6, 7, 8, 9, 11], [6, 7, 8, 11])


def test_activities_filter() -> None:
    with pytest.raises(SplitError, match="'walking'; there are: fall, sit, turn, walk"):
        make_folds(_table(), 2, ["walking"])
    with pytest.raises(SplitError, match="expected at least 2"):
        make_folds(_table(), 2, ["walk"])
    assert make_folds(_table(), 2, ["walk", "sit"])[0].left_out == {}


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


@given(st.lists(st.text("as019²٣ ", max_size=4), min_size=2, max_size=8, unique=True), st.randoms())
def test_names_have_one_order_however_they_come(names: list[str], random: object) -> None:
    """ "1" and "01" too: a set's order differs from process to process."""
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sorted(names, key=natural_key) == sorted(shuffled, key=natural_key)


@pytest.mark.parametrize(("people", "groups"), [(2, 2), (25, 25), (26, 10), (61, 10)])
def test_zero_folds_leave_one_person_out_while_they_are_few(people: int, groups: int) -> None:
    found = subject_folds([f"s{i}" for i in range(people)], 0)
    assert len(found) == groups
    assert [name for group in found for name in group] == [f"s{i}" for i in range(people)]
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_one_person_alone_can_not_be_split() -> None:
    with pytest.raises(SplitError, match="only 1 labelled subjects: a"):
        subject_folds(["a"], 0)


def _people(*names: str) -> dict[str, np.ndarray]:
    """Everyone walks, sits and turns."""
    return {
        "subject": np.repeat(np.array(names), 3),
        "activity": np.array(["walk", "sit", "turn"] * len(names)),
    }


def test_sides_without_a_person_in_common_are_one_fold() -> None:
    table = _people("1", "2", "10", "11")
    tested = np.isin(table["subject"], ["10", "2"])
    (fold,) = make_folds(table, 3, (), tested, ~tested)
    assert (fold.test_subjects, fold.support_subjects) == (["2", "10"], ["1", "11"])
    assert (fold.test.tolist(), fold.pool.tolist()) == (np.flatnonzero(tested).tolist(), [0, 1, 2, 9, 10, 11])


def test_sides_with_the_same_people_are_split_by_person_and_stay_on_their_side() -> None:
    table = _people("1", "2", "3")
    tested = np.tile([True, True, False], 3)
    supporting = np.tile([False, True, True], 3)
    folds = make_folds(table, 0, (), tested, supporting)
    assert [fold.test_subjects for fold in folds] == [["1"], ["2"], ["3"]]
    for i, fold in enumerate(folds):
        # "walk" is tested and never labelled, "turn" labelled and never tested.
        assert (fold.classes, fold.left_out) == (["sit", "turn"], {"walk": 1})
        assert fold.test.tolist() == [3 * i + 1]
        assert fold.pool.tolist() == [w for person in range(3) if person != i for w in (3 * person + 1, 3 * person + 2)]


def test_one_tested_person_is_a_fold_where_others_give_labels() -> None:
    table = _people("1", "2", "3")
    (fold,) = make_folds(table, 0, (), table["subject"] == "2", None)
    assert (fold.test_subjects, fold.support_subjects) == (["2"], ["1", "3"])
    assert fold.test.tolist() == [3, 4, 5]
    with pytest.raises(SplitError, match="only 1 labelled subjects"):
        make_folds(_people("1"), 0)


def test_a_side_without_labels_is_named() -> None:
    table = _people("1", "2")
    nobody = np.zeros(6, bool)
    with pytest.raises(SplitError, match="no labelled window to test"):
        make_folds(table, 2, (), nobody, None)
    with pytest.raises(SplitError, match="no labelled window to give labels"):
        make_folds(table, 2, (), None, nobody)


@given(st.data())
def test_nobody_is_on_both_sides_whatever_the_sides_are(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    rows = lambda values: np.array(data.draw(st.lists(st.sampled_from(values), min_size=n, max_size=n)))  # noqa: E731
    table = {"subject": rows(["a", "b", "c", "d"]), "activity": rows(["", "x", "y", "z"])}
    tested, supporting = rows([False, True]), rows([False, True])
    try:
        folds = make_folds(table, data.draw(st.sampled_from([0, 2, 3])), (), tested, supporting)
    except SplitError:
        return
    everyone = np.concatenate([fold.test for fold in folds])
    assert len(np.unique(everyone)) == len(everyone)  # tested once
    for fold in folds:
        assert not set(table["subject"][fold.test]) & set(table["subject"][fold.pool])
        assert set(table["subject"][fold.test]) <= set(fold.test_subjects)
        assert set(table["subject"][fold.pool]) == set(fold.support_subjects)
        assert tested[fold.test].all()
        assert supporting[fold.pool].all()
        assert set(table["activity"][fold.test]) <= set(fold.classes) == set(table["activity"][fold.pool])
        assert "" not in fold.classes


def test_windows_are_chosen_by_their_columns() -> None:
    table = {
        "subject": np.array(["1", "1", "2", "3"]),
        "population": np.array(["young", "young", "older", "older"]),
        "placement": np.array(["head", "chest", "head", "chest"]),
    }
    assert where(table, {}).tolist() == [True] * 4
    assert where(table, {"population": ["older"]}).tolist() == [False, False, True, True]
    assert where(table, {"population": ["older"], "placement": ["head"]}).tolist() == [False, False, True, False]
    assert where(table, {"subject": ["1", "3"]}).tolist() == [True, True, False, True]
    with pytest.raises(SplitError, match="by 'activity'; expected one of dataset, subject, population"):
        where(table, {"activity": ["walk"]})
    with pytest.raises(SplitError, match="no window has placement 'wrist'; there are: chest, head"):
        where(table, {"placement": ["head", "wrist"]})


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 60).map(lambda i: i / 4)), max_size=40
    ),
    st.sampled_from([0.5, 1.0, 2.0, 3.3]),
)
def test_no_moment_of_a_sensor_is_kept_twice(windows: list[tuple[str, str, float]], duration: float) -> None:
    recording, placement, start = zip(*windows, strict=True) if windows else ((), (), ())
    table = {
        "recording": np.array(recording, dtype=str),
        "placement": np.array(placement, dtype=str),
        "start_s": np.array(start, dtype=float),
    }
    kept = non_overlapping(table, duration)
    streams: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, (r, p, _) in enumerate(windows):
        streams[r, p].append(i)
    for members in streams.values():
        starts = np.array([windows[i][2] for i in members])
        taken = np.array([kept[i] for i in members])
        chosen = np.sort(starts[taken])
        assert (np.diff(chosen) >= duration - 1e-6).all()
        for left_out in starts[~taken]:
            assert (np.abs(chosen - left_out) < duration).any()
        if (np.diff(np.sort(starts)) >= duration).all():
            assert taken.all()


def test_grids_that_do_not_overlap_are_kept_in_spite_of_rounding() -> None:
    start = np.arange(1000) * 0.1 + 0.7  # 0.1 is no binary fraction
    table = {"recording": np.full(1000, "r"), "placement": np.full(1000, "p"), "start_s": start}
    assert non_overlapping(table, 0.1).all()


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 6))
def test_whole_people_are_nested_and_complete(seed: int, some: int, more: int) -> None:
    table = {"subject": np.array(list("aabbbcdddef"))}
    candidates = np.array([0, 1, 2, 4, 5, 6, 8, 9, 10])
    fewer, larger = sorted((some, more))
    one, other = (draw_subjects(table, candidates, people, (seed,)) for people in (fewer, larger))
    assert set(one) <= set(other) <= set(candidates)
    for drawn, people in ((one, fewer), (other, larger)):
        names = set(table["subject"][drawn])
        assert len(names) == people
        assert drawn.tolist() == [w for w in candidates if table["subject"][w] in names]
    with pytest.raises(SplitError, match="7 labelled subjects were asked for; expected 1 to 6: a, b"):
        draw_subjects(table, candidates, 7, (seed,))


@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 5), st.integers(0, 5))
def test_windows_of_few_people_are_nested_too(seed: int, people: int, shots: int, more: int) -> None:
    labels = np.array(["a", "b"] * 30)
    table = _of(labels)
    fewer, _ = draw_support(table, np.arange(60), shots, (seed,), people)
    larger, _ = draw_support(table, np.arange(60), shots + more, (seed,), people)
    assert set(fewer) <= set(larger)
    owners = set(table["subject"][draw_subjects(table, np.arange(60), people, (seed,))])
    assert set(table["subject"][larger]) <= owners
    assert len(owners) == people
    assert [(labels[fewer] == name).sum() for name in "ab"] == [shots, shots]


def test_every_person_is_drawn_about_as_often() -> None:
    table = {"subject": np.array(list("abcde"))}
    drawn = np.concatenate([draw_subjects(table, np.arange(5), 2, (0, "t", 0, draw)) for draw in range(500)])
    # Binomial with 500 draws and 2/5: 200 +- 11; five standard deviations.
    assert np.abs(np.bincount(drawn, minlength=5) - 200).max() < 55


def test_folds_of_every_grouping_test_each_subject_in_every_company() -> None:
    table = {"subject": np.repeat(["a", "b", "c", "d"], 4), "activity": np.tile(["walk", "sit"], 8)}
    folds = make_folds(table, 2, every_grouping=True)
    assert [fold.number for fold in folds] == list(range(6))
    tested = Counter(name for fold in folds for name in fold.test_subjects)
    assert tested == {"a": 3, "b": 3, "c": 3, "d": 3}
    assert all(set(fold.test_subjects).isdisjoint(fold.support_subjects) for fold in folds)
