"""Methods that learn the target's activities from other laboratories alone: no window of the target has a label.

They answer activities that the target and its sources share, under common names. Features are standardised over the
sources' examples. On SisFall's young people this was better than over each data set by itself, because data sets differ
in the shares of their activities.

Shape legend: N examples, N' windows to be predicted, P features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.special import softmax

from experiments.evaluation.features.feature_table import FeatureRows, Features
from experiments.evaluation.features.forests import Forest, fit_extra_trees
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.handcrafted import CLIP
from experiments.evaluation.methods.hybrid import handcrafted
from experiments.evaluation.methods.probes import directions
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores, method
from experiments.evaluation.methods.sharing import Model, mean_of
from experiments.evaluation.methods.transfer import transferred
from experiments.evaluation.worker_pool import run_in_pool
from lightning_modules.probe import LinearProbe, Standardisation, fit_probe

TEMPERATURE = 0.07  # divides cosines to prototypes, as in nearest_mean
_LOGISTIC = ("evaluation.logistic_c",)
_TREES = ("evaluation.forest_trees", "run.seed")
_ENCODER = ("evaluation.transfer",)


@method("source_logistic", needs_labels=False, sources=True, no_target_label=True, settings=_LOGISTIC)
def source_logistic(data: CellData) -> Predict:
    """Fit a logistic regression on handcrafted features of the sources."""
    return _predict(handcrafted, _fitted(data, "handcrafted, logistic", _logistic(data, "handcrafted", handcrafted)))


@method("source_trees", needs_labels=False, sources=True, no_target_label=True, settings=_TREES)
def source_trees(data: CellData) -> Predict:
    """Fit extremely randomised trees on handcrafted features of the sources."""

    def fit() -> Forest:
        rows, labels = _examples(data, "handcrafted", handcrafted)
        seed, trees = data.config.run.seed % 2**32, data.config.evaluation.forest_trees
        return run_in_pool(fit_extra_trees, rows, labels, len(data.classes), seed, trees)

    return _predict(handcrafted, _fitted(data, "handcrafted, trees", fit))


@method("source_mean", needs_labels=False, sources=True, no_target_label=True, settings=(*_LOGISTIC, *_TREES))
def source_mean(data: CellData) -> Predict:
    """Average the probabilities of ``source_logistic`` and ``source_trees``."""
    return mean_of(source_logistic(data), source_trees(data))


@method("source_probe", needs_labels=False, sources=True, no_target_label=True, settings=(*_LOGISTIC, *_ENCODER))
def source_probe(data: CellData) -> Predict:
    """Fit a logistic regression on features of the encoder that learnt from the sources' labels."""
    return _predict(transferred, _fitted(data, "transferred, logistic", _logistic(data, "transferred", transferred)))


@method("source_prototypes", needs_labels=False, sources=True, no_target_label=True, settings=_ENCODER)
def source_prototypes(data: CellData) -> Predict:
    """Predict the nearest prototype: the mean, over sources, of an activity's mean direction in the same features."""
    assert data.sources is not None
    rows, labels = _examples(data, "transferred", transferred)
    chosen, _ = data.sources.examples.of(data.classes)
    standardisation = _standardisation(rows)
    vectors = prototypes(directions(standardisation(rows)), labels, data.sources.examples.sets[chosen])

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        asked = directions(standardisation(features.transferred[windows]))
        return np.asarray(softmax(asked @ vectors.T / TEMPERATURE, axis=1))

    return predict


def prototypes(unit: Scores, labels: Indices, sets: Indices) -> Scores:
    """Average each activity's mean direction over the sources that show it, so that each source counts alike.

    Args:
        unit: directions of the examples, (N, P), unit length.
        labels: activities of the examples, in [0, C), each at least once, (N,).
        sets: sources of the examples, (N,).

    Returns:
        (C, P), unit length.
    """
    found = []
    for label in range(int(labels.max()) + 1):
        own = labels == label
        means = np.stack([unit[own & (sets == number)].mean(axis=0) for number in np.unique(sets[own])])
        found.append(directions(means).mean(axis=0))
    return directions(np.stack(found))


def _examples(data: CellData, name: str, block: Callable[[TargetFeatures], FeatureRows]) -> tuple[Features, Indices]:
    """Give features (N, P) and labels (N,) of the sources' examples of the cell's classes."""
    assert data.sources is not None
    examples = data.sources.examples
    chosen, labels = examples.of(data.classes)
    return examples.rows(name, block)[chosen], labels


def _standardisation(rows: Features) -> Standardisation:
    return replace(Standardisation.of(rows), clip=CLIP)


def _logistic(data: CellData, name: str, block: Callable[[TargetFeatures], FeatureRows]) -> Callable[[], LinearProbe]:
    def fit() -> LinearProbe:
        rows, labels = _examples(data, name, block)
        c = data.config.evaluation.logistic_c
        return run_in_pool(fit_probe, rows, labels, len(data.classes), _standardisation(rows), c)

    return fit


def _fitted(data: CellData, name: str, fit: Callable[[], Model]) -> Model:
    """Fit once: all folds of a target, and a method under its adaptations, learn from the same examples."""
    assert data.sources is not None
    return data.sources.examples.fits.once((name, *data.classes), fit)


def _predict(block: Callable[[TargetFeatures], FeatureRows], model: Model) -> Predict:
    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        return model.probabilities(block(features)[windows])

    return predict
