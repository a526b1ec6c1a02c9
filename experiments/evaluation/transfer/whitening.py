"""Whitening of features by their spread within activities.

People do one activity in many ways. Directions in which features vary inside an activity say little about which
activity it is. Labelled data sets of other laboratories show these directions, and a few labels of the target do not.
Dividing by the spread along them is the oldest metric learning there is: Fisher's discriminant without its means
(Hatch, Kajarekar and Stolcke 2006, "Within-class covariance normalization for SVM-based speaker recognition").

Shape legend: N windows, K features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SHRINKAGE = 0.3  # chosen on SisFall's young people
FEWEST = 8  # windows of an activity whose spread is counted


@dataclass(frozen=True)
class Whitening:
    """A symmetric linear map that makes the spread within activities equal in all directions.

    Attributes:
        matrix: (K, K).
    """

    matrix: Floats

    @classmethod
    def of(cls, covariance: Floats, shrinkage: float = SHRINKAGE) -> Whitening:
        """Compute the inverse square root of a covariance (K, K) that is shrunk towards a multiple of the identity.

        The result keeps the mean variance: a covariance c I gives the identity, for every c > 0.

        Raises:
            ValueError: the covariance has no variance.
        """
        mean = float(np.trace(covariance)) / len(covariance)
        if not mean > 0:
            raise ValueError("features do not vary within any activity; expected some spread")
        shrunk = (1 - shrinkage) * covariance / mean + shrinkage * np.eye(len(covariance))
        values, vectors = np.linalg.eigh(shrunk)
        return cls((vectors / np.sqrt(values)) @ vectors.T)

    def __call__(self, features: Floats) -> Floats:
        """Whiten standardised features (N, K)."""
        return np.asarray(features @ self.matrix)


def within_covariance(sets: Sequence[tuple[Floats, NDArray[np.int64]]]) -> Floats:
    """Average the covariances of all activities of all data sets, (K, K); each activity counts alike.

    Args:
        sets: standardised features (N, K) and labels (N,) of each data set.

    Raises:
        ValueError: no activity has enough windows.
    """
    covariances = []
    for features, labels in sets:
        for label in np.unique(labels):
            own = features[labels == label]
            if len(own) >= FEWEST:
                own = own - own.mean(axis=0)
                covariances.append(own.T @ own / len(own))
    if not covariances:
        raise ValueError(f"no activity has {FEWEST} windows; expected labelled data sets with more of at least one")
    return np.asarray(np.mean(covariances, axis=0))
