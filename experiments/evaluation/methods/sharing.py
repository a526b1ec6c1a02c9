"""Fits and predictions that several methods share.

The trees of ``handcrafted_trees`` are also in ``handcrafted_mean`` and ``hybrid_mean``, and a method is also under its
adaptations. What was fitted for one of them is found again by the windows and labels that it was fitted on.

Shape legend: N' windows to be predicted, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np

from experiments.evaluation.features.feature_table import Features, digest_of_windows
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores

T = TypeVar("T")
# The rows that a model takes of these windows, (N', P).
Rows = Callable[[TargetFeatures, Indices], Features]
LARGEST = 4 << 20  # bytes; larger predictions are not kept


class Model(Protocol):
    """A fitted model."""

    def probabilities(self, features: Features, /) -> Scores:
        """Predict class probabilities, (N', P) -> (N', C)."""


def fit_once(data: CellData, name: str, fit: Callable[[], T]) -> T:
    """Give what ``fit`` returns; methods that ask for the same name on the same windows share it.

    Args:
        data: the cell's data.
        name: name of the model, and of all that it depends on besides features, labelled windows, pool and seed.
        fit: fits the model. Tables of features are asked for before, not in ``fit``, which may not be called: an
            adaptation has to see which ones the method uses.
    """
    return data.features.fits.once(_key(data, name), fit)


def predict_once(data: CellData, name: str, model: Model, rows: Rows) -> Predict:
    """Make the function that predicts by a model of :func:`fit_once`; small predictions are shared too."""
    key = _key(data, name)

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        def compute() -> Scores:
            found = model.probabilities(rows(features, windows))
            found.flags.writeable = False  # others get the same array
            return found

        if 8 * len(windows) * len(data.classes) > LARGEST:
            return compute()
        return features.predictions.once((key, digest_of_windows(windows)), compute)

    return predict


def mean_of(*predictions: Predict) -> Predict:
    """Average the probabilities of several fitted methods."""

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        return np.asarray(np.mean([one(features, windows) for one in predictions], axis=0))

    return predict


def _key(data: CellData, name: str) -> tuple[object, ...]:
    digests = (digest_of_windows(windows) for windows in (data.support, data.support_labels, data.pool))
    return (name, data.features.view, data.seed, len(data.classes), *digests)
