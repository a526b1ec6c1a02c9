"""Methods that also learn from labels of other laboratories.

Shape legend: N' windows to be predicted, C classes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.evaluation.features.feature_table import FeatureRows
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.aeon_baselines import hydra
from experiments.evaluation.methods.handcrafted import CLIP, handcrafted_trees
from experiments.evaluation.methods.hybrid import handcrafted, logistic_side_by_side, pretrained
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores, method
from experiments.evaluation.methods.sharing import mean_of
from experiments.evaluation.worker_pool import run_in_pool
from lightning_modules.probe import LinearProbe, Standardisation, fit_probe

_LOGISTIC = ("evaluation.logistic_c",)
_ENCODER = ("evaluation.transfer",)
_TREES = ("evaluation.forest_trees",)


@method("whitened_logistic", needs_labels=True, sources=True, settings=_LOGISTIC)
def whitened_logistic(data: CellData) -> Predict:
    """Fit a logistic regression on handcrafted features that are whitened by the spread within other sets' activities.

    Features are standardised over the unlabelled windows of the support subjects first, as in ``handcrafted_logistic``.
    """
    assert data.sources is not None
    whitening = data.sources.whitening
    rows = data.features.handcrafted
    standardisation = replace(rows.standardisation(data.pool), clip=CLIP)
    width = rows.shape[1]
    plain = Standardisation(np.zeros(width), np.ones(width))

    def whitened(table: FeatureRows, windows: Indices) -> Scores:
        return whitening(standardisation(table[windows]))

    c = data.config.evaluation.logistic_c
    known = whitened(rows, data.support)
    probe: LinearProbe = run_in_pool(fit_probe, known, data.support_labels, len(data.classes), plain, c)

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        return probe.probabilities(whitened(features.handcrafted, windows))

    return predict


def transferred(features: TargetFeatures) -> FeatureRows:
    """Give the features of a target by the encoder trained on labels of other laboratories."""
    return features.transferred


@method("transfer_probe", needs_labels=True, sources=True, settings=(*_LOGISTIC, *_ENCODER))
def transfer_probe(data: CellData) -> Predict:
    """Fit a logistic regression on features of the encoder trained on labels of other laboratories."""
    return logistic_side_by_side(data, {"transferred": transferred})


@method("transfer_logistic", needs_labels=True, sources=True, settings=(*_LOGISTIC, *_ENCODER))
def transfer_logistic(data: CellData) -> Predict:
    """Fit a logistic regression on handcrafted features and on those of ``transfer_probe``."""
    return logistic_side_by_side(data, {"handcrafted": handcrafted, "transferred": transferred})


@method("transfer_mean", needs_labels=True, sources=True, settings=(*_LOGISTIC, *_ENCODER, *_TREES))
def transfer_mean(data: CellData) -> Predict:
    """Average the probabilities of ``transfer_logistic`` and of ``handcrafted_trees``."""
    return mean_of(transfer_logistic(data), handcrafted_trees(data))


@method("transfer_hydra", needs_labels=True, sources=True, settings=(*_LOGISTIC, *_ENCODER, *_TREES))
def transfer_hydra(data: CellData) -> Predict:
    """Average the probabilities of ``transfer_logistic``, ``handcrafted_trees`` and ``hydra``."""
    return mean_of(transfer_logistic(data), handcrafted_trees(data), hydra(data))


@method(
    "transfer_hybrid",
    needs_labels=True,
    encoder=True,
    checkpoint=True,
    sources=True,
    settings=(*_LOGISTIC, *_ENCODER, *_TREES),
)
def transfer_hybrid(data: CellData) -> Predict:
    """Do the same with the features of the checkpoint's encoder as a third block."""
    blocks = {"handcrafted": handcrafted, "pretrained": pretrained, "transferred": transferred}
    return mean_of(logistic_side_by_side(data, blocks), handcrafted_trees(data))
