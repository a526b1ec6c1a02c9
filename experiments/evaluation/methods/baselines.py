"""Baselines: methods without pretraining, which pretrained methods have to beat."""

from __future__ import annotations

import numpy as np

from experiments.evaluation.features.handcrafted import fit_forest
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.probes import fit_on
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores, method
from experiments.evaluation.worker_pool import run_in_pool


@method("majority", needs_labels=False)
def majority(data: CellData) -> Predict:
    """Predict each activity's share among the subjects that are not tested, for every window alike."""
    share = data.pool_counts / data.pool_counts.sum()

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        return np.tile(share, (len(windows), 1))

    return predict


@method("handcrafted_rf", needs_labels=True, settings=("evaluation.forest_trees",))
def handcrafted_rf(data: CellData) -> Predict:
    """Fit a random forest on handcrafted features."""
    forest = run_in_pool(
        fit_forest,
        data.features.handcrafted[data.support],
        data.support_labels,
        len(data.classes),
        data.seed % 2**32,
        data.config.evaluation.forest_trees,
    )

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        return forest.probabilities(features.handcrafted[windows])

    return predict


@method("random_frozen", needs_labels=True, encoder=True, settings=("evaluation.probe_c",))
def random_frozen(data: CellData) -> Predict:
    """Fit a linear probe on the same encoder with random weights, to see what the architecture alone gives."""
    probe = fit_on(data, data.features.random)

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        return probe.probabilities(features.random[windows])

    return predict
