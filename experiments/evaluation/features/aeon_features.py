"""Features of the package aeon on the windows' six channels: catch22, MiniRocket and Hydra, as published.

Shape legend: N windows of the target, B windows of a block, T samples, K features.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import MendableError
from experiments.evaluation.features.feature_table import FeatureTable, Indices, digest_of_windows
from experiments.evaluation.features.target_features import TargetFeatures

BLOCK = 512  # windows
FITTED_ON = 2000  # windows of the pool, at most, that MiniRocket takes its biases from

# (B, 6, T) -> (B, K)
Transform = Callable[[NDArray[np.float64]], NDArray[np.float32]]


class MissingAeonError(MendableError, RuntimeError):
    """The package aeon is not installed; the message says how to install it."""


def catch22_table(features: TargetFeatures) -> FeatureTable:
    """Compute the 22 features of Lubba et al. 2019 of each channel, (N, 132)."""
    transform = _aeon("feature_based").Catch22(replace_nans=True)

    def compute(values: NDArray[np.float64]) -> NDArray[np.float32]:
        found = np.asarray(transform.fit_transform(values), np.float64)
        # A channel that stands still has no spectrum; a few features then overflow.
        return np.clip(np.nan_to_num(found, posinf=0, neginf=0), -1e6, 1e6).astype(np.float32)

    return _table(features, compute)


def minirocket_table(features: TargetFeatures, pool: Indices, fitted_on: TargetFeatures) -> FeatureTable:
    """Compute the 9,996 features of Dempster et al. 2021, (N, 9996).

    Args:
        features: features of the target.
        pool: windows whose values give the biases of the convolutions, without labels.
        fitted_on: features of the windows as they are, of which the pool is read.
    """
    transform = _aeon("convolution_based").MiniRocket(n_kernels=10_000, random_state=features.seed)
    step = -(-len(pool) // FITTED_ON)
    transform.fit(_values(fitted_on, pool[::step]))
    return _table(features, lambda values: np.asarray(transform.transform(values), np.float32))


def hydra_table(features: TargetFeatures) -> FeatureTable:
    """Compute the counts of Dempster et al. 2023, 8 kernels in 64 groups, as square roots, (N, K)."""
    transform = _aeon("convolution_based").HydraTransformer(
        n_kernels=8, n_groups=64, random_state=features.seed, output_type="numpy"
    )
    # Kernels are random, and need the shape of windows alone.
    transform.fit(_values(features, features.windows[:2]))
    return _table(
        features, lambda values: np.sqrt(np.maximum(np.asarray(transform.transform(values)), 0)).astype(np.float32)
    )


def minirocket_name(pool: Indices) -> str:
    """Name the table of :func:`minirocket_table`, which differs from pool to pool."""
    return f"minirocket {digest_of_windows(pool)}"


def _table(features: TargetFeatures, transform: Transform) -> FeatureTable:
    found: FeatureTable | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # windows that stand still divide by 0
        for start in range(0, len(features.windows), BLOCK):
            windows = features.windows[start : start + BLOCK]
            rows = transform(_values(features, windows))
            if found is None:
                found = FeatureTable(features.shards.n_windows, rows.shape[1])
            found.put(windows, rows)
    assert found is not None
    return found


def _values(features: TargetFeatures, windows: Indices) -> NDArray[np.float64]:
    """Read windows as (B, 6, T); what was not measured is the mean of the window's channel."""
    imu, samples, channels = features.shards.imu(windows)
    measured = samples[:, :, None] & channels[:, None, :]
    values = np.where(measured, imu, 0).astype(np.float64)
    mean = values.sum(axis=1) / np.maximum(measured.sum(axis=1), 1)
    return np.ascontiguousarray(np.where(measured, values, mean[:, None, :]).transpose(0, 2, 1))


def _aeon(kind: str) -> Any:
    try:
        return importlib.import_module(f"aeon.transformations.collection.{kind}")
    except ImportError as error:
        raise MissingAeonError(
            "methods catch22, minirocket, hydra, and those whose names end in _hydra need the package aeon: pip install"
            f" '.[aeon]', or leave them out of evaluation.methods ({error})"
        ) from error
