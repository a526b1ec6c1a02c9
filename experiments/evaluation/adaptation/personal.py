"""Adaptations to labels of the tested person: k windows per activity, of that person's earlier trials.

What is tested are the person's later trials, see :mod:`experiments.evaluation.sealed_slice`. The method is fitted once
per person, on the labelled windows of the support subjects and on those of the person, which count several times.
Many people have labels of some activities only.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from datamodules.labels.label_column import concatenated
from experiments.evaluation.adaptation.people import wearers
from experiments.evaluation.adaptation.registry import adaptation
from experiments.evaluation.cells import KNOWS_LABELS
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods import CellData, Fit, Predict, Scores
from experiments.evaluation.methods.registry import Indices

_SLICE = ("evaluation.personal_gap_s",)


def with_labels(data: CellData, windows: Indices, labels: Indices, weight: int) -> CellData:
    """Add one person's labelled windows to the support, where each counts ``weight`` times.

    Activities without a label of the person get the same weight from others: they would be answered too rarely.

    Args:
        data: the cell.
        windows: the person's labelled windows, (K,).
        labels: their positions in the classes, (K,).
        weight: how often each counts.
    """
    lacking = ~np.isin(data.support_labels, labels)
    more = np.repeat(np.concatenate([windows, data.support[lacking]]), weight)
    return replace(
        data,
        support=np.concatenate([data.support, more]),
        support_labels=np.concatenate(
            [data.support_labels, np.repeat(np.concatenate([labels, data.support_labels[lacking]]), weight)]
        ),
        support_subjects=concatenated([data.support_subjects, data.features.shards.table["subject"][more]]),
    )


@adaptation(
    "personal",
    on_labels=True,
    settings=(*_SLICE, "evaluation.personal_weight"),
    person_windows="",
    knowledge=KNOWS_LABELS,
)
def personal(fit: Fit, data: CellData) -> Predict:
    """Fit on the support subjects' labels and on the person's own, each of which counts ``personal_weight`` times."""
    owners = wearers(data.features.shards)
    weight = data.config.evaluation.personal_weight
    fitted: dict[int, Predict] = {}
    for person in np.unique(owners[data.personal]).tolist():
        own = owners[data.personal] == person
        fitted[person] = fit(with_labels(data, data.personal[own], data.personal_labels[own], weight))
    without = fit(data)  # for people of whom no window is labelled

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        scores = np.zeros((len(windows), len(data.classes)))
        for person in np.unique(owners[windows]).tolist():
            own = owners[windows] == person
            scores[own] = fitted.get(person, without)(features, windows[own])
        return scores

    return predict


@adaptation("personal_none", on_labels=True, settings=_SLICE, person_windows="", knowledge=KNOWS_LABELS)
def personal_none(fit: Fit, data: CellData) -> Predict:
    """Use none of the person's labels, and be tested on the same later windows: the control."""
    return fit(data)
