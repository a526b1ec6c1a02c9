"""Whitening by the spread within activities, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.evaluation.transfer.whitening import FEWEST, Whitening, within_covariance


def test_after_whitening_all_directions_spread_alike() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(4, 4))
    covariance = root @ root.T
    whitening = Whitening.of(covariance, shrinkage=0.0)
    spread = whitening(root.T).T @ whitening(root.T)
    # A 4 x 4 eigenvalue problem in double precision.
    assert spread == pytest.approx(np.trace(covariance) / 4 * np.eye(4), abs=1e-9)


@pytest.mark.parametrize("variance", [1e-3, 1.0, 50.0])
def test_equal_spread_changes_nothing(variance: float) -> None:
    assert Whitening.of(variance * np.eye(3)).matrix == pytest.approx(np.eye(3), abs=1e-12)


def test_shrinkage_keeps_a_direction_that_never_varied_finite() -> None:
    matrix = Whitening.of(np.diag([2.0, 0.0]), shrinkage=0.3).matrix
    # Shrunk to 0.7 * [2, 0] + 0.3 = [1.7, 0.3].
    assert matrix == pytest.approx(np.diag([1.7**-0.5, 0.3**-0.5]), abs=1e-12)


def test_what_activities_differ_in_is_no_spread() -> None:
    """Means of activities have no part in it; small activities none; each activity counts alike."""
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(40, 2)) * [1, 3], rng.normal(size=(400, 2)) * [2, 1]
    lone = rng.normal(size=(FEWEST - 1, 2)) * 1000
    features = np.concatenate([first + 100, second - 50, lone])
    labels = np.repeat([0, 1, 2], [40, 400, FEWEST - 1])
    expected = (np.cov(first.T, bias=True) + np.cov(second.T, bias=True)) / 2
    # Shifts of 100 cost digits: 1e-9 of values of a few.
    assert within_covariance([(features, labels)]) == pytest.approx(expected, abs=1e-8)
    apart = [(first, np.zeros(40, np.int64)), (second, np.zeros(400, np.int64))]
    assert within_covariance(apart) == pytest.approx(expected, abs=1e-8)


def test_no_spread_is_refused() -> None:
    with pytest.raises(ValueError, match="do not vary within any activity"):
        Whitening.of(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=f"no activity has {FEWEST} windows"):
        within_covariance([(np.ones((3, 2)), np.arange(3))])
