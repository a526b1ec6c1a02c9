"""Size of shift against closed forms: nothing between samples of one distribution, a known mean apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from experiments.evaluation.shift import MOST_WINDOWS, Side, auc_by_people, evenly_by_person, measure_shift, mmd_squared


def side(n: int, people: int, mean: float = 0.0, seed: int = 0, width: int = 3, own: float = 0.0) -> Side:
    """Normal windows around ``mean`` in the first feature, with a deviation of ``own`` between people."""
    rng = np.random.default_rng(seed)
    which = np.arange(n) % people
    values = rng.normal(size=(n, width)) + own * rng.normal(size=(people, width))[which]
    values[:, 0] += mean
    return Side(values, np.array([f"{seed}-{i}" for i in which]))


def test_two_samples_of_one_distribution_are_alike() -> None:
    found = [measure_shift(side(400, 8, seed=s), side(400, 8, seed=s + 100)) for s in range(10)]
    # The standard error of an AUC of 2 x 400 windows is about 0.02; of the mean of ten, 0.0065.
    assert np.mean([each.auc for each in found]) == pytest.approx(0.5, abs=0.03)
    # Single estimates have a deviation of 0.0012 (measured), so the mean of ten 0.0004.
    assert np.mean([each.mmd2 for each in found]) == pytest.approx(0, abs=0.0016)
    assert min(each.mmd2 for each in found) < 0  # unbiased, so below 0 at times


@pytest.mark.parametrize("mean", [0.5, 1.0, 2.0])
def test_a_known_shift_of_the_mean_has_its_auc(mean: float) -> None:
    """Two normal distributions whose means are d apart are told apart at an AUC of Phi(d / sqrt 2)."""
    found = measure_shift(side(600, 10), side(600, 10, mean, seed=1))
    assert found.auc == pytest.approx(norm.cdf(mean / math.sqrt(2)), abs=0.04)  # two standard errors
    assert found.mmd2 > 0


def test_mmd_has_its_closed_form() -> None:
    """For normal distributions of K features, N(0, 1) and N(d, 1), and a kernel of width s:

    MMD^2 = 2 (s^2 / (s^2 + 2))^(K/2) (1 - exp(-d^2 / (2 (s^2 + 2)))).
    """
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(1500, 2)), rng.normal(size=(1500, 2)) + np.array([1.5, 0])
    together = np.concatenate([first, second])
    pairs = rng.integers(0, 3000, size=(2, 400_000))
    width2 = float(np.median(((together[pairs[0]] - together[pairs[1]]) ** 2).sum(axis=1)))
    expected = 2 * width2 / (width2 + 2) * (1 - math.exp(-(1.5**2) / (2 * (width2 + 2))))
    assert mmd_squared(first, second, np.arange(1500), np.arange(1500)) == pytest.approx(expected, rel=0.08)  # sampling


def test_mmd_of_equal_points_by_hand() -> None:
    first, second = np.zeros((3, 1)), np.full((2, 1), 2.0)
    # Six of ten distances are 2, whose square is the median: kernel 1 within a side, exp(-1/2) between.
    assert mmd_squared(first, second, np.arange(3), np.arange(2)) == pytest.approx(2 - 2 * math.exp(-0.5))
    assert mmd_squared(first, np.zeros((2, 1)), np.arange(3), np.arange(2)) == 0


def test_people_who_differ_are_no_shift() -> None:
    """People are far from each other, but the two sides are drawn alike: whoever learnt persons would be at 1."""
    found = [measure_shift(side(400, 20, seed=s, own=3.0), side(400, 20, seed=s + 50, own=3.0)) for s in range(8)]
    assert np.mean([each.auc for each in found]) == pytest.approx(0.5, abs=0.12)  # 8 x 40 people
    # Windows of one person are close, on either side. That alone makes no discrepancy.
    assert abs(np.mean([each.mmd2 for each in found])) < 0.02
    learnt = side(400, 20, seed=0, own=3.0)
    other = side(400, 20, seed=50, own=3.0)
    by_window = (np.arange(400) // 20) % 5  # people on both sides of the split
    assert auc_by_people(learnt.features, other.features, by_window, by_window) > found[0].auc


def test_one_person_can_not_be_left_out() -> None:
    found = measure_shift(side(50, 1), side(50, 4, seed=1))
    assert math.isnan(found.auc)
    assert math.isnan(found.mmd2)
    assert found.people == (1, 4)


def test_many_windows_are_thinned_person_by_person() -> None:
    people = np.array(["often"] * 4800 + ["seldom"] * 200)
    chosen = evenly_by_person(people, np.arange(5000))
    assert [int((people[chosen] == name).sum()) for name in ("often", "seldom")] == [MOST_WINDOWS // 2, 200]
    few = np.arange(7, 400)
    np.testing.assert_array_equal(evenly_by_person(people, few), few)


def test_features_that_never_change_do_no_harm() -> None:
    one, other = side(100, 4), side(100, 4, 3.0, seed=1)
    for each in (one, other):
        each.features[:, 2] = 1e8
    assert measure_shift(one, other).auc > 0.9
