"""Fitting in other processes: the same answers, and errors that come back."""

from __future__ import annotations

import os

import numpy as np
import pytest

from experiments.evaluation import worker_pool as module
from experiments.evaluation.features.forests import fit_forest
from experiments.evaluation.worker_pool import run_in_pool, worker_pool
from lightning_modules.probe import Standardisation, fit_probe


def test_what_is_fitted_does_not_depend_on_where() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(30, 6)).astype(np.float32), np.arange(30) % 3
    standardisation = Standardisation.of(features)
    here = fit_probe(features, labels, 3, standardisation, 1.0)
    forest = fit_forest(features, labels, 3, seed=1, trees=10).probabilities(features)
    with worker_pool(2):
        assert run_in_pool(os.getpid) != os.getpid()
        there = run_in_pool(fit_probe, features, labels, 3, standardisation, 1.0)
        assert (there.weight == here.weight).all()
        assert (there.bias == here.bias).all()
        far = run_in_pool(fit_forest, features, labels, 3, seed=1, trees=10)
        assert (far.probabilities(features) == forest).all()
        with pytest.raises(ValueError, match="no window of class 2"):
            run_in_pool(fit_probe, features, labels % 2, 3, standardisation, 1.0)
    assert run_in_pool(os.getpid) == os.getpid()


def test_one_process_is_this_one() -> None:
    with worker_pool(1):
        assert run_in_pool(os.getpid) == os.getpid()
    assert module._pool is None
