"""Neighbours: similar windows of a person get similar probabilities, where the support people's labels bear it out.

Similar are windows by the tables of features that a method uses, or by handcrafted features where it uses none, see
:mod:`experiments.evaluation.adaptation.similar_windows`. Where people repeat whole activities, a window's nearest ones
show the same. Where they sit down slowly once and quickly once, the nearest ones are of the other kind, and joining
them would harm. The labelled windows tell: unless the nearest windows of at least ``ALIKE`` of them are taken for the
same activity, nothing is joined, and a note says so. What windows are taken for is what the method says that was fitted
on all labelled windows, those that are asked included. So the share is too high to be an accuracy; the threshold was
chosen for it as it is.

``neighbours_other`` is the control: half of a tested person's activities have no window among those that may be looked
at, so that the nearest ones show something else.
"""

from __future__ import annotations

import numpy as np

from experiments.evaluation.adaptation.people import wearers
from experiments.evaluation.adaptation.registry import adaptation
from experiments.evaluation.adaptation.similar_windows import Similarity
from experiments.evaluation.adaptation.used_tables import UsedTables
from experiments.evaluation.features.feature_table import digest_of_windows, in_blocks
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods import CellData, Fit, Predict, Scores
from experiments.evaluation.methods.registry import Indices
from experiments.evaluation.unlabelled import OTHER

# Share of labelled windows. Over the draws it is 0.92 to 1.00 on UTD-MHAD's people 1, 3, 5, 7, and 0.33 to 0.89 on
# SisFall's young, where joining costs 3 to 8 points.
ALIKE = 0.9


@adaptation("neighbours", needs_labels=True)
def neighbours(fit: Fit, data: CellData) -> Predict:
    """Let probabilities of each person's similar windows agree."""
    return _agreeing(fit, data)


@adaptation("neighbours_other", needs_labels=True, settings=("evaluation.draw_seed",), person_windows=OTHER)
def neighbours_other(fit: Fit, data: CellData) -> Predict:
    """Do the same where a tested person's unlabelled windows show other activities in other shares: the control."""
    return _agreeing(fit, data)


def _agreeing(fit: Fit, data: CellData) -> Predict:
    used = UsedTables()
    predict = fit(used.watching(data))
    owners = wearers(data.features.shards)

    def scores_of(features: TargetFeatures, windows: Indices) -> Scores:
        return np.concatenate([np.asarray(predict(features, part), np.float64) for part in in_blocks(windows)])

    similarity = _in_pool(used, data, owners)
    alike = similarity.alike(
        data.pool, data.support, data.support_labels, lambda windows: scores_of(data.features, windows)
    )
    if alike < ALIKE:
        # Without the share itself, which differs from draw to draw: a report says each remark once.
        data.notes.append(
            f"neighbours: in some draws nothing was joined, since fewer than {ALIKE:.0%} of the labelled windows have"
            " nearest ones that are taken for the same activity"
        )

    def predict_together(features: TargetFeatures, windows: Indices) -> Scores:
        scores = scores_of(features, windows)
        seen = features.shards.measured(data.unlabelled)
        seen = seen[np.isin(owners[seen], np.unique(owners[windows]))]
        if alike < ALIKE or not len(seen):
            return scores
        seen_scores = scores if np.array_equal(seen, windows) else scores_of(features, seen)
        return Similarity(used.of(features), owners, similarity.scale).agreed(seen, seen_scores, windows, scores)

    return predict_together


def _in_pool(used: UsedTables, data: CellData, owners: Indices) -> Similarity:
    """Make the similarity by the tables that a method used; the scale is the pool's, computed once for all methods."""
    similarity = Similarity(used.of(data.features), owners)
    key = ("typical distance", used.names, data.features.view, digest_of_windows(data.pool))
    return Similarity(similarity.tables, owners, data.features.fits.once(key, lambda: similarity.typical(data.pool)))
