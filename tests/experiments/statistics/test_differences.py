"""Paired comparisons: closed forms, and the error rates that tests and corrections promise."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.statistics.differences import (
    Correction,
    Difference,
    compare,
    compare_all,
    compare_with_best,
    corrected,
    holm,
    sign_flip_p,
    smallest_p,
    westfall_young,
)
from experiments.statistics.intervals import bootstrap_interval

P_VALUES = st.lists(st.floats(0, 1), max_size=7)


def _named(values: np.ndarray) -> dict[str, float]:
    return {f"s{i:02d}": float(value) for i, value in enumerate(values)}


def _limit(trials: int) -> float:
    """An error rate of 5 % stays below with all but certainty: 4 standard errors."""
    return 0.05 + 4 * math.sqrt(0.05 * 0.95 / trials)


def test_a_comparison_of_those_who_were_tested_with_both() -> None:
    first = {"a": 0.8, "b": 0.6, "c": 1.0, "e": 0.5, "f": 0.2}
    second = {"e": 0.1, "a": 0.5, "b": 0.4, "d": 0.0, "f": 0.1}
    found = compare(first, second, 1000)
    assert found.mean == pytest.approx(0.25)
    assert found.subjects == 4
    assert found.p == found.adjusted_p == 2 / 16
    assert found.comparisons == 1
    assert (found.low, found.high) == pytest.approx(bootstrap_interval(np.array([0.3, 0.2, 0.4, 0.1]), 1000))
    swapped = compare(second, first, 1000)
    assert (swapped.mean, swapped.low, swapped.high) == pytest.approx((-found.mean, -found.high, -found.low))
    assert swapped.p == found.p


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="no subject was tested with both"):
        compare({"a": 1.0}, {"b": 1.0}, 10)
    with pytest.raises(ValueError, match=r"subject b: nan and 0\.5"):
        compare({"a": 1.0, "b": math.nan}, {"a": 0.9, "b": 0.5}, 10)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.booleans())
def test_sign_flips_equal_scipys_permutation_test(seed: int, n: int, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    differences = rng.integers(-3, 4, n) / 10 if tied else rng.normal(0.5, 1, n)
    expected = stats.permutation_test(
        (differences, np.zeros(n)),
        lambda a, b, axis: np.round(np.abs((a - b).mean(axis=axis)), 12),  # so that ties are ties
        permutation_type="samples",
        alternative="greater",
        n_resamples=2**n,  # all of them
        vectorized=True,
    ).pvalue
    assert sign_flip_p(differences) == pytest.approx(expected, abs=1e-12)


def test_known_p_values() -> None:
    assert sign_flip_p(np.array([3.0, 2.0, 1.0])) == 2 / 8
    assert sign_flip_p(np.array([3.0, 2.0, -1.0])) == 4 / 8  # 3 + 2 + 1 and 3 + 2 - 1, and their negatives
    assert sign_flip_p(np.array([0.1, 0.2, -0.3])) == 1  # a mean of 5e-17 by rounding
    assert sign_flip_p(np.zeros(20)) == 1


@pytest.mark.parametrize("n", [1, 2, 5, 6, 14])
def test_the_smallest_p_is_that_of_unanimous_subjects(n: int) -> None:
    assert smallest_p(n) == sign_flip_p(np.linspace(1, 2, n)) == pytest.approx(2 / 2**n)
    assert (smallest_p(n) < 0.05) == (n >= 6)


def test_the_smallest_p_of_random_patterns() -> None:
    # A random pattern of 25 signs is unanimous with probability 6e-8.
    assert smallest_p(25) == sign_flip_p(np.linspace(1, 2, 25)) == 1 / 10_001
    with pytest.raises(ValueError, match="0 subjects"):
        smallest_p(0)


def test_random_patterns_agree_with_students_t() -> None:
    """For 40 normal subjects the test is all but the t-test; the random patterns add 0.005 at p = 0.5."""
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.2, 0.4):
        differences = rng.normal(shift, 1, 40)
        expected = stats.ttest_1samp(differences, 0).pvalue
        assert sign_flip_p(differences) == pytest.approx(expected, abs=0.02)
    assert sign_flip_p(differences) == sign_flip_p(differences)


@pytest.mark.parametrize("n", [6, 9, 14, 25])
@pytest.mark.parametrize("kind", ["normal", "heavy tails", "tied"])
def test_error_rate_without_a_difference(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    trials = 600
    draws = {
        "normal": rng.normal(size=(trials, n)),
        "heavy tails": rng.standard_t(2, size=(trials, n)),
        "tied": rng.integers(-2, 3, (trials, n)) / 10,
    }
    p = np.array([sign_flip_p(differences) for differences in draws[kind]])
    assert (p <= 0.05).mean() <= _limit(trials)
    assert (p <= 0.5).mean() > 0.3  # and is no test that never rejects


def test_power_with_a_clear_difference() -> None:
    rng = np.random.default_rng(0)
    p = [sign_flip_p(rng.normal(2, 1, 8)) for _ in range(200)]
    assert np.mean(np.array(p) < 0.05) > 0.95


def test_holm_of_a_known_case() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # Holm 1979's steps by hand
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


def test_holm_leaves_nan_alone() -> None:
    found = holm([0.01, math.nan, 0.04, math.nan])
    assert found[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(found[[1, 3]]).all()


@pytest.mark.parametrize("wrong", [-0.1, 1.5])
def test_holm_refuses_what_is_no_p_value(wrong: float) -> None:
    with pytest.raises(ValueError, match=f"p-value {wrong}"):
        holm([0.5, wrong])


@given(P_VALUES)
def test_holm_is_the_closure_of_bonferroni(p: list[float]) -> None:
    """Rejected is what every set of hypotheses that it belongs to has rejected by Bonferroni's test."""
    subsets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), size)]
    expected = [max(min(1.0, len(s) * min(p[i] for i in s)) for s in subsets if j in s) for j in range(len(p))]
    assert holm(p) == pytest.approx(expected, abs=1e-12)


