"""Metrics of a cell's predictions.

Averages over activities include only activities that the tested windows show. An activity that a subject never
performed thus does not change the subject's figure.

Shape legend: N windows, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

CALIBRATION_BINS = 15
RECALLS = (1, 3, 5)  # ranks k of recall@k

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]


def classification_metrics(truth: Labels, scores: Scores) -> dict[str, float]:
    """Measure accuracy, balanced accuracy, macro-F1 and expected calibration error.

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
    """Count predictions, (C, C); rows are true, columns predicted classes."""
    flat = np.bincount(truth * n_classes + predicted, minlength=n_classes**2)
    return flat.reshape(n_classes, n_classes).astype(np.int64)


def per_class_recall(confusion: Labels) -> Scores:
    """Compute the recognised share of each class's windows, (C,); NaN for a class that does not occur."""
    occurring = confusion.sum(axis=1)
    recall = np.full(len(confusion), np.nan)
    np.divide(confusion.diagonal(), occurring, out=recall, where=occurring > 0)
    return recall


def balanced_accuracy(confusion: Labels) -> float:
    """Average recall over the classes that occur."""
    return float(np.nanmean(per_class_recall(confusion)))


def macro_f1(confusion: Labels) -> float:
    """Average F1 over the classes that occur; predictions of other classes lower recall only."""
    present = confusion.sum(axis=1) > 0
    total = confusion.sum(axis=1) + confusion.sum(axis=0)
    return float((2 * confusion.diagonal()[present] / total[present]).mean())


def calibration_error(truth: Labels, scores: Scores, bins: int = CALIBRATION_BINS) -> float:
    """Compute the expected calibration error (Guo et al. 2017): |accuracy - confidence| over bins of equal width.

    Args:
        truth: (N,).
        scores: (N, C) probabilities; the largest of a row is its confidence.
        bins: number of bins, each open to the left: (0, 1/bins], ...
    """
    confidence = scores.max(axis=1)
    correct = scores.argmax(axis=1) == truth
    which = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    # For each bin, share of the windows x |accuracy - confidence| = |sum of the differences| / N.
    differences = np.bincount(which, weights=correct - confidence, minlength=bins)
    return float(np.abs(differences).sum() / len(truth))


def true_class_ranks(truth: Labels, scores: Scores) -> Labels:
    """Rank the true class, 1 is best, (N,); a tie counts against the method, and so does NaN."""
    own = scores[np.arange(len(truth)), truth]
    return np.asarray((~(scores < own[:, None])).sum(axis=1), dtype=np.int64)


def ranking_metrics(truth: Labels, scores: Scores) -> dict[str, float]:
    """Measure recall@1, @3, @5 and the mean reciprocal rank of the true class, with pool size and chance levels.

    Chance is a random order of the C classes: recall@k = k / C, MRR = (1 + 1/2 + ... + 1/C) / C.

    Args:
        truth: (N,) positions in the classes, N at least 1.
        scores: (N, C), a higher score is likelier.
    """
    ranks = true_class_ranks(truth, scores)
    n_classes = scores.shape[1]
    return {
        **{f"recall@{k}": float((ranks <= k).mean()) for k in RECALLS},
        "mrr": float((1 / ranks).mean()),
        "pool_size": float(n_classes),
        **{f"chance_recall@{k}": min(k, n_classes) / n_classes for k in RECALLS},
        "chance_mrr": float((1 / np.arange(1, n_classes + 1)).mean()),
    }


def event_metrics(truth: Flags, score: Scores, predicted: Flags, hours: float) -> dict[str, float]:
    """Measure how well a rare event is found, such as a fall or freezing of gait.

    Every window that is predicted as the event counts as one detection. An event over several windows may be detected
    several times. Hours include all watched time, with and without events.

    Args:
        truth: (N,) True for windows of the event.
        score: (N,) likelihood of the event.
        predicted: (N,) True for windows that are predicted as the event.
        hours: time that the windows cover.

    Returns:
        ``auroc`` and ``auprc`` (average precision, not interpolated; a constant or random score has ``chance_auprc``,
        the share of windows of the event), ``event_sensitivity``, ``event_precision``, ``detections_per_hour`` and
        ``false_alarms_per_hour``. Metrics that are not defined are missing:

        - the curves, if all windows or none are of the event;
        - sensitivity and precision, if there is no event (precision would be 0 after any detection);
        - precision, if nothing is detected;
        - rates, if ``hours`` is 0.

    Raises:
        ValueError: shapes differ, there is no window, or ``hours`` is negative or not finite.
    """
    if not truth.shape == score.shape == predicted.shape or truth.ndim != 1 or len(truth) == 0:
        shapes = f"{truth.shape}, {score.shape}, {predicted.shape}"
        raise ValueError(f"truth, score and predicted have shapes {shapes}: expected the same (N,), N at least 1")
    if not 0 <= hours < np.inf:
        raise ValueError(f"hours is {hours}: expected the time that the windows cover, 0 or more")
    events, detections, found = int(truth.sum()), int(predicted.sum()), int((truth & predicted).sum())
    metrics = {}
    if 0 < events < len(truth):
        metrics["auroc"] = float(roc_auc_score(truth, score))
        metrics["auprc"] = float(average_precision_score(truth, score))
        metrics["chance_auprc"] = events / len(truth)
    if events:
        metrics["event_sensitivity"] = found / events
    if events and detections:
        metrics["event_precision"] = found / detections
    if hours > 0:
        metrics["detections_per_hour"] = detections / hours
        metrics["false_alarms_per_hour"] = (detections - found) / hours
    return metrics
