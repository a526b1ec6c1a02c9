"""Activities' shares of a tested person: probabilities of that person's windows, corrected together.

A method answers some activities too often for one person, and others too rarely. ``em`` estimates the person's shares
from unlabelled windows, ``balanced`` assumes them. Both multiply the probabilities of each activity by a factor.
``balanced`` towards equal shares is at its best where every person did each activity as often: most public data sets
are so by design, and no day of wearing is. ``balanced_other`` shows what is left of it otherwise.

Shape legend: N' windows of one person, C classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from experiments.evaluation.adaptation.people import wearers
from experiments.evaluation.adaptation.registry import adaptation
from experiments.evaluation.cells import KNOWS_SHARES
from experiments.evaluation.features.feature_table import in_blocks
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods import CellData, Fit, Predict, Scores
from experiments.evaluation.methods.registry import Indices
from experiments.evaluation.unlabelled import OTHER

STEPS = 1000
ENOUGH = 1e-6  # change of a share, or of a sum relative to what it has to be, at which to stop
FLOOR = 1e-6  # least probability before assignment: a forest of 300 trees says 0 where it means below 1/300

SURE = 0.7  # chosen on UTD-MHAD's people 1, 3, 5, 7: 1 to 6 points above no sharpening
MOST_POWER = 1024.0
TINY = 1e-12

Shares = NDArray[np.float64]


@adaptation("em", on_tables=False)
def em(fit: Fit, data: CellData) -> Predict:
    """Estimate each person's shares by the EM algorithm of Saerens et al. 2002, and correct the probabilities."""
    prior = _labelled_shares(data)
    return _by_person(fit, data, lambda scores: em_factors(scores, prior))


@adaptation("balanced", on_tables=False, settings=("evaluation.balanced_towards",), knowledge=KNOWS_SHARES)
def balanced(fit: Fit, data: CellData) -> Predict:
    """Assign each person's windows so that activities have given shares: equal ones, or those of the pool."""
    return _balanced(fit, data)


@adaptation(
    "balanced_other",
    on_tables=False,
    settings=("evaluation.balanced_towards", "evaluation.draw_seed"),
    person_windows=OTHER,
    knowledge=KNOWS_SHARES,
)
def balanced_other(fit: Fit, data: CellData) -> Predict:
    """Do the same where a tested person's unlabelled windows show other activities in other shares: the control."""
    return _balanced(fit, data)


def _balanced(fit: Fit, data: CellData) -> Predict:
    n_classes = len(data.classes)
    shares = np.full(n_classes, 1 / n_classes)
    if data.config.evaluation.balanced_towards == "pool":
        shares = data.pool_counts / data.pool_counts.sum()
    return _by_person(fit, data, lambda scores: assignment_factors(scores, shares))


def em_factors(scores: Scores, prior: Shares) -> Shares:
    """Compute factors that turn probabilities into those at a person's own shares, which EM estimates.

    Args:
        scores: (N', C) probabilities by a model that was fitted at shares ``prior``.
        prior: (C,) all positive.

    Returns:
        (C,) the shares that make these windows most likely, over ``prior``.
    """
    likely = scores / prior
    shares = prior
    for _ in range(STEPS):
        new = normalised(likely * shares).mean(axis=0)
        moved, shares = np.abs(new - shares).max(), new
        if moved < ENOUGH:
            break
    return np.asarray(shares / prior)


def assignment_factors(scores: Scores, shares: Shares) -> Shares:
    """Compute factors of the activities, so that windows are assigned in these shares (Sinkhorn 1967).

    Rows and columns of a table are scaled in turn, until each window sums to 1 and the activities have their shares. Of
    all such tables, this one is closest to the scores in relative entropy. Unsure scores are sharpened first, see
    :func:`sharpened`: otherwise the sums of small probabilities decide, not the answers. The factors are then those of
    the scores as they were, so that probabilities stay as sure as they were.

    Args:
        scores: (N', C) probabilities.
        shares: (C,) wanted shares; activities with probability 0 everywhere get none, and the others share their part.

    Returns:
        (C,) factors; ``normalised(table * factors**power)`` of the sharpened table and its power has column sums of
        nearly ``N' * shares``.
    """
    factors = np.ones(scores.shape[1])
    answered = (scores > 0).any(axis=0) & (shares > 0)
    if not answered.any():
        return factors
    table, power = sharpened(np.maximum(scores[:, answered], FLOOR))
    wanted = shares[answered] / shares[answered].sum() * len(table)
    columns = np.ones(len(wanted))
    for _ in range(STEPS):
        rows = 1 / (table @ columns)
        reached = (rows @ table) * columns
        if np.abs(reached / wanted - 1).max() < ENOUGH:
            break
        columns = columns * wanted / reached
    factors[answered] = columns ** (1 / power)
    return factors


def sharpened(scores: Scores) -> tuple[Scores, float]:
    """Raise probabilities to the lowest power of 1, 2, 4, ... at which the largest ones are ``SURE`` on average.

    Args:
        scores: (N', C) positive.

    Returns:
        The table, rows summing to 1, and the power.
    """
    power, table = 1.0, normalised(scores)
    while power < MOST_POWER and table.max(axis=1).mean() < SURE:
        power *= 2
        table = normalised((scores / scores.max(axis=1, keepdims=True)) ** power)
    return np.maximum(table, TINY), power


def normalised(scores: Scores) -> Scores:
    """Divide rows by their sums, (N', C); a row of zeros becomes equal shares."""
    total = scores.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(scores, total, out=np.full_like(scores, 1 / scores.shape[1]), where=total > 0))


def _by_person(fit: Fit, data: CellData, factors_of: Callable[[Scores], Shares]) -> Predict:
    """Multiply each person's probabilities by factors, which that person's unlabelled windows give."""
    predict = fit(data)
    owners = wearers(data.features.shards)

    def in_parts(features: TargetFeatures, windows: Indices) -> Scores:
        return np.concatenate([np.asarray(predict(features, part), np.float64) for part in in_blocks(windows)])

    def predict_together(features: TargetFeatures, windows: Indices) -> Scores:
        people = np.unique(owners[windows])
        seen = features.shards.measured(data.unlabelled)
        seen = seen[np.isin(owners[seen], people)]
        scores = in_parts(features, windows)
        unlabelled = scores if np.array_equal(seen, windows) else in_parts(features, seen) if len(seen) else scores[:0]
        for person in people.tolist():
            own, known = owners[windows] == person, owners[seen] == person
            if known.any():
                scores[own] = normalised(scores[own] * factors_of(unlabelled[known]))
        return scores

    return predict_together


def _labelled_shares(data: CellData) -> Shares:
    """Shares at which the method was fitted, (C,): those of the labelled windows, or equal ones without labels."""
    counts = np.bincount(data.support_labels, minlength=len(data.classes)).astype(np.float64)
    return counts / counts.sum() if counts.all() else np.full(len(counts), 1 / len(counts))