def test_corrected_differences_know_their_family() -> None:
    ones = [Difference(0.1, 0.0, 0.2, p, 9, p) for p in (0.01, math.nan, 0.04)]
    found = corrected(ones)
    assert [d.adjusted_p for d in found] == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)
    assert [d.comparisons for d in found] == [2, 2, 2]
    assert [d.p for d in found] == pytest.approx([0.01, math.nan, 0.04], nan_ok=True)


def _family(
    rng: np.random.Generator, n: int, m: int, effects: np.ndarray
) -> list[tuple[dict[str, float], dict[str, float]]]:
    """m methods compared with the same baseline on the same n people: comparisons that depend on each other."""
    baseline = rng.normal(0.6, 0.1, n)
    return [(_named(rng.normal(0.6, 0.1, n) + 0.1 * effects[j]), _named(baseline)) for j in range(m)]


@pytest.mark.parametrize("correction", ["holm", "westfall_young"])
@pytest.mark.parametrize("effects", [np.zeros(10), np.repeat([0.0, 6.0], 5)], ids=["none", "half"])
@pytest.mark.parametrize("n", [11, pytest.param(20, marks=pytest.mark.slow)])
def test_family_wise_error(n: int, effects: np.ndarray, correction: Correction) -> None:
    """With all ten, or five of ten, differences missing: seldom is any of these found, and uncorrected often one."""
    rng = np.random.default_rng(1)
    trials, wrong, uncorrected, found = 150, 0, 0, 0
    for _ in range(trials):
        family = compare_all(_family(rng, n, 10, effects), 1, correction)
        missing = [d for d, effect in zip(family, effects, strict=True) if effect == 0]
        wrong += any(d.adjusted_p < 0.05 for d in missing)
        uncorrected += any(d.p < 0.05 for d in missing)
        found += all(d.adjusted_p < 0.05 for d, effect in zip(family, effects, strict=True) if effect)
    assert wrong / trials <= _limit(trials)
    assert uncorrected / trials > _limit(trials)  # so the correction is what does it
    assert found / trials > 0.9


