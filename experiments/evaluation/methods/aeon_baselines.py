"""Baselines of the time series literature, by the package aeon (extra ``aeon``): catch22, MiniRocket and Hydra.

Shape legend: N labelled windows, N' windows to be predicted, K features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifierCV

from experiments.evaluation.features.aeon_features import (
    catch22_table,
    hydra_table,
    minirocket_name,
    minirocket_table,
)
from experiments.evaluation.features.feature_table import FeatureRows, Features
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.handcrafted import CLIP, handcrafted_logistic, handcrafted_trees
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores, method
from experiments.evaluation.methods.sharing import Model, fit_once, mean_of, predict_once
from experiments.evaluation.worker_pool import run_in_pool
from lightning_modules.probe import Standardisation, fit_probe

_LOGISTIC = ("evaluation.logistic_c",)
ALPHAS = np.logspace(-3, 3, 10)  # tried by leave-one-out on the labelled windows, as published
STRAIGHT = 0.1  # of a class's even share: down to here, an estimate is taken as it is


@method("catch22", needs_labels=True, settings=_LOGISTIC)
def catch22(data: CellData) -> Predict:
    """Fit a logistic regression on 22 features of each channel, as on the handcrafted ones."""
    return _logistic(data, "catch22", lambda features: features.table("catch22", catch22_table))


@method("minirocket", needs_labels=True)
def minirocket(data: CellData) -> Predict:
    """Fit a ridge classifier on MiniRocket's features; biases and spread are those of the support subjects' windows."""
    return _on_table(data, "minirocket", _rocket(data), lambda rows, spread: _ridge(data, rows, spread))


@method("minirocket_logistic", needs_labels=True, settings=_LOGISTIC)
def minirocket_logistic(data: CellData) -> Predict:
    """Fit a logistic regression on MiniRocket's features, as on the handcrafted ones."""
    return _logistic(data, "minirocket, logistic", _rocket(data))


@method("hydra", needs_labels=True)
def hydra(data: CellData) -> Predict:
    """Fit a ridge classifier on Hydra's features."""

    def table(features: TargetFeatures) -> FeatureRows:
        return features.table("hydra", hydra_table)

    return _on_table(data, "hydra", table, lambda rows, spread: _ridge(data, rows, spread))


@method("handcrafted_hydra", needs_labels=True, settings=(*_LOGISTIC, "evaluation.forest_trees"))
def handcrafted_hydra(data: CellData) -> Predict:
    """Average the probabilities of ``handcrafted_logistic``, ``handcrafted_trees`` and ``hydra``."""
    return mean_of(handcrafted_logistic(data), handcrafted_trees(data), hydra(data))


@dataclass(frozen=True)
class Ridge:
    """A fitted ridge classifier: a regression on who belongs to a class, 1 or 0, estimates the class's probability.

    Estimates of a window sum to 1, and may lie outside of [0, 1] (Hastie et al. 2009, "The Elements of Statistical
    Learning", section 4.2).

    Attributes:
        standardisation: standardisation of the features.
        weight: of the estimates, (C, K).
        bias: of the estimates, (C,).
    """

    standardisation: Standardisation
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def probabilities(self, features: Features, /) -> Scores:
        """Predict class probabilities, (N', K) -> (N', C).

        Near 0 and below, the straight line goes on as an exponential with the same slope, so that no probability is
        negative and none are tied. Each row is then divided by its sum.
        """
        estimates = self.standardisation(features) @ self.weight.T + self.bias
        least = STRAIGHT / len(self.bias)
        found = np.where(estimates > least, estimates, least * np.exp(np.minimum(estimates / least - 1, 0)))
        return np.asarray(found / found.sum(axis=1, keepdims=True))


def fit_ridge(features: Features, labels: Indices, n_classes: int, standardisation: Standardisation) -> Ridge:
    """Fit scikit-learn's ridge classifier on features (N, K) and labels (N,), each class at least once."""
    fitted = RidgeClassifierCV(alphas=ALPHAS).fit(standardisation(features), labels)
    weight, bias = np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_)
    if n_classes == 2:  # one decision, for the second class
        weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    return Ridge(standardisation, weight / 2, (1 + bias) / 2)  # decisions estimate 1 and -1


def _ridge(data: CellData, rows: Features, standardisation: Standardisation) -> Model:
    return run_in_pool(fit_ridge, rows, data.support_labels, len(data.classes), standardisation)


def _logistic(data: CellData, name: str, table: Callable[[TargetFeatures], FeatureRows]) -> Predict:
    c = data.config.evaluation.logistic_c

    def fit(rows: Features, standardisation: Standardisation) -> Model:
        clipped = replace(standardisation, clip=CLIP)
        return run_in_pool(fit_probe, rows, data.support_labels, len(data.classes), clipped, c)

    return _on_table(data, f"{name} {c}", table, fit)


def _rocket(data: CellData) -> Callable[[TargetFeatures], FeatureRows]:
    # Under a perturbation, biases are still those of windows as they are.
    plain = data.features

    def table(features: TargetFeatures) -> FeatureRows:
        return features.table(
            minirocket_name(data.pool), lambda there: minirocket_table(there, data.pool, fitted_on=plain)
        )

    return table


def _on_table(
    data: CellData,
    name: str,
    table: Callable[[TargetFeatures], FeatureRows],
    fit: Callable[[Features, Standardisation], Model],
) -> Predict:
    known = table(data.features)
    model = fit_once(data, name, lambda: fit(known[data.support], known.standardisation(data.pool)))
    return predict_once(data, name, model, lambda features, windows: table(features)[windows])
