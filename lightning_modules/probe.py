"""Linear probe: logistic regression on frozen features.

Shape legend: N windows, P feature width, C classes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
Reals = NDArray[Any]  # in single or double precision
# Most Newton steps, gain at which to stop (nats, or relative to a loss below 1), precision.
_STAGES: tuple[tuple[int, float, type[np.float32] | type[np.float64]], ...] = (
    (3, 1e-2, np.float32),
    (200, 1e-2, np.float32),
    (200, 1e-3, np.float64),
)
_ROWS = 512  # of a product: in double precision they stay in the processor's cache


@dataclass(frozen=True)
class Standardisation:
    """Mean and scale per feature, each (P,).

    Attributes:
        mean: taken away.
        scale: divided by.
        clip: largest magnitude after that, in standard deviations.
        factor: multiplied by at last, (P,) or a number; features of a larger factor count more under a penalty.
    """

    mean: Floats
    scale: Floats
    clip: float = math.inf
    factor: Floats | float = 1.0

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Standardisation:
        """Compute the standardisation of features (N, P); a constant feature is only centred."""
        return cls.over([features])

    @classmethod
    def over(cls, blocks: Iterable[NDArray[np.floating]]) -> Standardisation:
        """Compute the standardisation of features in blocks (B, P), N >= 1 rows in total, with one block in memory.

        Means and sums of squares of blocks are combined as in Chan, Golub and LeVeque (1979, "Updating formulae and a
        pairwise algorithm for computing sample variances").
        """
        n, mean, squares = 0, np.zeros(1), np.zeros(1)
        for block in blocks:
            if not len(block):
                continue
            wide = block.astype(np.float64)
            own = wide.mean(axis=0)
            wide -= own
            share = len(wide) / (n + len(wide))
            squares = squares + np.square(wide, out=wide).sum(axis=0) + (own - mean) ** 2 * n * share
            mean = mean + (own - mean) * share
            n += len(wide)
        if not n:
            raise ValueError("there are no features; expected at least one row")
        deviation = np.sqrt(squares / n)
        return cls(mean, np.where(deviation > 1e-6 * (1 + np.abs(mean)), deviation, 1.0))

    def __call__(self, features: NDArray[np.floating]) -> Floats:
        """Standardise features (N, P)."""
        found = (features.astype(np.float64) - self.mean) / self.scale
        if math.isfinite(self.clip):
            np.clip(found, -self.clip, self.clip, out=found)
        return np.asarray(found * self.factor)

    @classmethod
    def side_by_side(cls, blocks: Sequence[Standardisation]) -> Standardisation:
        """Join blocks of features, so that each has the same share in the sum of all variances.

        Args:
            blocks: standardisations of (P_1,), (P_2,) ... features; they clip alike.
        """
        widths = [len(block.mean) for block in blocks]
        energy = sum(widths) / len(widths)
        return cls(
            np.concatenate([block.mean for block in blocks]),
            np.concatenate([block.scale for block in blocks]),
            blocks[0].clip,
            np.concatenate([np.full(width, math.sqrt(energy / width)) for width in widths]),
        )


@dataclass(frozen=True)
class LinearProbe:
    """A fitted probe: logits are ``standardisation(features) @ weight.T + bias``.

    Attributes:
        standardisation: standardisation of the features.
        weight: (C, P).
        bias: (C,).
    """

    standardisation: Standardisation
    weight: Floats
    bias: Floats

    def probabilities(self, features: NDArray[np.floating]) -> Floats:
        """Compute class probabilities, (N, P) -> (N, C)."""
        return _softmax(self.logits(features))

    def logits(self, features: NDArray[np.floating]) -> Floats:
        """Compute logits, (N, P) -> (N, C).

        Without a clip, the standardisation is part of the product: to standardise all tested windows for every cell
        would take most of its time. Beside rounding in double precision, the result is the same.
        """
        s = self.standardisation
        if math.isfinite(s.clip):
            return np.asarray(s(features) @ self.weight.T + self.bias)
        weight = self.weight * (s.factor / s.scale)
        columns = np.ascontiguousarray(weight.T)
        logits = np.empty((len(features), len(self.bias)))
        wide = np.empty((min(len(features), _ROWS), features.shape[1]))
        for start in range(0, len(features), _ROWS):
            rows = features[start : start + _ROWS]
            wide[: len(rows)] = rows
            np.matmul(wide[: len(rows)], columns, out=logits[start : start + len(rows)])
        return logits + (self.bias - weight @ s.mean)


def fit_probe(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    n_classes: int,
    standardisation: Standardisation,
    c: float,
) -> LinearProbe:
    """Minimise the sum of cross-entropies plus ||weight||^2 / (2 c), to convergence.

    The minimum equals scikit-learn's (with two classes, the penalty is on the difference of their weights), in a
    fraction of the time. The search covers only the directions that the windows span. It uses Newton's method with
    conjugate gradients (Nocedal and Wright 2006, "Numerical Optimization", section 7.1), in coordinates with nearly
    constant curvature. The curvature comes first from Boehning's bound (1992, "Multinomial logistic regression
    algorithm"), then from the actual probabilities.

    Args:
        features: (N, P).
        labels: (N,) in [0, C), each class at least once.
        n_classes: C, at least 2.
        standardisation: standardisation of the features; with few labels, compute it from many unlabelled windows.
        c: inverse regularisation.

    Raises:
        ValueError: a class has no window.
    """
    missing = np.setdiff1d(np.arange(n_classes), labels)
    if missing.size:
        raise ValueError(f"no window of class {missing[0]} to fit the probe on")
    penalty = (2 if n_classes == 2 else 1) / c
    # For such small matrices, synchronising threads costs 30 times what they save.
    with _libraries().limit(limits=1):
        weight, bias = _minimise(standardisation(features), labels, n_classes, penalty)
    return LinearProbe(standardisation, weight, bias)


@functools.cache
def _libraries() -> Any:
    """Find the libraries whose threads can be limited, once: with many files mapped this takes as long as a fit."""
    return ThreadpoolController()


def _minimise(x: Floats, labels: NDArray[np.int64], n_classes: int, penalty: float) -> tuple[Floats, Floats]:
    """Compute weight (C, P) and bias (C,) of the probe."""
    # At the minimum, all weights lie in the windows' span, so R = min(N, P) dimensions are enough.
    basis, spanned = (None, x) if len(x) >= x.shape[1] else _span(x)
    found = np.zeros((spanned.shape[1] + 1, n_classes))  # weights, and the bias in the last row
    curvature = np.full(len(x), 0.25)  # Boehning's bound
    # Easy windows have a far smaller curvature than the bound, once their probabilities are known. Single precision
    # takes half the time for most of the way.
    for steps, gain, dtype in _STAGES:
        found = _descend(spanned, labels, penalty, found, curvature, steps, gain, dtype)
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
    enough: float,
    dtype: type[np.float32] | type[np.float64],
) -> Floats:
    """Run Newton's method from ``start`` (R + 1, C), in coordinates that make ``curvature`` (N,) constant.

    The last column of ``a`` and the last row of the solution belong to the bias, which is not penalised.
    """
    r = x.shape[1]
    bent = x.T @ (curvature[:, None] * x)
    bent[np.diag_indices(r)] += penalty
    root = np.linalg.cholesky(bent)
    inverse = solve_triangular(root, np.eye(r), lower=True)
    bias_scale = np.sqrt(curvature.sum())
    a: Reals = np.column_stack([x @ inverse.T, np.full(len(x), 1 / bias_scale)]).astype(dtype)
    shrink: Reals = np.zeros((r + 1, r + 1), dtype)
    shrink[:r, :r] = penalty * inverse @ inverse.T
    rows = np.arange(len(x))

    def loss(v: Reals) -> tuple[float, Reals]:
        """Compute the loss, and probabilities (N, C)."""
        logits = a @ v
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[rows, labels].sum(dtype=np.float64)
        likely = np.exp(logits, out=logits)
        total = likely.sum(axis=1)
        value = np.log(total).sum(dtype=np.float64) - own + 0.5 * np.vdot(v, shrink @ v)
        likely /= total[:, None]
        return float(value), likely

    found: Reals = np.concatenate([root.T @ start[:-1], start[-1:] * bias_scale]).astype(dtype)
    value, likely = loss(found)
    noise = 10 * float(np.finfo(dtype).eps)  # relative rounding error of the loss
    for _ in range(steps):
        residual = likely.copy()
        residual[rows, labels] -= 1
        gradient = a.T @ residual + shrink @ found
        step, gain = _newton_step(a, shrink, likely, gradient)
        length = 1.0
        while (new := loss(found + length * step))[0] > value - 1e-4 * length * gain + noise * value:
            length /= 2
            if length < 1e-6:
                break
        found = found + length * step
        value, likely = new
        if gain <= enough * min(1.0, value):
            break
    return np.concatenate([solve_triangular(root.T, found[:-1], lower=False), found[-1:] / bias_scale])


def _newton_step(a: Reals, shrink: Reals, likely: Reals, gradient: Reals) -> tuple[Reals, float]:
    """Compute the Newton step (R + 1, C) by conjugate gradients, and its gain to first order.

    The step is less exact far from the minimum.
    """
    step = np.zeros_like(gradient)
    left = -gradient
    direction = left.copy()
    size = float(np.vdot(left, left))
    enough = min(0.09, np.sqrt(size)) * size
    for _ in range(500):
        if size <= enough or size < 1e-12:
            break
        bent = a @ direction
        bent *= likely
        bent -= likely * bent.sum(axis=1, keepdims=True)
        image = a.T @ bent + shrink @ direction
        length = size / float(np.vdot(direction, image))
        step += length * direction
        left -= length * image
        before, size = size, float(np.vdot(left, left))
        direction *= size / before
        direction += left
    return step, -float(np.vdot(gradient, step))


def _softmax(logits: Floats) -> Floats:
    # Class by class: NumPy takes four times as long over the few numbers of each row.
    found = np.array(logits.T, order="C")  # a copy, also of a single row
    found -= found.max(axis=0)
    np.exp(found, out=found)
    found /= found.sum(axis=0)
    return np.ascontiguousarray(found.T)


def _span(x: Floats) -> tuple[Floats, Floats]:
    """Compute orthonormal directions (P, N) that the windows span, and the windows' coordinates in them, (N, N)."""
    basis, coordinates = np.linalg.qr(x.T)
    return basis, np.ascontiguousarray(coordinates.T)