def test_few_people_and_many_comparisons() -> None:
    """Eight people who all agree 24 times: nothing for Holm, and one finding 24 times over for Westfall and Young."""
    rng = np.random.default_rng(0)
    pairs = [(_named(rng.uniform(0.7, 0.9, 8)), _named(rng.uniform(0.3, 0.5, 8))) for _ in range(24)]
    holms, joint = compare_all(pairs, 10), compare_all(pairs, 10, "westfall_young")
    assert {d.p for d in holms} == {d.p for d in joint} == {2 / 256}
    assert {d.adjusted_p for d in holms} == {24 * 2 / 256}
    assert {d.adjusted_p for d in joint} == {2 / 256}
    assert {d.comparisons for d in joint} == {24}


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 6), st.booleans())
def test_westfall_young_only_raises_p(seed: int, n: int, m: int, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(-1, 4, (m, n)) / 10 if tied else rng.normal(0.5, 1, (m, n))
    adjusted = westfall_young([_named(row) for row in table])
    p = np.array([sign_flip_p(row) for row in table])
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    if m == 1 or (table == table[0]).all():
        assert adjusted.tolist() == p.tolist()


def test_westfall_young_against_its_definition() -> None:
    """Step by step with scipy's t-test over all patterns, one comparison lacking two of the six people."""
    table = np.random.default_rng(4).normal([[0.9], [0.4], [0.7], [0.0]], 1, (4, 6))
    table[2, 4:] = np.nan
    patterns = np.array(list(itertools.product([1, -1], repeat=6)))
    p = np.array([stats.ttest_1samp(table * signs, 0, axis=1, nan_policy="omit").pvalue for signs in patterns])
    order = np.argsort(p[0])
    expected, so_far = np.empty(4), 0.0
    for step, j in enumerate(order):
        left = p[:, order[step:]].min(axis=1)
        so_far = max(so_far, float(np.mean(left <= p[0, j] + 1e-9)))
        expected[j] = so_far
    rows = [{name: value for name, value in _named(row).items() if not math.isnan(value)} for row in table]
    assert westfall_young(rows) == pytest.approx(expected, abs=1e-12)
    assert len(set(expected)) > 2


def test_westfall_young_of_people_of_several_data_sets() -> None:
    """Two people who can't show anything do not take it from the eight who can: their p is 2 / 4 at best."""
    clear = {f"a{i}": 1.0 + i / 10 for i in range(8)}
    few = {"b0": 0.3, "b1": 0.1}
    adjusted = westfall_young([clear, few])
    assert adjusted == pytest.approx([2 / 256, 0.5])
    assert westfall_young([]).shape == (0,)


def test_ahead_of_the_best_takes_the_largest_p_and_behind_it_the_smallest_times_their_number() -> None:
    rng = np.random.default_rng(0)
    first, near, far = (_named(rng.normal(mean, 0.1, 9)) for mean in (0.8, 0.7, 0.4))
    ((to_near, to_far),) = compare_with_best([[(first, near), (first, far)]], 0)
    alone = [compare(first, other, 0) for other in (near, far)]
    assert [d.p for d in (to_near, to_far)] == [d.p for d in alone]
    assert to_near.adjusted_p == to_far.adjusted_p == max(d.p for d in alone)
    assert to_near.comparisons == 1

    ((behind, ahead),) = compare_with_best([[(near, first), (near, far)]], 0)
    assert behind.mean < 0 < ahead.mean
    assert behind.adjusted_p == pytest.approx(min(1, 2 * compare(near, first, 0).p))
    assert ahead.adjusted_p == 1  # decides nothing
    equal = compare_with_best([[(first, first)]], 0)[0][0]
    assert (equal.mean, equal.adjusted_p) == (0, 1)


def test_each_planned_comparison_counts_once_in_holms_correction() -> None:
    rng = np.random.default_rng(1)
    families = [
        [(_named(rng.normal(shift, 0.1, 10)), _named(rng.normal(0, 0.1, 10))) for _ in range(3)]
        for shift in (0.05, 0.3, -0.2)
    ]
    found = compare_with_best(families, 0)
    alone = [compare_with_best([family], 0)[0] for family in families]
    smallest = [min(d.adjusted_p for d in family) for family in found]
    assert smallest == pytest.approx(holm([min(d.adjusted_p for d in family) for family in alone]))
    assert {d.comparisons for family in found for d in family} == {3}
    together = compare_with_best(families, 0, "westfall_young")
    flat = compare_all([pair for family in families for pair in family], 0, "westfall_young")
    # As text, where NaN is NaN: two intervals without a bound are the same.
    assert [repr(d) for family in together for d in family] == [repr(d) for d in flat]


@pytest.mark.parametrize("correction", ["holm", "westfall_young"])
@pytest.mark.parametrize("others", [(0.0,), (0.0, 0.0, 0.0), (0.0, -0.3, -0.3)])
def test_a_method_that_equals_the_best_is_rarely_called_ahead_or_behind(
    correction: Correction, others: tuple[float, ...]
) -> None:
    """The family-wise error over four methods, none of which differs from the best of the others."""
    rng, trials, wrong = np.random.default_rng(2), 150, 0
    for _ in range(trials):
        baselines = [_named(rng.normal(mean, 0.1, 10)) for mean in others]
        methods = [_named(rng.normal(0, 0.1, 10)) for _ in range(4)]
        found = compare_with_best([[(m, other) for other in baselines] for m in methods], 0, correction)
        wrong += any(
            all(d.mean > 0 and d.adjusted_p < 0.05 for d in family)
            or any(d.mean < 0 and d.adjusted_p < 0.05 for d in family)
            for family in found
        )
    assert wrong / trials <= _limit(trials)
