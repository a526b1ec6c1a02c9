"""Logistic regression on frozen features: the linear probe.

Shape legend: N windows, P feature width, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
# Steps at most, largest gradient in the scaled coordinates, precision. At the last one probabilities are within 0.01 of
# the minimum's.
_STAGES: tuple[tuple[int, float, type[np.float32] | type[np.float64]], ...] = (
    (15, 5e-4, np.float32),
    (5000, 5e-4, np.float32),
    (5000, 1e-4, np.float64),
)


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
        return _softmax(self.standardisation(features) @ self.weight.T + self.bias)


def fit_probe(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    n_classes: int,
    standardisation: Standardisation,
    c: float,
) -> LinearProbe:
    """Minimise the sum of cross-entropies plus ||weight||^2 / (2 c), to convergence.

    The minimum is scikit-learn's (of two classes its penalty is on the difference of their weights), found in a
    tenth to a third of the time: only the directions that the windows span are searched, in coordinates in which
    the curvature is about the same everywhere, first by Boehning's bound (1992, "Multinomial logistic regression
    algorithm"), then by what it is.

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
    # No weight points out of the windows' span at the minimum: R dimensions are enough, R = min(N, P).
    basis, spanned = (None, x) if len(x) >= x.shape[1] else _span(x)
    found = np.zeros((spanned.shape[1] + 1, n_classes))  # weights, and the bias in the last row
    curvature = np.full(len(x), 0.25)  # Boehning's bound
    # Once it is known which windows are easy, they bend the loss far less than the bound says. Most of the way is gone
    # in single precision, in half the time.
    for steps, tolerance, dtype in _STAGES:
        found = _descend(spanned, labels, penalty, found, curvature, steps, tolerance, dtype)
        curvature = np.maximum((1 - (_softmax(spanned @ found[:-1] + found[-1]) ** 2).sum(axis=1)) / n_classes, 1e-6)
    weight = found[:-1] if basis is None else basis @ found[:-1]
    return np.ascontiguousarray(weight.T), found[-1]


def _descend(
    x: Floats,
    labels: NDArray[np.int64],
    penalty: float,
    start: Floats,
    curvature: Floats,
    steps: int,
    tolerance: float,
    dtype: type[np.float32] | type[np.float64],
) -> Floats:
    """L-BFGS from ``start`` (R + 1, C), where a loss of this curvature (N,) bends the same everywhere."""
    r, n_classes = x.shape[1], start.shape[1]
    bent = x.T @ (curvature[:, None] * x)
    bent[np.diag_indices(r)] += penalty
    root = np.linalg.cholesky(bent)
    a: NDArray[Any] = np.ascontiguousarray(solve_triangular(root, x.T, lower=True).T.astype(dtype))  # (N, R)
    inverse = solve_triangular(root, np.eye(r), lower=True)
    shrink: NDArray[Any] = (penalty * inverse @ inverse.T).astype(dtype)
    bias_scale = np.sqrt(curvature.sum())
    rows = np.arange(len(x))

    def loss(flat: Floats) -> tuple[float, Floats]:
        v: NDArray[Any] = np.asarray(flat[:-n_classes].reshape(r, n_classes), dtype)
        logits = a @ v
        logits += (flat[-n_classes:] / bias_scale).astype(dtype)
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[rows, labels].sum(dtype=np.float64)
        residual = np.exp(logits, out=logits)
        total = residual.sum(axis=1)
        residual /= total[:, None]
        residual[rows, labels] -= 1
        shrunk = shrink @ v
        value = np.log(total).sum(dtype=np.float64) - own + 0.5 * np.vdot(v, shrunk)
        gradient = np.concatenate([(a.T @ residual + shrunk).ravel(), residual.sum(axis=0) / bias_scale])
        return float(value), gradient.astype(np.float64)

    found = minimize(
        loss,
        np.concatenate([(root.T @ start[:-1]).ravel(), start[-1] * bias_scale]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": steps, "maxfun": 2 * steps, "maxcor": 20, "gtol": tolerance, "ftol": 1e-13},
    ).x
    weight = solve_triangular(root.T, found[:-n_classes].reshape(r, n_classes), lower=False)
    return np.concatenate([weight, found[None, -n_classes:] / bias_scale])


def _softmax(logits: Floats) -> Floats:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def _span(x: Floats) -> tuple[Floats, Floats]:
    """Orthonormal directions (P, N) that the windows span, and the windows in them, (N, N)."""
    basis, coordinates = np.linalg.qr(x.T)
    return basis, np.ascontiguousarray(coordinates.T)
