"""Zero-shot methods: each window takes the nearest prototype in the space shared with video, without a labelled window.

A prototype is embedded from the source's videos, from the target's videos of subjects who are not tested, or from the
activity's name.
"""

from __future__ import annotations

import numpy as np

from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores, method
from experiments.evaluation.prototypes.video import learnt_scale, zero_shot_probabilities


@method("zero_shot", needs_labels=False, encoder=True, checkpoint=True, prototypes="source")
def zero_shot(data: CellData) -> Predict:
    """Predict by the nearest of the source's video prototypes; no label of the target is used."""
    return _nearest_prototype(data)


@method("zero_shot_target", needs_labels=False, encoder=True, checkpoint=True, prototypes="target")
def zero_shot_target(data: CellData) -> Predict:
    """Predict by the nearest video prototype of the target's untested subjects; no IMU window has a label."""
    return _nearest_prototype(data)


@method("zero_shot_text", needs_labels=False, encoder=True, checkpoint=True, prototypes="text")
def zero_shot_text(data: CellData) -> Predict:
    """Predict by the nearest name, put through the video head as a still clip; no video and no label is used."""
    return _nearest_prototype(data)


def _nearest_prototype(data: CellData) -> Predict:
    """Predict by the nearest prototype; an activity without a prototype is never predicted, and counts as missed."""
    assert data.prototypes is not None
    assert data.features.model is not None
    known = [i for i, name in enumerate(data.classes) if name in data.prototypes.activities]
    vectors = data.prototypes.of([data.classes[i] for i in known])
    scale = learnt_scale(data.features.model)

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        scores = np.zeros((len(windows), len(data.classes)))
        if known:
            scores[:, known] = zero_shot_probabilities(features.embeddings[windows], vectors, scale)
        return scores

    return predict
