"""Logistic regression on frozen features: the linear probe.

Shape legend: N windows, P feature width, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
_TOLERANCE = 1e-4  # largest gradient in the scaled coordinates; probabilities are then within 0.01 of the minimum's


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

    The minimum is scikit-learn's (of two classes its penalty is on the difference of their weights), found in a
    tenth to a half of the time: only the directions that the windows span are searched, in coordinates in which
    Boehning's bound on the curvature (1992, "Multinomial logistic regression algorithm") is the same everywhere.

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
    penalty = (2 if n_classes == 2 else 1) / c
    # On matrices this small, threads that wait for each other cost 30 times what they save.
    with threadpool_limits(1):
        weight, bias = _minimise(standardisation(features), labels, n_classes, penalty)
    return LinearProbe(standardisation, weight, bias)


def _minimise(x: Floats, labels: NDArray[np.int64], n_classes: int, penalty: float) -> tuple[Floats, Floats]:
    """Weight (C, P) and bias (C,) of the probe."""
    n = len(x)
    # No weight points out of the windows' span at the minimum: R dimensions are enough, R = min(N, P).
    basis, spanned = (None, x) if n >= x.shape[1] else _span(x)
    r = spanned.shape[1]
    curvature = 0.25 * spanned.T @ spanned
    curvature[np.diag_indices(r)] += penalty
    root = np.linalg.cholesky(curvature)
    a = np.ascontiguousarray(solve_triangular(root, spanned.T, lower=True).T)  # (N, R)
    inverse = solve_triangular(root, np.eye(r), lower=True)
    shrink = penalty * inverse @ inverse.T
    bias_scale = 0.5 * np.sqrt(n)
    rows = np.arange(n)

    def loss(flat: Floats) -> tuple[float, Floats]:
        v, bias = flat[: r * n_classes].reshape(r, n_classes), flat[r * n_classes :] / bias_scale
        logits = a @ v
        logits += bias
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[rows, labels].sum()
        residual = np.exp(logits, out=logits)
        total = residual.sum(axis=1)
        residual /= total[:, None]
        residual[rows, labels] -= 1
        shrunk = shrink @ v
        value = np.log(total).sum() - own + 0.5 * np.vdot(v, shrunk)
        gradient = np.concatenate([(a.T @ residual + shrunk).ravel(), residual.sum(axis=0) / bias_scale])
        return float(value), gradient

    found = minimize(
        loss,
        np.zeros((r + 1) * n_classes),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 10_000, "maxcor": 20, "gtol": _TOLERANCE, "ftol": 1e-13},
    ).x
    weight = solve_triangular(root.T, found[: r * n_classes].reshape(r, n_classes), lower=False)
    if basis is not None:
        weight = basis @ weight
    return np.ascontiguousarray(weight.T), found[r * n_classes :] / bias_scale


def _span(x: Floats) -> tuple[Floats, Floats]:
    """Orthonormal directions (P, N) that the windows span, and the windows in them, (N, N)."""
    basis, coordinates = np.linalg.qr(x.T)
    return basis, np.ascontiguousarray(coordinates.T)
