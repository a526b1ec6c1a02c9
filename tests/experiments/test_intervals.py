"""Intervals over participants: closed forms, and the coverage that they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.intervals import bootstrap_interval, paired_difference


def test_identical_participants_have_no_spread() -> None:
    assert bootstrap_interval(np.full(5, 0.7), 1000) == pytest.approx((0.7, 0.7))


@pytest.mark.parametrize("values", [[], [0.7], [0.0, 1.0]])
def test_fewer_than_three_participants_have_no_interval(values: list[float]) -> None:
    low, high = bootstrap_interval(np.array(values), 1000)
    assert math.isnan(low)
    assert math.isnan(high)


def test_three_participants_span_their_values() -> None:
    # 1 of 27 resamples is the smallest three times, 3.7 % and so beyond the 2.5 % quantile; the largest likewise.
    assert bootstrap_interval(np.array([0.0, 0.5, 1.0]), 10_000) == (0.0, 1.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(3).random(9)
    assert bootstrap_interval(values, 500, seed=1) == bootstrap_interval(values, 500, seed=1)
    assert bootstrap_interval(values, 500, seed=1) != bootstrap_interval(values, 500, seed=2)


def test_many_participants_give_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(0.6, 0.1, 400)
    low, high = bootstrap_interval(values, 10_000)
    expected = 1.96 * values.std() / math.sqrt(400)
    # Quantiles of 10,000 resamples are good to about 2 % of the interval's width.
    assert low == pytest.approx(values.mean() - expected, abs=0.05 * expected)
    assert high == pytest.approx(values.mean() + expected, abs=0.05 * expected)


def test_coverage() -> None:
    """The percentile bootstrap of 20 participants covers somewhat less than 95 %: about 92 to 94 %."""
    generator = np.random.default_rng(1)
    covered = 0
    for trial in range(600):
        low, high = bootstrap_interval(generator.normal(0, 1, 20), 1000, seed=trial)
        covered += low <= 0 <= high
    assert 0.90 <= covered / 600 <= 0.97


def test_paired_differences_take_the_participants_that_both_have() -> None:
    first = {"a": 0.8, "b": 0.6, "c": 1.0, "e": 0.4}
    second = {"a": 0.5, "b": 0.3, "d": 0.0, "e": 0.1}
    assert paired_difference(first, second, 1000) == pytest.approx((0.3, 0.3, 0.3))
    with pytest.raises(ValueError, match="no participant"):
        paired_difference({"a": 1.0}, {"b": 1.0}, 10)
