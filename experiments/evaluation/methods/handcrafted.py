"""Methods on handcrafted features: baselines that know nothing of pretraining.

Shape legend: N' windows to be predicted, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from experiments.evaluation.features.handcrafted import Forest, fit_extra_trees, fit_forest
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores, method
from experiments.evaluation.worker_pool import run_in_pool
from lightning_modules.probe import LinearProbe, fit_probe

CLIP = 6.0  # standard deviations: a handful of windows has features hundreds of them away
_LOGISTIC = ("evaluation.logistic_c",)
_TREES = ("evaluation.forest_trees",)


@method("handcrafted_rf", needs_labels=True, settings=_TREES)
def handcrafted_rf(data: CellData) -> Predict:
    """Fit a random forest."""
    return _predict_with(fit_trees_on(data, fit_forest))


@method("handcrafted_trees", needs_labels=True, settings=_TREES)
def handcrafted_trees(data: CellData) -> Predict:
    """Fit extremely randomised trees (Geurts et al. 2006)."""
    return _predict_with(fit_trees_on(data, fit_extra_trees))


@method("handcrafted_logistic", needs_labels=True, settings=_LOGISTIC)
def handcrafted_logistic(data: CellData) -> Predict:
    """Fit a logistic regression, on features standardised over the unlabelled windows of the support subjects."""
    return _predict_with(fit_logistic_on(data))


@method("handcrafted_mean", needs_labels=True, settings=(*_LOGISTIC, *_TREES))
def handcrafted_mean(data: CellData) -> Predict:
    """Average the probabilities of the logistic regression and of the extremely randomised trees."""
    probe, trees = fit_logistic_on(data), fit_trees_on(data, fit_extra_trees)

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        rows = features.handcrafted[windows]
        return (probe.probabilities(rows) + trees.probabilities(rows)) / 2

    return predict


def fit_logistic_on(data: CellData) -> LinearProbe:
    """Fit the logistic regression of ``handcrafted_logistic``."""
    rows = data.features.handcrafted
    standardisation = replace(rows.standardisation(data.pool), clip=CLIP)
    c = data.config.evaluation.logistic_c
    return run_in_pool(fit_probe, rows[data.support], data.support_labels, len(data.classes), standardisation, c)


def fit_trees_on(data: CellData, fit: Callable[..., Forest]) -> Forest:
    """Fit trees, by ``fit_forest`` or ``fit_extra_trees``, on the support windows."""
    return run_in_pool(
        fit,
        data.features.handcrafted[data.support],
        data.support_labels,
        len(data.classes),
        data.seed % 2**32,
        data.config.evaluation.forest_trees,
    )


def _predict_with(fitted: Forest | LinearProbe) -> Predict:
    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        return fitted.probabilities(features.handcrafted[windows])

    return predict
