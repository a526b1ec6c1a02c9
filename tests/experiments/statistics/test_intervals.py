"""Intervals over subjects: closed forms, and the coverage that they promise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.intervals import FEWEST, bootstrap_interval, interval_method, worst_third

Draw = Callable[[np.random.Generator, int], np.ndarray]
NORMAL: tuple[Draw, float] = (lambda rng, n: rng.normal(0.7, 0.1, n), 0.7)
BETA: tuple[Draw, float] = (lambda rng, n: rng.beta(5, 1.2, n), 5 / 6.2)
EXPONENTIAL: tuple[Draw, float] = (lambda rng, n: rng.exponential(1.0, n), 1.0)
SUBJECTS = (3, 4, 5, 6, 8, 12, 20, 50)
COVERAGE = {  # of the docstring, in %
    "normal": (NORMAL, (95.2, 94.8, 95.1, 93.7, 94.3, 94.4, 95.0, 94.7)),
    "beta": (BETA, (91.6, 92.0, 92.1, 92.0, 93.0, 93.9, 94.6, 94.4)),
    "exponential": (EXPONENTIAL, (88.7, 87.7, 88.2, 88.6, 90.3, 91.3, 92.9, 93.7)),
}
CASES = [
    pytest.param(population, n, expected, id=f"{name}-{n}")
    for name, (population, coverage) in COVERAGE.items()
    for n, expected in zip(SUBJECTS, coverage, strict=True)
]


@pytest.mark.parametrize("n", [3, 5, 6, 30])
def test_identical_subjects_have_no_spread(n: int) -> None:
    low, high = bootstrap_interval(np.full(n, 0.7), 1000)
    assert low == pytest.approx(0.7, abs=1e-15)  # one rounding
    assert high == pytest.approx(0.7, abs=1e-15)


@pytest.mark.parametrize("values", [[], [0.7], [0.0, 1.0]])
def test_fewer_than_three_subjects_have_no_interval(values: list[float]) -> None:
    assert all(math.isnan(end) for end in bootstrap_interval(np.array(values), 1000))
    assert len(values) < FEWEST
    assert interval_method(len(values)) == ""


def test_without_resamples_there_is_no_interval() -> None:
    assert all(math.isnan(end) for end in bootstrap_interval(np.arange(5.0), 0))


@pytest.mark.parametrize("n", [3, 4, 5])
def test_where_the_span_is_too_narrow_the_interval_is_students(n: int) -> None:
    values = np.random.default_rng(n).random(n)
    expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert bootstrap_interval(values, 1000) == pytest.approx(expected)
    assert interval_method(n) == "Student's t"
    # The span would do for 3 of 4 intervals, and then the bootstrap is used.
    low, high = bootstrap_interval(values, 1000, level=0.7)
    assert interval_method(n, 0.7) == "expanded percentile bootstrap"
    assert values.min() <= low <= high <= values.max()


@given(st.integers(0, 10**6), st.integers(6, 40))
def test_the_interval_holds_the_mean_and_moves_with_the_values(seed: int, n: int) -> None:
    values = np.random.default_rng(seed).random(n)
    low, high = bootstrap_interval(values, 500)
    assert interval_method(n) == "expanded percentile bootstrap"
    assert values.min() <= low <= values.mean() <= high <= values.max()
    # Rounding only: the same resamples.
    assert bootstrap_interval(3 * values - 1, 500) == pytest.approx((3 * low - 1, 3 * high - 1), abs=1e-12)
    assert bootstrap_interval(-values, 500) == pytest.approx((-high, -low), abs=1e-12)


@pytest.mark.parametrize("n", [6, 9, 15])
def test_the_quantiles_are_hesterbergs(n: int) -> None:
    """Against a loop over resamples and the formula."""
    values = np.random.default_rng(n).normal(0.6, 0.1, n)
    rng = np.random.default_rng(5)
    means = [values[rng.integers(0, n, n)].mean() for _ in range(20_000)]
    tail = stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1))
    expected = np.quantile(means, [tail, 1 - tail])
    # Extreme quantiles of other resamples of the same values: good to some 3 % of the width.
    assert bootstrap_interval(values, 20_000) == pytest.approx(expected, abs=0.05 * (expected[1] - expected[0]))


def test_it_is_wider_than_the_plain_percentile_bootstrap() -> None:
    values = np.random.default_rng(2).random(10)
    rng = np.random.default_rng(0)
    plain = np.quantile(values[rng.integers(0, 10, (10_000, 10))].mean(axis=1), [0.025, 0.975])
    low, high = bootstrap_interval(values)
    # Widened by t / z * sqrt(10 / 9) = 1.22 were the resampled means normal.
    assert high - low == pytest.approx(1.22 * (plain[1] - plain[0]), rel=0.05)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(3).random(9)
    assert bootstrap_interval(values, 500, seed=1) == bootstrap_interval(values, 500, seed=1)
    assert bootstrap_interval(values, 500, seed=1) != bootstrap_interval(values, 500, seed=2)


def test_many_subjects_give_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(0.6, 0.1, 400)
    low, high = bootstrap_interval(values, 10_000)
    expected = 1.96 * values.std() / math.sqrt(400)
    # Quantiles of 10,000 resamples are good to about 2 % of the interval's width.
    assert low == pytest.approx(values.mean() - expected, abs=0.05 * expected)
    assert high == pytest.approx(values.mean() + expected, abs=0.05 * expected)


def _coverage(population: tuple[Draw, float], n: int, trials: int, resamples: int) -> float:
    """How often the interval holds the true mean, in %."""
    draw, truth = population
    rng = np.random.default_rng(11)
    ends = (bootstrap_interval(draw(rng, n), resamples) for _ in range(trials))
    return 100 * float(np.mean([low <= truth <= high for low, high in ends]))


def _standard_error(coverage: float, trials: int) -> float:
    """Of a binomial share, in %."""
    return math.sqrt(coverage * (100 - coverage) / trials)


@pytest.mark.parametrize(("population", "n", "expected"), CASES)
def test_coverage(population: tuple[Draw, float], n: int, expected: float) -> None:
    """What the docstring states, within 4 standard errors of 500 trials (up to 5.7 points)."""
    assert _coverage(population, n, 500, 2000) == pytest.approx(expected, abs=4 * _standard_error(expected, 500))


@pytest.mark.slow
@pytest.mark.parametrize(("population", "n", "expected"), CASES)
def test_coverage_in_full(population: tuple[Draw, float], n: int, expected: float) -> None:
    """The same within 4 standard errors of the difference of two runs of 10,000 trials (up to 1.9 points)."""
    tolerance = 4 * math.sqrt(2) * _standard_error(expected, 10_000)
    assert _coverage(population, n, 10_000, 10_000) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.4], 0.4), ([0.9, 0.1], 0.1), ([0.9, 0.5, 0.7], 0.5), ([0.9, 0.5, 0.7, 0.6], 0.55)],
)
def test_worst_third(values: list[float], expected: float) -> None:
    assert worst_third(np.array(values)) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_worst_third_is_between_the_worst_and_the_mean(values: list[float]) -> None:
    found = worst_third(np.array(values))
    # Rounding of a mean of up to 30 values.
    assert min(values) - 1e-12 <= found <= np.mean(values) + 1e-12


def test_worst_third_of_nobody() -> None:
    with pytest.raises(ValueError, match="no subjects"):
        worst_third(np.array([]))
