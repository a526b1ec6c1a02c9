"""Pseudo-labels: labels of a few windows are spread over all windows of the people who are not tested.

Whoever labels a few windows has the others too: of the same people, and of people of whom nothing is labelled. The
method is fitted on the labelled ones, with each person's features in units of that person, and labels the others with
what it finds likeliest (self-training: Scudder 1965; Lee 2013, "Pseudo-label"). A second fit learns from all of them,
on features as they are. The probabilities of a first and of the second fit are averaged, since the second one also
learns what the labels got wrong. Nothing of a tested person is known.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.evaluation.adaptation.person import person
from experiments.evaluation.adaptation.registry import adaptation
from experiments.evaluation.cells import KNOWS_NOTHING
from experiments.evaluation.features.feature_table import in_blocks
from experiments.evaluation.methods import CellData, Fit, Predict
from experiments.evaluation.methods.registry import Indices
from experiments.evaluation.methods.sharing import mean_of

MOST = 2000  # windows of the second fit: the labelled ones, and others of the pool at random


@adaptation("pseudo_labels", on_tables=True, person_windows="", knowledge=KNOWS_NOTHING)
def pseudo_labels(fit: Fit, data: CellData) -> Predict:
    """Fit on the labelled windows, and once more on the pool with the labels that a fit by person gives."""
    windows = _drawn(data)
    labels = _labelled(fit, data, windows)
    subjects = data.features.shards.table["subject"][windows]
    second = replace(data, support=windows, support_labels=labels, support_subjects=subjects)
    return mean_of(fit(data), fit(second))


def _drawn(data: CellData) -> Indices:
    """Choose windows of the pool, ascending: all that have a label, and others at random."""
    known = np.unique(data.support)
    others = np.setdiff1d(data.pool, known)
    if len(known) + len(others) > MOST:
        others = np.random.default_rng(data.seed).permutation(others)[: max(0, MOST - len(known))]
    return np.union1d(known, others)


def _labelled(fit: Fit, data: CellData, windows: Indices) -> Indices:
    """Label windows, among which the support is: known labels as they are, others by a fit in units of each person."""
    predict = person(fit, replace(data, unlabelled=data.pool))
    labels = np.concatenate([predict(data.features, part).argmax(axis=1) for part in in_blocks(windows)])
    labels[np.searchsorted(windows, data.support)] = data.support_labels
    return labels
