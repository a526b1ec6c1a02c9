"""Hybrid methods: handcrafted features and those of an encoder, side by side.

Each block is standardised over the unlabelled windows of the support subjects, and both have the same share in the
variance, so that the penalty treats them alike.

Shape legend: N' windows to be predicted, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from experiments.evaluation.features.feature_table import FeatureTable
from experiments.evaluation.features.handcrafted import fit_extra_trees
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.handcrafted import CLIP, fit_trees_on
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores, method
from experiments.evaluation.worker_pool import run_in_pool
from lightning_modules.probe import LinearProbe, Standardisation, fit_probe

# The encoder's features of a target.
Encoder = Callable[[TargetFeatures], FeatureTable]
_LOGISTIC = ("evaluation.logistic_c",)


@method("hybrid_logistic", needs_labels=True, encoder=True, checkpoint=True, settings=_LOGISTIC)
def hybrid_logistic(data: CellData) -> Predict:
    """Fit a logistic regression on handcrafted and pretrained features."""
    return _logistic(data, lambda features: features.pretrained)


@method("hybrid_random", needs_labels=True, encoder=True, settings=_LOGISTIC)
def hybrid_random(data: CellData) -> Predict:
    """Fit the same with a random encoder in place of the pretrained one: the control of ``hybrid_logistic``."""
    return _logistic(data, lambda features: features.random)


@method(
    "hybrid_mean",
    needs_labels=True,
    encoder=True,
    checkpoint=True,
    settings=(*_LOGISTIC, "evaluation.forest_trees"),
)
def hybrid_mean(data: CellData) -> Predict:
    """Average the probabilities of ``hybrid_logistic`` and of ``handcrafted_trees``."""
    logistic, trees = hybrid_logistic(data), fit_trees_on(data, fit_extra_trees)

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        return (logistic(features, windows) + trees.probabilities(features.handcrafted[windows])) / 2

    return predict


def fit_hybrid_on(data: CellData, encoder: FeatureTable) -> LinearProbe:
    """Fit the logistic regression of ``hybrid_logistic``, on handcrafted features and, after them, the encoder's."""
    blocks = (data.features.handcrafted, encoder)
    standardisation = Standardisation.side_by_side(
        [replace(rows.standardisation(data.pool), clip=CLIP) for rows in blocks]
    )
    known = np.concatenate([rows[data.support] for rows in blocks], axis=1)
    c = data.config.evaluation.logistic_c
    return run_in_pool(fit_probe, known, data.support_labels, len(data.classes), standardisation, c)


def _logistic(data: CellData, encoder: Encoder) -> Predict:
    probe = fit_hybrid_on(data, encoder(data.features))

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        rows = np.concatenate([features.handcrafted[windows], encoder(features)[windows]], axis=1)
        return probe.probabilities(rows)

    return predict
