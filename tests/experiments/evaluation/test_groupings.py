"""Groupings of subjects: every one is there, once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.evaluation.errors import SplitError
from experiments.evaluation.groupings import all_groupings, subject_folds


@given(st.integers(2, 8), st.integers(2, 4))
def test_every_grouping_is_there_once(n: int, folds: int) -> None:
    names = [f"s{i}" for i in range(n)]
    if n < folds:
        with pytest.raises(SplitError, match="only"):
            all_groupings(names, folds)
        return
    ways = stirling_of_even_groups(n, folds)
    if ways > 60:
        with pytest.raises(SplitError, match=f"in {ways} ways"):
            all_groupings(names, folds)
        return
    found = all_groupings(names, folds)
    as_sets = {frozenset(frozenset(group) for group in grouping) for grouping in found}
    assert len(as_sets) == len(found) == ways
    for grouping in found:
        assert sorted(name for group in grouping for name in group) == names
        assert max(map(len, grouping)) - min(map(len, grouping)) <= 1
    assert frozenset(map(frozenset, subject_folds(names, folds))) in as_sets


def stirling_of_even_groups(n: int, folds: int) -> int:
    """By counting: assign labels to subjects, keep even ones, forget which group is which."""
    counted = set()
    for labels in itertools.product(range(folds), repeat=n):
        sizes = [labels.count(k) for k in range(folds)]
        if max(sizes) - min(sizes) <= 1 and min(sizes) > 0:
            counted.add(frozenset(frozenset(i for i in range(n) if labels[i] == k) for k in range(folds)))
    return len(counted)
