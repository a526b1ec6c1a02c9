"""What a cell's predictions are measured by.

Averages over activities run over those that the tested windows show: an activity that a subject never
performed neither helps nor harms that subject's figure.

Shape legend: N windows, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CALIBRATION_BINS = 15

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]


def classification_metrics(truth: Labels, scores: Scores) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro-F1 and expected calibration error.

    Args:
        truth: (N,) positions in the classes, N at least 1.
        scores: (N, C) probabilities.
    """
    counts = confusion_matrix(truth, scores.argmax(axis=1), scores.shape[1])
    return {
        "accuracy": float(counts.trace() / counts.sum()),
        "balanced_accuracy": balanced_accuracy(counts),
        "macro_f1": macro_f1(counts),
        "calibration_error": calibration_error(truth, scores),
    }


def confusion_matrix(truth: Labels, predicted: Labels, n_classes: int) -> Labels:
    """Counts (C, C); rows are true, columns predicted classes."""
    flat = np.bincount(truth * n_classes + predicted, minlength=n_classes**2)
    return flat.reshape(n_classes, n_classes).astype(np.int64)


def balanced_accuracy(confusion: Labels) -> float:
    """Mean recall over the classes that occur."""
    present = confusion.sum(axis=1) > 0
    return float((confusion.diagonal()[present] / confusion.sum(axis=1)[present]).mean())


def macro_f1(confusion: Labels) -> float:
    """Mean F1 over the classes that occur; what is taken for one that does not occur lowers recall only."""
    present = confusion.sum(axis=1) > 0
    total = confusion.sum(axis=1) + confusion.sum(axis=0)
    return float((2 * confusion.diagonal()[present] / total[present]).mean())


def calibration_error(truth: Labels, scores: Scores, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error (Guo et al. 2017): |accuracy - confidence| over bins of equal width.

    Args:
        truth: (N,).
        scores: (N, C) probabilities; the largest of a row is its confidence.
        bins: number of bins, each open to the left: (0, 1/bins], ...
    """
    confidence = scores.max(axis=1)
    correct = scores.argmax(axis=1) == truth
    which = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    # Of each bin: share of the windows x |accuracy - confidence| = |sum of the differences| / N.
    differences = np.bincount(which, weights=correct - confidence, minlength=bins)
    return float(np.abs(differences).sum() / len(truth))


def true_class_ranks(truth: Labels, scores: Scores) -> Labels:
    """Rank of the true class, 1 is best, (N,); a tie counts against the method."""
    own = scores[np.arange(len(truth)), truth]
    return np.asarray((scores >= own[:, None]).sum(axis=1), dtype=np.int64)


def ranking_metrics(truth: Labels, scores: Scores) -> dict[str, float]:
    """Recall@1, recall@3 and mean reciprocal rank of the true class, with the pool's size and chance levels.

    Chance is a random order of the C classes: recall@k = k / C, MRR = (1 + 1/2 + ... + 1/C) / C.
    """
    ranks = true_class_ranks(truth, scores)
    n_classes = scores.shape[1]
    return {
        "recall@1": float((ranks <= 1).mean()),
        "recall@3": float((ranks <= 3).mean()),
        "mrr": float((1 / ranks).mean()),
        "pool_size": float(n_classes),
        "chance_recall@1": 1 / n_classes,
        "chance_recall@3": min(3, n_classes) / n_classes,
        "chance_mrr": float((1 / np.arange(1, n_classes + 1)).mean()),
    }
