"""Probes of the checkpoint's frozen features: a linear probe, nearest neighbours, nearest means.

Shape legend: N labelled windows, N' windows to be predicted, P pooled width, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from experiments.evaluation.features.feature_table import FeatureRows
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores, method
from experiments.evaluation.worker_pool import run_in_pool
from lightning_modules.probe import LinearProbe, fit_probe

_TEMPERATURE = 0.07  # divides cosines, as in Wu et al. 2018, "Unsupervised feature learning via ... discrimination"


@method("linear_probe", needs_labels=True, encoder=True, checkpoint=True, settings=("evaluation.probe_c",))
def linear_probe(data: CellData) -> Predict:
    """Fit logistic regression on the checkpoint's frozen features."""
    probe = fit_on(data, data.features.pretrained)

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        return probe.probabilities(features.pretrained[windows])

    return predict


@method("knn", needs_labels=True, encoder=True, checkpoint=True, settings=("evaluation.knn_neighbours",))
def knn(data: CellData) -> Predict:
    """Let the labelled windows with the most similar directions of features vote; nearer ones count more."""
    standardisation = data.features.pretrained.standardisation(data.pool)
    known = directions(standardisation(data.features.pretrained[data.support]))
    neighbours = min(data.config.evaluation.knn_neighbours, len(known))

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        asked = directions(standardisation(features.pretrained[windows]))
        return vote(asked @ known.T, data.support_labels, len(data.classes), neighbours)

    return predict


@method("nearest_mean", needs_labels=True, encoder=True, checkpoint=True)
def nearest_mean(data: CellData) -> Predict:
    """Predict the activity with the nearest mean direction of its labelled windows, as in Snell et al. 2017."""
    standardisation = data.features.pretrained.standardisation(data.pool)
    known = directions(standardisation(data.features.pretrained[data.support]))
    sums = np.zeros((len(data.classes), known.shape[1]))
    np.add.at(sums, data.support_labels, known)
    means = directions(sums)

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        asked = directions(standardisation(features.pretrained[windows]))
        return softmax(asked @ means.T / _TEMPERATURE, axis=1)

    return predict


def vote(similarity: Scores, labels: Indices, n_classes: int, neighbours: int) -> Scores:
    """Share the nearest neighbours' votes, each weighted by exp(similarity / temperature), (N', C).

    Args:
        similarity: cosine, (N', N).
        labels: labels of the N windows, in [0, C).
        n_classes: C.
        neighbours: number of neighbours that vote, at most N.
    """
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :neighbours]
    near = np.take_along_axis(similarity, nearest, axis=1)
    weight = np.exp((near - near[:, :1]) / _TEMPERATURE)
    votes = np.zeros((len(similarity), n_classes))
    np.add.at(votes, (np.arange(len(similarity))[:, None], labels[nearest]), weight)
    return np.asarray(votes / votes.sum(axis=1, keepdims=True))


def fit_on(data: CellData, features: FeatureRows) -> LinearProbe:
    """Fit a logistic probe on these features of the support windows."""
    # One window per activity says little about the spread of the features. The spread is therefore measured on the
    # whole pool, without labels, for every number of shots. The tested subjects have no part in it.
    standardisation = features.standardisation(data.pool)
    c = data.config.evaluation.probe_c
    return run_in_pool(fit_probe, features[data.support], data.support_labels, len(data.classes), standardisation, c)


def directions(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide rows (N, P) by their length."""
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12))
