"""Hybrid methods: handcrafted features and those of an encoder, side by side.

Each block is standardised over the unlabelled windows of the support subjects, and both have the same share in the
variance, so that the penalty treats them alike.

Shape legend: N' windows to be predicted, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from experiments.evaluation.features.feature_table import FeatureRows, Features
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.aeon_baselines import hydra
from experiments.evaluation.methods.handcrafted import CLIP, handcrafted_trees
from experiments.evaluation.methods.registry import CellData, Indices, Predict, method
from experiments.evaluation.methods.sharing import fit_once, mean_of, predict_once
from experiments.evaluation.worker_pool import run_in_pool
from lightning_modules.probe import LinearProbe, Standardisation, fit_probe

# One kind of features of a target.
Block = Callable[[TargetFeatures], FeatureRows]
_LOGISTIC = ("evaluation.logistic_c",)


@method("hybrid_logistic", needs_labels=True, encoder=True, checkpoint=True, settings=_LOGISTIC)
def hybrid_logistic(data: CellData) -> Predict:
    """Fit a logistic regression on handcrafted and pretrained features."""
    return logistic_side_by_side(data, {"handcrafted": handcrafted, "pretrained": pretrained})


@method("hybrid_random", needs_labels=True, encoder=True, settings=_LOGISTIC)
def hybrid_random(data: CellData) -> Predict:
    """Fit the same with a random encoder in place of the pretrained one: the control of ``hybrid_logistic``."""
    return logistic_side_by_side(data, {"handcrafted": handcrafted, "random": lambda features: features.random})


@method(
    "hybrid_mean",
    needs_labels=True,
    encoder=True,
    checkpoint=True,
    settings=(*_LOGISTIC, "evaluation.forest_trees"),
)
def hybrid_mean(data: CellData) -> Predict:
    """Average the probabilities of ``hybrid_logistic`` and of ``handcrafted_trees``."""
    return mean_of(hybrid_logistic(data), handcrafted_trees(data))


@method(
    "hybrid_hydra",
    needs_labels=True,
    encoder=True,
    checkpoint=True,
    settings=(*_LOGISTIC, "evaluation.forest_trees"),
)
def hybrid_hydra(data: CellData) -> Predict:
    """Average the probabilities of ``hybrid_logistic``, ``handcrafted_trees`` and ``hydra``."""
    return mean_of(hybrid_logistic(data), handcrafted_trees(data), hydra(data))


def handcrafted(features: TargetFeatures) -> FeatureRows:
    """Give the handcrafted features of a target."""
    return features.handcrafted


def pretrained(features: TargetFeatures) -> FeatureRows:
    """Give the features of a target by the checkpoint's encoder."""
    return features.pretrained


def fit_hybrid_on(data: CellData) -> LinearProbe:
    """Fit the logistic regression of ``hybrid_logistic``: handcrafted features, and after them the encoder's."""
    return _fit_side_by_side(data, {"handcrafted": handcrafted, "pretrained": pretrained})


def logistic_side_by_side(data: CellData, blocks: Mapping[str, Block]) -> Predict:
    """Fit a logistic regression on blocks of features that have equal shares in the variance.

    Args:
        data: the cell's data.
        blocks: name of a block, by which methods share a fit -> the block.
    """

    def rows(features: TargetFeatures, windows: Indices) -> Features:
        return _rows(blocks, features, windows)

    return predict_once(data, _name(data, blocks), _fit_side_by_side(data, blocks), rows)


def _fit_side_by_side(data: CellData, blocks: Mapping[str, Block]) -> LinearProbe:
    tables = [block(data.features) for block in blocks.values()]  # read outside of what is shared, see fit_once

    def fit() -> LinearProbe:
        standardisation = Standardisation.side_by_side(
            [replace(table.standardisation(data.pool), clip=CLIP) for table in tables]
        )
        known, c = _rows(blocks, data.features, data.support), data.config.evaluation.logistic_c
        return run_in_pool(fit_probe, known, data.support_labels, len(data.classes), standardisation, c)

    return fit_once(data, _name(data, blocks), fit)


def _name(data: CellData, blocks: Mapping[str, Block]) -> str:
    return f"{' + '.join(blocks)}, logistic {data.config.evaluation.logistic_c}"


def _rows(blocks: Mapping[str, Block], features: TargetFeatures, windows: Indices) -> Features:
    return np.concatenate([block(features)[windows] for block in blocks.values()], axis=1)
