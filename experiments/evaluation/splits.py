"""Splits by subject: the tested subjects, and the labelled windows that a method gets.

Folds depend on the subjects' names, and on the side that a window may be on. Draws depend on names and a key, never on
the order of windows in a batch or on the method. Every method therefore gets the same windows, and the windows of
fewer shots are among those of more.

Shape legend: N windows of a data set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.labels.label_column import UNLABELLED, LabelColumn, among, distinct, numbered
from datamodules.labels.natural_order import natural_key
from datamodules.privacy.pseudonyms import is_pseudonym
from experiments.evaluation.errors import SplitError
from experiments.evaluation.groupings import all_groupings, subject_folds

BoolArray = NDArray[np.bool_]
Table = Mapping[str, Any]  # columns of (N,): names (``datamodules.labels.label_column``) or numbers

CONDITION_COLUMNS = ("dataset", "subject", "population", "placement", "device")


NOT_COMPARABLE = "some people have names and others pseudonyms (privacy.pseudonyms), so nobody knows who was seen"


class LeakError(SplitError):
    """A subject, or a window, is on both sides; the message names them."""


@dataclass(frozen=True)
class Fold:
    """One group of tested subjects, and the windows that labels may be drawn from.

    Attributes:
        number: number of the fold, from 0.
        test_subjects: tested subjects, in natural order.
        support_subjects: all other subjects that labels may come from, in natural order.
        classes: activities that labels can be drawn of, sorted; labels are positions in this list.
        pool: windows of the support subjects that show one of ``classes``, ascending.
        test: windows of the test subjects that show one of ``classes``, ascending.
        left_out: activities that only test subjects show, sorted -> number of their windows.
    """

    number: int
    test_subjects: list[str]
    support_subjects: list[str]
    classes: list[str]
    pool: NDArray[np.int64]
    test: NDArray[np.int64]
    left_out: dict[str, int]


def make_folds(
    table: Table,
    folds: int,
    only: Sequence[str] = (),
    test_side: BoolArray | None = None,
    support_side: BoolArray | None = None,
    every_grouping: bool = False,
) -> list[Fold]:
    """Make all folds of a target.

    If no subject is on both sides, the whole test side is one fold. This is so with labels from another data set or
    population. A single tested subject is one fold too, if others give labels.

    Args:
        table: ``subject`` and ``activity`` of each window, (N,) each; "" is unlabelled and not used.
        folds: number of groups of subjects, see :func:`subject_folds`.
        only: activities to use; empty uses all.
        test_side: windows that may be tested, (N,); None for all.
        support_side: windows that labels may come from, (N,); None for all.
        every_grouping: take the groups of :func:`all_groupings`, so that each subject is tested in every company.

    Raises:
        SplitError: there are too few subjects, no window shows an activity of ``only``, or a fold has labels of fewer
            than two activities, or nothing to test.
    """
    subjects, activities = table["subject"], table["activity"]
    there = [name for name in distinct(activities) if name != UNLABELLED]
    missing = sorted(set(only) - set(there))
    if missing:
        raise SplitError(f"evaluation.activities names '{missing[0]}'; there are: {', '.join(there) or 'none'}")
    usable = among(activities, only or there)
    if not usable.any():
        raise SplitError("no window has a label: there is nothing to evaluate")
    tested = usable if test_side is None else usable & test_side
    supporting = usable if support_side is None else usable & support_side
    for side, what in ((tested, "test"), (supporting, "give labels")):
        if not side.any():
            raise SplitError(f"no labelled window to {what}: no window meets the target's conditions")
    testable, labelled = set(distinct(subjects[tested])), set(distinct(subjects[supporting]))
    whole = testable.isdisjoint(labelled) or (folds == 0 and len(testable) == 1 and labelled > testable)
    if whole:
        groups = [sorted(testable, key=natural_key)]
    elif every_grouping:
        groups = [group for grouping in all_groupings(testable, folds) for group in grouping]
    else:
        groups = subject_folds(testable, folds)
    return [_fold(number, group, subjects, activities, tested, supporting) for number, group in enumerate(groups)]


def _fold(
    number: int,
    group: list[str],
    subjects: LabelColumn,
    activities: LabelColumn,
    tested: BoolArray,
    supporting: BoolArray,
) -> Fold:
    in_group = among(subjects, group)
    is_test, is_support = tested & in_group, supporting & ~in_group
    # Only the labels may limit the answers, not the activities of the tested subjects.
    classes = sorted(distinct(activities[is_support]), key=natural_key)
    known = among(activities, classes)
    if len(classes) < 2 or not (is_test & known).any():
        raise SplitError(
            f"fold {number} tests {', '.join(group)} with labels of {len(classes)} activities"
            f" ({', '.join(classes) or 'none'}); expected at least 2, and some of them tested: try other"
            " evaluation.folds"
        )
    others = sorted(distinct(subjects[is_support]), key=natural_key)
    assert_disjoint(others, group)
    unknown, which = numbered(activities[is_test & ~known])
    by_name = dict(zip(unknown, np.bincount(which, minlength=len(unknown)).tolist(), strict=True))
    left_out = {name: by_name[name] for name in sorted(by_name, key=natural_key)}
    return Fold(number, group, others, classes, np.flatnonzero(is_support), np.flatnonzero(is_test & known), left_out)


def where(table: Table, conditions: Mapping[str, Sequence[str]]) -> BoolArray:
    """Choose the windows whose columns have one of the given values, (N,); no condition chooses all.

    Args:
        table: columns of (N,).
        conditions: column -> values, e.g. ``{"population": ["young"]}``.

    Raises:
        SplitError: there is no such column, or no window has a value.
    """
    chosen: BoolArray = np.ones(len(table["subject"]), bool)
    for column, values in conditions.items():
        if column not in CONDITION_COLUMNS:
            raise SplitError(f"windows can't be chosen by '{column}'; expected one of {', '.join(CONDITION_COLUMNS)}")
        there = sorted(distinct(table[column]), key=natural_key)
        for value in values:
            if value not in there:
                raise SplitError(f"no window has {column} '{value}'; there are: {', '.join(there)}")
        chosen &= among(table[column], values)
    return chosen


def union(sets: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Merge sets of windows, ascending."""
    there = np.zeros(max((int(windows.max()) + 1 for windows in sets if windows.size), default=0), bool)
    for windows in sets:
        there[windows] = True
    return np.flatnonzero(there)


