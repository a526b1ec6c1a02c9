"""Logistic regression on frozen features: the linear probe.

Shape legend: N windows, P feature width, C classes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Standardisation:
    """Mean and scale per feature, each (P,)."""

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Standardisation:
        """Of features (N, P); one that never changes is centred only."""
        wide = features.astype(np.float64)
        deviation = wide.std(axis=0)
        mean = wide.mean(axis=0)
        return cls(mean, np.where(deviation > 1e-6 * (1 + np.abs(mean)), deviation, 1.0))

    def __call__(self, features: NDArray[np.floating]) -> Floats:
        """Standardise features (N, P)."""
        return np.asarray((features.astype(np.float64) - self.mean) / self.scale)


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe: logits are ``standardisation(features) @ weight.T + bias``.

    Attributes:
        standardisation: of the features.
        weight: (C, P).
        bias: (C,).
    """

    standardisation: Standardisation
    weight: Floats
    bias: Floats

    def probabilities(self, features: NDArray[np.floating]) -> Floats:
        """(N, P) -> (N, C)."""
        logits = self.standardisation(features) @ self.weight.T + self.bias
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def fit_probe(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    n_classes: int,
    standardisation: Standardisation,
    c: float,
) -> LinearProbe:
    """Minimise the sum of cross-entropies plus ||weight||^2 / (2 c), in float64, to convergence.

    Args:
        features: (N, P).
        labels: (N,) in [0, C), each class at least once.
        n_classes: C, at least 2.
        standardisation: with few labels, rather of many unlabelled windows than of these.
        c: inverse regularisation.

    Raises:
        ValueError: a class has no window.
    """
    missing = np.setdiff1d(np.arange(n_classes), labels)
    if missing.size:
        raise ValueError(f"no window of class {missing[0]} to fit the probe on")
    solver = LogisticRegression(C=c, max_iter=5000, tol=1e-6)
    # On matrices this small, threads that wait for each other cost 30 times what they save.
    with warnings.catch_warnings(), threadpool_limits(1):
        # One window an activity is what is meant here.
        warnings.filterwarnings("ignore", message="The number of unique classes", category=UserWarning)
        solver.fit(standardisation(features), labels)
    weight, bias = solver.coef_, solver.intercept_
    if n_classes == 2:  # scikit-learn gives the difference of the two classes' logits
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return LinearProbe(standardisation, weight, bias)
