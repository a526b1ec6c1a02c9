"""Groups of subjects that are tested in turn: in one way, or in every way."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from datamodules.labels.natural_order import natural_key
from experiments.evaluation.errors import SplitError

LARGEST_LOSO = 25  # subjects that are left out one by one; more are cut into groups
GROUPED_FOLDS = 10
MOST_GROUPINGS = 60


def subject_folds(subjects: Iterable[str], folds: int) -> list[list[str]]:
    """Cut subjects, in natural order, into contiguous groups as even as possible.

    Args:
        subjects: names; a repeated name is one subject.
        folds: number of groups, at least 2. With 0, up to ``LARGEST_LOSO`` subjects are left out one at a time, and
            more subjects are cut into ``GROUPED_FOLDS`` groups.

    Raises:
        SplitError: one group was asked for, or more groups than there are subjects.
    """
    names = sorted(set(subjects), key=natural_key)
    if folds == 0:
        folds = max(2, len(names) if len(names) <= LARGEST_LOSO else GROUPED_FOLDS)
    if folds < 2:
        raise SplitError(
            f"evaluation.folds is {folds}; expected at least 2, or 0 for one subject at a time: labels come from the"
            " subjects not tested"
        )
    if len(names) < folds:
        found = ", ".join(names) or "none"
        raise SplitError(f"evaluation.folds is {folds}, but there are only {len(names)} labelled subjects: {found}")
    return [[str(name) for name in group] for group in np.array_split(np.array(names, dtype=object), folds)]


def all_groupings(subjects: Iterable[str], folds: int) -> list[list[list[str]]]:
    """List every way to cut subjects into groups as even as possible.

    Which subjects share a group decides much where they are few: four subjects can be halved in three ways.

    Args:
        subjects: names; repeats are one subject.
        folds: number of groups, as for :func:`subject_folds`.

    Returns:
        Groupings, each a list of groups; the first of each begins with the first subject.

    Raises:
        SplitError: one group, fewer subjects than groups, or more than ``MOST_GROUPINGS`` ways.
    """
    contiguous = subject_folds(subjects, folds)
    names = [name for group in contiguous for name in group]
    ways = _ways([len(group) for group in contiguous])
    if ways > MOST_GROUPINGS:
        raise SplitError(
            f"evaluation.all_groupings: {len(names)} subjects can be cut into {len(contiguous)} groups in {ways} ways;"
            f" expected at most {MOST_GROUPINGS}"
        )
    return list(_groupings(names, sorted((len(group) for group in contiguous), reverse=True)))


def _ways(sizes: Sequence[int]) -> int:
    ways = math.factorial(sum(sizes))
    for size in sizes:
        ways //= math.factorial(size)
    for count in Counter(sizes).values():
        ways //= math.factorial(count)
    return ways


def _groupings(names: Sequence[str], sizes: Sequence[int]) -> Iterator[list[list[str]]]:
    """Yield groupings: the first name's group in every size that is left, and the rest likewise."""
    if not sizes:
        yield []
        return
    first, others = names[0], list(names[1:])
    for size in sorted(set(sizes), reverse=True):
        left = list(sizes)
        left.remove(size)
        for chosen in itertools.combinations(others, size - 1):
            rest = [name for name in others if name not in chosen]
            for grouping in _groupings(rest, left):
                yield [[first, *chosen], *grouping]
