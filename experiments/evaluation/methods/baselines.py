"""Baselines without handcrafted features: the majority, and a random encoder."""

from __future__ import annotations

import numpy as np

from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.probes import fit_on
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores, method


@method("majority", needs_labels=False)
def majority(data: CellData) -> Predict:
    """Predict each activity's share among the subjects that are not tested, for every window alike."""
    share = data.pool_counts / data.pool_counts.sum()

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        return np.tile(share, (len(windows), 1))

    return predict


@method("random_frozen", needs_labels=True, encoder=True, settings=("evaluation.probe_c",))
def random_frozen(data: CellData) -> Predict:
    """Fit a linear probe on the same encoder with random weights, to see what the architecture alone gives."""
    probe = fit_on(data, data.features.random)

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        return probe.probabilities(features.random[windows])

    return predict
