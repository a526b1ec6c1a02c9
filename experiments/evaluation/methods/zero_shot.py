"""Activities without a labelled window: each window takes the nearest prototype in the space shared with video.

What is embedded as a prototype differs: the source's videos, the target's videos of people who are not tested, or
the activity's name.
"""

from __future__ import annotations

import numpy as np

from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.registry import CellData, Indices, Predict, Scores, method
from experiments.evaluation.prototypes.video import learnt_scale, zero_shot_probabilities


@method("zero_shot", needs_labels=False, encoder=True, checkpoint=True, prototypes="source")
def zero_shot(data: CellData) -> Predict:
    """The nearest of the source's video prototypes; no label of the target is used."""
    return _nearest_prototype(data)


@method("zero_shot_target", needs_labels=False, encoder=True, checkpoint=True, prototypes="target")
def zero_shot_target(data: CellData) -> Predict:
    """The nearest of the target's video prototypes, of people who are not tested; no IMU window has a label."""
    return _nearest_prototype(data)


@method("zero_shot_text", needs_labels=False, encoder=True, checkpoint=True, prototypes="text")
def zero_shot_text(data: CellData) -> Predict:
    """The nearest of the activities' names, put through the video head as still clips; no video, no label."""
    return _nearest_prototype(data)


def _nearest_prototype(data: CellData) -> Predict:
    """An activity without a prototype is never answered: its windows count as missed, as with other methods."""
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
