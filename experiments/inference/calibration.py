"""Calibration by one temperature: probabilities that mean what they say, for people whom the head never saw.

Shape legend: N windows, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """Find the temperature that minimises the log loss, as in Guo et al. (2017).

    The log loss is convex in 1 / temperature, so that the minimum is the only one.

    Args:
        logits: (N, C); minus infinity where a class can't be predicted.
        labels: (N,) in [0, C); of classes that can be predicted.
    """

    def loss(log_inverse: float) -> float:
        return log_loss(logits, labels, float(np.exp(-log_inverse)))

    bounds = (-np.log(HOTTEST), -np.log(COLDEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    # The search ends near the minimum. Where that is no better than no temperature, there is none.
    best = float(np.exp(-found.x))
    return best if loss(float(found.x)) < loss(0.0) else 1.0


def log_loss(logits: Floats, labels: Labels, temperature: float = 1.0) -> float:
    """Average the negative logarithm of the true class's probability, nats."""
    likely = log_softmax(logits / temperature, axis=1)
    return float(-likely[np.arange(len(labels)), labels].mean())


def temperatures_of_others(logits: Floats, labels: Labels, subjects: NDArray[np.int64]) -> Floats:
    """Fit, for each window, the temperature on the windows of all other people, (N,).

    Args:
        logits: (N, C) by heads that never saw the window's subject.
        labels: (N,).
        subjects: (N,) numbers of the subjects, at least two.
    """
    found = np.ones(len(labels))
    for subject in np.unique(subjects):
        own = subjects == subject
        found[own] = fit_temperature(logits[~own], labels[~own])
    return found
