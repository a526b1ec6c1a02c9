"""Who is tested, and which labelled windows a method gets: by subject, always.

Folds depend on the subjects' names alone. Draws depend on names and a key, never on the order of windows in a
batch or on the method, so that every method gets the same windows and more shots contain the fewer.

Shape legend: N windows of a data set.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNLABELLED = ""


class SplitError(ValueError):
    """Data that can't be split as asked; the message says what was found and what is expected."""


class LeakError(SplitError):
    """A subject would be on both sides; the message names them."""


@dataclass(frozen=True)
class Fold:
    """One group of subjects that is tested, and what labels may be drawn from.

    Attributes:
        number: of the fold, from 0.
        test_subjects: in natural order.
        support_subjects: all others, in natural order.
        classes: activities that both sides show, sorted; labels are positions in it.
        pool: windows of the support subjects that show one of ``classes``, ascending.
        test: windows of the test subjects that do, ascending.
        left_out: activities that only one side shows, sorted.
    """

    number: int
    test_subjects: list[str]
    support_subjects: list[str]
    classes: list[str]
    pool: NDArray[np.int64]
    test: NDArray[np.int64]
    left_out: list[str]


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts "s2" before "s10"."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]


def subject_folds(subjects: Iterable[str], folds: int) -> list[list[str]]:
    """Cut subjects, in natural order, into contiguous groups as even as possible.

    Args:
        subjects: names; repeats are one subject.
        folds: number of groups, at least 2.

    Raises:
        SplitError: fewer than 2 groups, or fewer subjects than groups.
    """
    names = sorted(set(subjects), key=natural_key)
    if folds < 2:
        raise SplitError(f"evaluation.folds is {folds}; expected at least 2: labels come from the subjects not tested")
    if len(names) < folds:
        found = ", ".join(names) or "none"
        raise SplitError(f"evaluation.folds is {folds}, but there are only {len(names)} labelled subjects: {found}")
    return [[str(name) for name in group] for group in np.array_split(np.array(names, dtype=object), folds)]


def make_folds(
    subjects: NDArray[np.str_], activities: NDArray[np.str_], folds: int, only: Sequence[str] = ()
) -> list[Fold]:
    """All folds of a data set.

    Args:
        subjects: of each window, (N,).
        activities: of each window, (N,); "" is unlabelled and not used.
        folds: number of groups of subjects.
        only: these activities; empty takes all.

    Raises:
        SplitError: too few subjects, an activity in ``only`` that is not there, or a fold whose two sides
            share fewer than two activities.
    """
    there = sorted({str(a) for a in activities} - {UNLABELLED})
    missing = sorted(set(only) - set(there))
    if missing:
        raise SplitError(f"evaluation.activities names '{missing[0]}'; there are: {', '.join(there) or 'none'}")
    usable = np.isin(activities, list(only) if only else there)
    if not usable.any():
        raise SplitError("no window has a label: there is nothing to evaluate")
    groups = subject_folds((str(s) for s in subjects[usable]), folds)
    everyone = [subject for group in groups for subject in group]
    result = []
    for number, tested in enumerate(groups):
        is_test = usable & np.isin(subjects, tested)
        is_support = usable & ~is_test
        seen, asked = {str(a) for a in activities[is_support]}, {str(a) for a in activities[is_test]}
        classes = sorted(seen & asked, key=natural_key)
        if len(classes) < 2:
            raise SplitError(
                f"fold {number} tests {', '.join(tested)}, who share {len(classes)} activities with others"
                f" ({', '.join(classes) or 'none'}); expected at least 2: try other evaluation.folds"
            )
        of_class = np.isin(activities, classes)
        supporting = [subject for subject in everyone if subject not in tested]
        assert_disjoint(supporting, tested)
        result.append(
            Fold(
                number,
                tested,
                supporting,
                classes,
                np.flatnonzero(is_support & of_class),
                np.flatnonzero(is_test & of_class),
                sorted(seen ^ asked, key=natural_key),
            )
        )
    return result


def draw_support(
    labels: NDArray[np.str_], candidates: NDArray[np.int64], shots: int, key: Sequence[int | str]
) -> tuple[NDArray[np.int64], list[str]]:
    """Draw ``shots`` windows of each activity, without replacement.

    The same key gives the same order of an activity's windows whatever the number of shots, so that the
    windows of fewer shots are among those of more.

    Args:
        labels: activity of every window, (N,).
        candidates: windows to draw from.
        shots: windows an activity; one with fewer gives all it has.
        key: what the draw is for, e.g. seed, data set, fold and number of the draw.

    Returns:
        The windows, ascending, and a note for each activity with too few.

    Raises:
        SplitError: ``shots`` is below 1.
    """
    if shots < 1:
        raise SplitError(f"evaluation.shots has {shots}; expected at least 1 window an activity")
    drawn, notes = [], []
    candidates = np.unique(candidates)
    for activity in sorted({str(label) for label in labels[candidates]}, key=natural_key):
        windows = candidates[labels[candidates] == activity]
        digest = hashlib.sha256(json.dumps([*key, activity]).encode()).digest()
        order = np.random.default_rng(int.from_bytes(digest, "big")).permutation(len(windows))
        drawn.append(windows[order[:shots]])
        if len(windows) < shots:
            notes.append(f"'{activity}' has {len(windows)} windows, fewer than the {shots} shots")
    return np.sort(np.concatenate(drawn)), notes


def assert_disjoint(support_subjects: Iterable[str], test_subjects: Iterable[str]) -> None:
    """Refuse a subject on both sides.

    Raises:
        LeakError: there is one; the message names all.
    """
    both = sorted(set(support_subjects) & set(test_subjects), key=natural_key)
    if both:
        raise LeakError(f"subjects give labels and are tested: {', '.join(both)}")


def seen_subjects(source: str, subjects: Iterable[str], pretraining_subjects: Iterable[str]) -> list[str]:
    """Subjects of a target that were in pretraining.

    Args:
        source: name of the target's source.
        subjects: the target's.
        pretraining_subjects: as "source/subject".
    """
    known = set(pretraining_subjects)
    return sorted({s for s in subjects if f"{source}/{s}" in known}, key=natural_key)