def non_overlapping(table: Table, duration_s: float) -> BoolArray:
    """Choose windows so that no two of one sensor overlap, (N,): the first, the first after its end, and so on.

    Args:
        table: ``recording``, ``placement`` and ``start_s``, (N,) each.
        duration_s: length of a window, seconds.
    """
    start = np.asarray(table["start_s"], np.float64)
    recording, placement = (numbered(table[name])[1].astype(np.int32) for name in ("recording", "placement"))
    kept = np.ones(len(start), bool)
    order = np.lexsort((start, placement, recording))
    same = (np.diff(recording[order]) == 0) & (np.diff(placement[order]) == 0)
    # Most sensors' windows do not overlap. Only the other sensors need the loop.
    near = same & (np.diff(start[order]) < duration_s - 1e-6)
    edges = np.flatnonzero(np.concatenate([[True], ~same, [True]]))
    for stream in np.unique(np.searchsorted(edges, np.flatnonzero(near), side="right") - 1).tolist():
        free_from = -np.inf
        for window in order[edges[stream] : edges[stream + 1]].tolist():
            kept[window] = start[window] >= free_from - 1e-6
            if kept[window]:
                free_from = start[window] + duration_s
    return kept


def draw_support(
    table: Table,
    candidates: NDArray[np.int64],
    shots: int,
    key: Sequence[int | str],
    subjects: int = 0,
) -> tuple[NDArray[np.int64], list[str]]:
    """Draw ``shots`` windows of each activity, without replacement.

    The same key orders an activity's windows in the same way for every number of shots, so that the windows of
    fewer shots are among those of more.

    Args:
        table: ``activity`` and ``subject`` of every window, (N,) each.
        candidates: windows to draw from.
        shots: windows per activity; an activity with fewer windows gives all of them.
        key: names of the draw, e.g. seed, data set, fold and number of the draw.
        subjects: number of subjects to draw first, and to take windows from; 0 for all.

    Returns:
        The windows, ascending, and a note if activities have too few.

    Raises:
        SplitError: ``shots`` is below 1, or there are fewer subjects than asked for.
    """
    if shots < 1:
        raise SplitError(f"evaluation.shots has {shots}; expected at least 1 window per activity")
    if (candidates[1:] <= candidates[:-1]).any():
        candidates = np.unique(candidates)
    if subjects:
        candidates = draw_subjects(table, candidates, subjects, key)
    labels = table["activity"][candidates]
    drawn, short = [], []
    for activity in sorted(distinct(labels), key=natural_key):
        windows = candidates[labels == activity]
        drawn.append(windows[_order([*key, activity], len(windows))[:shots]])
        if len(windows) < shots:
            short.append(activity)
    few = f"k = {shots}: fewer windows, so all of them, of {', '.join(short)}"
    return np.sort(np.concatenate(drawn)), [few] if short else []


def draw_subjects(
    table: Table, candidates: NDArray[np.int64], subjects: int, key: Sequence[int | str]
) -> NDArray[np.int64]:
    """Draw ``subjects`` subjects and take all their candidate windows; fewer subjects are among more.

    Raises:
        SplitError: fewer than 1 subject was asked for, or more than there are.
    """
    names = sorted(distinct(table["subject"][candidates]), key=natural_key)
    if not 1 <= subjects <= len(names):
        raise SplitError(f"{subjects} labelled subjects were asked for; expected 1 to {len(names)}: {', '.join(names)}")
    drawn = [names[i] for i in _order([*key, "subjects"], len(names))[:subjects]]
    return np.sort(candidates[among(table["subject"][candidates], drawn)])


def generator(key: Sequence[int | str]) -> np.random.Generator:
    """Make the random generator of a draw: the same for the same key, on any machine."""
    digest = hashlib.sha256(json.dumps([*key]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def _order(key: Sequence[int | str], n: int) -> NDArray[np.int64]:
    return generator(key).permutation(n)


def assert_disjoint(support_subjects: Iterable[str], test_subjects: Iterable[str]) -> None:
    """Refuse a subject on both sides.

    Raises:
        LeakError: there is such a subject; the message names all.
    """
    both = sorted(set(support_subjects) & set(test_subjects), key=natural_key)
    if both:
        raise LeakError(f"subjects give labels and are tested: {', '.join(both)}")


def names_against_pseudonyms(tested: Iterable[str], seen: Iterable[str]) -> list[str]:
    """List sources of which one side knows people by name and the other by pseudonym, so that nobody can compare them.

    Args:
        tested: "source/subject" of a target.
        seen: "source/subject" that an encoder has seen.
    """
    kinds: list[set[tuple[str, bool]]] = [
        {(source, is_pseudonym(person)) for source, _, person in (name.partition("/") for name in names)}
        for names in (tested, seen)
    ]
    return sorted({source for source, private in kinds[0] if (source, not private) in kinds[1]})


def seen_subjects(subjects: Iterable[str], pretraining_subjects: Iterable[str]) -> list[str]:
    """List subjects of a target who were in pretraining; all are named "source/subject"."""
    return sorted(set(subjects) & set(pretraining_subjects), key=natural_key)
