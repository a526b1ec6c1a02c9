"""Hybrid methods: handcrafted features and those of an encoder, side by side.

Each block is standardised over the unlabelled windows of the support subjects, and both have the same share in the
variance, so that the penalty treats them alike.

Shape legend: N' windows to be predicted, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from experiments.evaluation.features.feature_table import FeatureRows, Features
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.handcrafted import CLIP, handcrafted_trees
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores, method
from experiments.evaluation.methods.sharing import fit_once, predict_once
from experiments.evaluation.worker_pool import run_in_pool
from lightning_modules.probe import LinearProbe, Standardisation, fit_probe

# The encoder's features of a target.
Encoder = Callable[[TargetFeatures], FeatureRows]
_LOGISTIC = ("evaluation.logistic_c",)


@method("hybrid_logistic", needs_labels=True, encoder=True, checkpoint=True, settings=_LOGISTIC)
def hybrid_logistic(data: CellData) -> Predict:
    """Fit a logistic regression on handcrafted and pretrained features."""
    return _logistic(data, "pretrained", lambda features: features.pretrained)


@method("hybrid_random", needs_labels=True, encoder=True, settings=_LOGISTIC)
def hybrid_random(data: CellData) -> Predict:
    """Fit the same with a random encoder in place of the pretrained one: the control of ``hybrid_logistic``."""
    return _logistic(data, "random", lambda features: features.random)


@method(
    "hybrid_mean",
    needs_labels=True,
    encoder=True,
    checkpoint=True,
    settings=(*_LOGISTIC, "evaluation.forest_trees"),
)
def hybrid_mean(data: CellData) -> Predict:
    """Average the probabilities of ``hybrid_logistic`` and of ``handcrafted_trees``."""
    logistic, trees = hybrid_logistic(data), handcrafted_trees(data)

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        return (logistic(features, windows) + trees(features, windows)) / 2

    return predict


def _logistic(data: CellData, name: str, encoder: Encoder) -> Predict:
    def rows(features: TargetFeatures, windows: Indices) -> Features:
        return np.concatenate([features.handcrafted[windows], encoder(features)[windows]], axis=1)

    blocks = (data.features.handcrafted, encoder(data.features))  # read outside of what is shared, see fit_once

    def fit() -> LinearProbe:
        standardisation = Standardisation.side_by_side(
            [replace(block.standardisation(data.pool), clip=CLIP) for block in blocks]
        )
        known, c = rows(data.features, data.support), data.config.evaluation.logistic_c
        return run_in_pool(fit_probe, known, data.support_labels, len(data.classes), standardisation, c)

    name = f"handcrafted + {name}, logistic {data.config.evaluation.logistic_c}"
    return predict_once(data, name, fit_once(data, name, fit), rows)
