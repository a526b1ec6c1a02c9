"""Activities' shares of a tested person: probabilities of that person's windows, corrected together.

A method is fitted on as many windows of each activity, or on whatever was drawn. The tested person's shares differ.
``em`` estimates them from the person's windows alone, and ``balanced`` assumes them.

Shape legend: N' windows of one person, C classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from experiments.evaluation.adaptation.people import wearers
from experiments.evaluation.adaptation.registry import adaptation
from experiments.evaluation.features.feature_table import in_blocks
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods import CellData, Fit, Predict, Scores
from experiments.evaluation.methods.registry import Indices

STEPS = 1000
ENOUGH = 1e-6  # change of a share, or of a sum relative to what it has to be, at which to stop
FLOOR = 1e-6  # least probability before assignment: a forest of 300 trees says 0 where it means below 1/300

Shares = NDArray[np.float64]


@adaptation("em", on_tables=False)
def em(fit: Fit, data: CellData) -> Predict:
    """Estimate each person's shares by the EM algorithm of Saerens et al. 2002, and correct the probabilities."""
    prior = _labelled_shares(data)
    return _by_person(fit, data, lambda scores: corrected_by_em(scores, prior))


@adaptation("balanced", on_tables=False, settings=("evaluation.balanced_towards",))
def balanced(fit: Fit, data: CellData) -> Predict:
    """Assign each person's windows so that activities have given shares: equal ones, or those of the pool."""
    n_classes = len(data.classes)
    shares = np.full(n_classes, 1 / n_classes)
    if data.config.evaluation.balanced_towards == "pool":
        shares = data.pool_counts / data.pool_counts.sum()
    return _by_person(fit, data, lambda scores: assigned(scores, shares))


def corrected_by_em(scores: Scores, prior: Shares) -> Scores:
    """Correct probabilities for shares that differ from those at fitting, which are estimated by EM.

    Args:
        scores: (N', C) probabilities by a model that was fitted at shares ``prior``.
        prior: (C,) all positive.

    Returns:
        (N', C) probabilities at the shares that make these windows most likely.
    """
    likely = scores / prior
    shares = prior
    for _ in range(STEPS):
        found = _normalised(likely * shares)
        new = found.mean(axis=0)
        moved, shares = np.abs(new - shares).max(), new
        if moved < ENOUGH:
            break
    return _normalised(likely * shares)


def assigned(scores: Scores, shares: Shares) -> Scores:
    """Scale rows and columns until each window sums to 1, and the activities have these shares (Sinkhorn 1967).

    Of all such tables, this one is closest to the scores in relative entropy.

    Args:
        scores: (N', C) probabilities; an activity with probability 0 everywhere keeps it.
        shares: (C,) wanted shares.

    Returns:
        (N', C) probabilities; rows sum to 1 exactly, columns nearly to ``N' * shares``.
    """
    answered = (scores > 0).any(axis=0) & (shares > 0)
    if not answered.any():
        return scores
    table = np.maximum(scores[:, answered], FLOOR)
    wanted = shares[answered] / shares[answered].sum() * len(table)
    columns = np.ones(len(wanted))
    for _ in range(STEPS):
        rows = 1 / (table @ columns)
        reached = (rows @ table) * columns
        if np.abs(reached / wanted - 1).max() < ENOUGH:
            break
        columns = columns * wanted / reached
    found = np.zeros_like(scores)
    found[:, answered] = _normalised(table * columns)
    return found


def _by_person(fit: Fit, data: CellData, correct: Callable[[Scores], Scores]) -> Predict:
    predict = fit(data)
    owners = wearers(data.features.shards)

    def predict_together(features: TargetFeatures, windows: Indices) -> Scores:
        scores = np.concatenate([np.asarray(predict(features, part), np.float64) for part in in_blocks(windows)])
        for person in np.unique(owners[windows]).tolist():
            own = owners[windows] == person
            scores[own] = correct(scores[own])
        return scores

    return predict_together


def _labelled_shares(data: CellData) -> Shares:
    """Shares at which the method was fitted, (C,): those of the labelled windows, or equal ones without labels."""
    counts = np.bincount(data.support_labels, minlength=len(data.classes)).astype(np.float64)
    return counts / counts.sum() if counts.all() else np.full(len(counts), 1 / len(counts))


def _normalised(scores: Scores) -> Scores:
    total = scores.sum(axis=1, keepdims=True)
    return np.divide(scores, total, out=np.full_like(scores, 1 / scores.shape[1]), where=total > 0)
