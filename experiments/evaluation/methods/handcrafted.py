"""Methods on handcrafted features: baselines that know nothing of pretraining.

Shape legend: N' windows to be predicted, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from experiments.evaluation.features.feature_table import Features
from experiments.evaluation.features.forests import Forest, fit_extra_trees, fit_forest
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.registry import CellData, Indices, Predict, method
from experiments.evaluation.methods.sharing import fit_once, mean_of, predict_once
from experiments.evaluation.worker_pool import run_in_pool
from lightning_modules.probe import LinearProbe, fit_probe

CLIP = 6.0  # standard deviations: a handful of windows has features hundreds of them away
_LOGISTIC = ("evaluation.logistic_c",)
_TREES = ("evaluation.forest_trees",)


@method("handcrafted_rf", needs_labels=True, settings=_TREES)
def handcrafted_rf(data: CellData) -> Predict:
    """Fit a random forest."""
    return _trees(data, fit_forest)


@method("handcrafted_trees", needs_labels=True, settings=_TREES)
def handcrafted_trees(data: CellData) -> Predict:
    """Fit extremely randomised trees (Geurts et al. 2006)."""
    return _trees(data, fit_extra_trees)


@method("handcrafted_logistic", needs_labels=True, settings=_LOGISTIC)
def handcrafted_logistic(data: CellData) -> Predict:
    """Fit a logistic regression, on features standardised over the unlabelled windows of the support subjects."""
    return predict_once(data, _logistic_name(data), fit_logistic_on(data), _rows)


@method("handcrafted_mean", needs_labels=True, settings=(*_LOGISTIC, *_TREES))
def handcrafted_mean(data: CellData) -> Predict:
    """Average the probabilities of the logistic regression and of the extremely randomised trees."""
    return mean_of(handcrafted_logistic(data), handcrafted_trees(data))


def fit_logistic_on(data: CellData) -> LinearProbe:
    """Fit the logistic regression of ``handcrafted_logistic``, once for all methods that use it."""
    rows = data.features.handcrafted

    def fit() -> LinearProbe:
        standardisation = replace(rows.standardisation(data.pool), clip=CLIP)
        c = data.config.evaluation.logistic_c
        return run_in_pool(fit_probe, rows[data.support], data.support_labels, len(data.classes), standardisation, c)

    return fit_once(data, _logistic_name(data), fit)


def fit_trees_on(data: CellData, fit: Callable[..., Forest]) -> Forest:
    """Fit trees, by ``fit_forest`` or ``fit_extra_trees``, on the support, once for all methods that use them."""
    rows = data.features.handcrafted

    def fit_trees() -> Forest:
        trees = data.config.evaluation.forest_trees
        seed = data.seed % 2**32
        return run_in_pool(fit, rows[data.support], data.support_labels, len(data.classes), seed, trees)

    return fit_once(data, _trees_name(data, fit), fit_trees)


def _trees(data: CellData, fit: Callable[..., Forest]) -> Predict:
    return predict_once(data, _trees_name(data, fit), fit_trees_on(data, fit), _rows)


def _logistic_name(data: CellData) -> str:
    return f"handcrafted, logistic {data.config.evaluation.logistic_c}"


def _trees_name(data: CellData, fit: Callable[..., Forest]) -> str:
    return f"handcrafted, {fit.__name__} {data.config.evaluation.forest_trees}"


def _rows(features: TargetFeatures, windows: Indices) -> Features:
    return features.handcrafted[windows]
