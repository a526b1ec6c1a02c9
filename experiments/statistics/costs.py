"""Costs of accuracy: labels that subjects have to give, and time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.evaluation.cells import CellResult
from experiments.statistics.results import subject_means

METRIC = "balanced_accuracy"


@dataclass(frozen=True)
class Cost:
    """Costs of one contender at one number of shots on one target.

    Attributes:
        labels: labelled windows of the target that a cell used, mean over cells.
        subjects: number of subjects that these windows came from, mean over cells.
        seconds: time of a cell, median over cells, because the first cells also compute features that all share.
        accuracy: balanced accuracy, mean over subjects.
        gain: points of balanced accuracy above chance.
        labels_per_point: labels / gain; NaN if accuracy is not above chance.
        seconds_per_point: seconds / gain; NaN if accuracy is not above chance.
    """

    labels: float
    subjects: float
    seconds: float
    accuracy: float
    gain: float
    labels_per_point: float
    seconds_per_point: float


def cost_of(results: Sequence[CellResult], chance: Mapping[str, float]) -> Cost:
    """Sum up the cells of one contender, target and number of shots.

    Args:
        results: cells of all folds and draws.
        chance: subject -> balanced accuracy by chance.

    Raises:
        ValueError: no subject has a balanced accuracy and a chance level.
    """
    done = [r for r in results if r.metrics]
    means = subject_means(done, METRIC)
    shared = [name for name in means if name in chance]
    if not shared:
        raise ValueError("no subject has both a balanced accuracy and a chance level")
    gain = 100 * float(np.mean([means[name] - chance[name] for name in shared]))
    labels = float(np.mean([r.support_windows for r in done]))
    seconds = float(np.median([r.seconds for r in done]))
    above = gain > 0.05  # tables show less as 0.0 points
    return Cost(
        labels=labels,
        subjects=float(np.mean([r.support_subjects for r in done])),
        seconds=seconds,
        accuracy=float(np.mean(list(means.values()))),
        gain=gain,
        labels_per_point=labels / gain if above else math.nan,
        seconds_per_point=seconds / gain if above else math.nan,
    )


def chance_levels(majority: Sequence[CellResult], others: Sequence[CellResult]) -> dict[str, float]:
    """Compute subject -> chance level of balanced accuracy: the majority's, or 1 / number of the subject's activities.

    Args:
        majority: cells of the method ``majority``; may be empty.
        others: any cells of the same target.
    """
    if majority:
        return subject_means(majority, METRIC)
    levels: dict[str, float] = {}
    for result in others:
        for subject, counts in result.confusion_by_subject.items():
            levels[subject] = 1 / max(int(np.count_nonzero(np.sum(counts, axis=1))), 1)
    return levels
