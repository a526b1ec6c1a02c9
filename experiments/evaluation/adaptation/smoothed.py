"""Smoothing over time: a window counts half, the windows just before and just after it a quarter each.

It is what a prediction of a whole recording does, see :mod:`experiments.evaluation.timeline`. Nothing is chosen, and
the order of the windows is all that it knows. It is fair only where activities follow one another within a recording:
if each recording shows one activity, the neighbours give it away.
"""

from __future__ import annotations

import numpy as np

from experiments.evaluation.adaptation.people import wearers
from experiments.evaluation.adaptation.registry import adaptation
from experiments.evaluation.features.feature_table import in_blocks
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods import CellData, Fit, Predict, Scores
from experiments.evaluation.methods.registry import Indices
from experiments.evaluation.timeline import smooth


@adaptation("smoothed", smooths=True)
def smoothed(fit: Fit, data: CellData) -> Predict:
    """Average each window's probabilities with those of the windows just before and after it."""
    predict = fit(data)
    owners = wearers(data.features.shards)

    def predict_together(features: TargetFeatures, windows: Indices) -> Scores:
        seen = features.shards.measured(data.unlabelled)
        both = np.union1d(windows, seen[np.isin(owners[seen], np.unique(owners[windows]))])
        scores = np.concatenate([np.asarray(predict(features, part), np.float64) for part in in_blocks(both)])
        duration_s = features.shards.settings.duration_s
        for run in features.shards.runs(both):
            at = np.searchsorted(both, run)
            scores[at] = smooth(scores[at], duration_s * np.arange(len(run), dtype=np.float64), duration_s)
        return scores[np.searchsorted(both, windows)]

    return predict_together
