"""Paired differences between methods over subjects, their tests, and corrections for making many of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from experiments.statistics.intervals import Values, bootstrap_interval

EXACT = 14  # subjects; up to so many, all 2^n patterns of signs are tried
FLIPS = 10_000  # random patterns for more subjects
TIE = 1e-9  # times the sum of absolute differences; closer sums differ by rounding alone

Correction = Literal["holm", "westfall_young"]


@dataclass(frozen=True)
class Difference:
    """One method minus another, over the subjects that both were tested on.

    Attributes:
        mean: mean over subjects.
        low: lower end of the 95 % interval, see ``intervals.bootstrap_interval``; NaN for fewer than
            3 subjects.
        high: upper end of the interval.
        p: two-sided p of the sign-flip test, for this comparison alone.
        subjects: number of subjects.
        adjusted_p: p, corrected for the comparison's family.
        comparisons: number of comparisons in that family.
    """

    mean: float
    low: float
    high: float
    p: float
    subjects: int
    adjusted_p: float
    comparisons: int = 1


def compare(first: Mapping[str, float], second: Mapping[str, float], resamples: int = 10_000) -> Difference:
    """Subtract second from first, paired by subject; a family of one, so ``adjusted_p`` is ``p``.

    Args:
        first: subject -> value.
        second: subject -> value.
        resamples: number of resamples of the interval's bootstrap.

    Raises:
        ValueError: no subject is shared, or the value of a shared subject is not finite.
    """
    differences = _differences(first, second)
    values = np.array(list(differences.values()))
    p = sign_flip_p(values)
    return Difference(float(values.mean()), *bootstrap_interval(values, resamples), p, len(values), p)


def compare_all(
    pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]],
    resamples: int = 10_000,
    correction: Correction = "holm",
) -> list[Difference]:
    """Make all comparisons of a family, each by :func:`compare`, with corrected p-values.

    At corrected p < 0.05, the probability of finding any difference that does not exist is at most 5 %.

    Args:
        pairs: first and second of each comparison, subject -> value.
        resamples: number of resamples of the intervals' bootstrap.
        correction: ``holm`` is valid for any p-values, and multiplies the smallest of m by m. Eight subjects, whose
            smallest p is 0.008, can therefore show nothing in a family of seven. ``westfall_young`` uses that all
            comparisons are about the same subjects, see :func:`westfall_young`. In a simulation, five of ten methods
            were better by 1.5 standard deviations. Westfall and Young's correction found 31 % of these with eight
            subjects (Holm's none), 57 % with eleven (50 %), 95 % with twenty (94 %). There were 400 families each; in
            at most 6 % of them either correction found a difference that did not exist.

    Raises:
        ValueError: see :func:`compare`.
    """
    found = [compare(first, second, resamples) for first, second in pairs]
    if correction == "holm":
        return corrected(found)
    adjusted = westfall_young([_differences(first, second) for first, second in pairs])
    return [
        # Random flips estimate p; compare() may know it exactly.
        replace(difference, adjusted_p=max(float(p), difference.p), comparisons=len(found))
        for difference, p in zip(found, adjusted, strict=True)
    ]


def compare_with_best(
    families: Sequence[Sequence[tuple[Mapping[str, float], Mapping[str, float]]]],
    resamples: int = 10_000,
    correction: Correction = "holm",
) -> list[list[Difference]]:
    """Compare methods with the best of several others; each such comparison counts once in the correction.

    Which of the others is best is not known. A method is above the best if it is above all of them, so its p is the
    largest of the p-values (Berger 1982). It is below the best if it is below any of them, so its p is the smallest
    one times their number (Bonferroni). More is better in all values.

    Args:
        families: for each planned comparison, first and second of each pair; the first is the same method in all
            pairs, the seconds are the others. Values by subject.
        resamples: number of resamples of the intervals' bootstrap.
        correction: ``holm`` corrects the p-values of the planned comparisons. ``westfall_young`` corrects all pairs
            together, see :func:`compare_all`; with eight subjects or fewer it shows more.

    Returns:
        For each planned comparison, the difference of each pair. If the method is ahead of all others, each
        difference has the corrected p of the whole; otherwise those ahead have 1, because they decide nothing.

    Raises:
        ValueError: see :func:`compare`.
    """
    if correction == "westfall_young":
        flat = iter(compare_all([pair for pairs in families for pair in pairs], resamples, correction))
        return [[next(flat) for _ in pairs] for pairs in families]
    found = [[compare(first, second, resamples) for first, second in pairs] for pairs in families]
    raw = [_p_against_best(differences) for differences in found]
    return [
        [_as_part(difference, differences, p, float(adjusted), len(found)) for difference in differences]
        for differences, p, adjusted in zip(found, raw, holm(raw), strict=True)
    ]


def _p_against_best(differences: Sequence[Difference]) -> float:
    if all(difference.mean > 0 for difference in differences):
        return max(difference.p for difference in differences)
    behind = [difference.p for difference in differences if difference.mean < 0]
    return min(1.0, len(differences) * min(behind, default=1.0))


def _as_part(
    difference: Difference, family: Sequence[Difference], p: float, adjusted: float, comparisons: int
) -> Difference:
    """Give a pair the corrected p of its planned comparison, or a larger one if the pair shows less."""
    if all(other.mean > 0 for other in family):
        return replace(difference, adjusted_p=adjusted, comparisons=comparisons)
    own = len(family) * difference.p * adjusted / p if difference.mean < 0 else 1.0
    return replace(difference, adjusted_p=min(1.0, max(adjusted, own)), comparisons=comparisons)


def corrected(differences: Sequence[Difference]) -> list[Difference]:
    """Correct differences as one family by Holm's method; differences whose ``p`` is NaN do not count."""
    adjusted = holm([difference.p for difference in differences])
    comparisons = sum(not math.isnan(difference.p) for difference in differences)
    return [
        replace(difference, adjusted_p=float(p), comparisons=comparisons)
        for difference, p in zip(differences, adjusted, strict=True)
    ]


def sign_flip_p(differences: Values) -> float:
    """Compute the two-sided p-value of the paired sign-flip (Fisher-Pitman) permutation test of mean 0.

    If the methods differ by chance alone, each subject's difference could equally have the other sign. So p is the
    share of patterns of signs whose mean is at least as far from 0. It is exact up to ``EXACT`` subjects. With more,
    it uses ``FLIPS`` random patterns and the observed one (Phipson & Smyth 2010), with a fixed seed.

    Args:
        differences: (P,) one difference per subject, P at least 1.
    """
    sums = np.abs(_signs(len(differences)) @ differences)
    return float((sums >= sums[0] - TIE * np.abs(differences).sum()).mean())


def smallest_p(subjects: int) -> float:
    """Compute the smallest p that :func:`sign_flip_p` can give: 2 / 2^n, when all differences have the same sign.

    Five subjects give no less than 0.0625, so that fewer than six can never show anything at the 5 % level. With
    more than ``EXACT`` subjects, random patterns give at least 1 / (``FLIPS`` + 1).

    Raises:
        ValueError: fewer than one subject.
    """
    if subjects < 1:
        raise ValueError(f"{subjects} subjects: expected at least 1")
    return 2.0 ** (1 - subjects) if subjects <= EXACT else 1 / (FLIPS + 1)


def holm(p_values: Sequence[float] | Values) -> Values:
    """Apply Holm's step-down correction (1979), which controls the family-wise error under any dependence.

    The i-th smallest of m p-values is multiplied by m - i + 1. Adjusted values keep the order of the p-values.

    Args:
        p_values: (M,) from 0 to 1; NaN for comparisons that could not be made. These stay NaN and don't count.

    Returns:
        Adjusted p-values, (M,), in the given order.

    Raises:
        ValueError: a value is below 0 or above 1.
    """
    values = np.asarray(p_values, dtype=np.float64)
    wrong = values[(values < 0) | (values > 1)]
    if len(wrong):
        raise ValueError(f"p-value {wrong[0]}: expected 0 to 1, or NaN")
    adjusted = np.full(len(values), np.nan)
    order = np.argsort(values)[: np.count_nonzero(~np.isnan(values))]  # NaN is sorted to the end
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1)
    return adjusted


def westfall_young(families: Sequence[Mapping[str, float]]) -> Values:
    """Apply the step-down min-p correction (Westfall & Young 1993) of sign-flip tests, by flipping subjects, not tests.

    A subject's differences in all comparisons change sign together. This keeps the dependence between comparisons. 24
    comparisons of the same eight subjects may cost little more than one; Holm's correction assumes the worst.

    In every pattern of signs, comparisons are ranked by the p of Student's t. Unlike the p of the sign-flip test, it
    has few ties and is comparable between few and many subjects. Normality is not assumed, because the patterns
    themselves show how often so small a p occurs. The family-wise error is controlled if signs are exchangeable, which
    the sign-flip test assumes too. Different subjects of different data sets may share a name: flipping independent
    subjects together does not change the distribution of any comparison.

    Args:
        families: for each comparison, subject -> difference; comparisons may have different subjects.

    Returns:
        Adjusted p-values, (M,).
    """
    names = sorted({name for differences in families for name in differences})
    if not names:
        return np.full(len(families), np.nan)
    table = np.array([[differences.get(name, 0.0) for differences in families] for name in names])  # (P, M)
    subjects = np.array([len(differences) for differences in families])
    p = _students_p(_signs(len(names)) @ table, (table**2).sum(axis=0), subjects)
    order = np.argsort(p[0], kind="stable")
    # In each pattern, the smallest p of this comparison and of all less clear ones.
    smallest = np.minimum.accumulate(p[:, order[::-1]], axis=1)[:, ::-1]
    adjusted = np.empty(len(families))
    adjusted[order] = np.maximum.accumulate((smallest <= p[0, order]).mean(axis=0))
    return adjusted


def _students_p(sums: Values, squares: Values, subjects: NDArray[np.int64]) -> Values:
    """Compute the two-sided p of the t-test: sum^2 / (n * sum of squares) is distributed as Beta(1/2, (n - 1) / 2).

    Args:
        sums: (patterns, M), sums of differences.
        squares: (M,), sums of squared differences.
        subjects: (M,), numbers of subjects; p is 1 for one subject, and for differences that are all 0.
    """
    largest = subjects * squares
    told = (subjects > 1) & (largest > 0)
    p = np.ones_like(sums)
    # Rounding turns patterns that differ by numerical error into ties.
    ratio = np.minimum(np.round(np.abs(sums[:, told]) / np.sqrt(largest[told]), 9), 1)
    p[:, told] = betainc((subjects[told] - 1) / 2, 0.5, 1 - ratio**2)
    return p


def _differences(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise ValueError("no subject was tested with both methods")
    differences = {name: first[name] - second[name] for name in shared}
    for name, value in differences.items():
        if not math.isfinite(value):
            raise ValueError(f"subject {name}: {first[name]} and {second[name]}, expected finite values")
    return differences


@lru_cache(maxsize=8)
def _signs(subjects: int) -> Values:
    """List patterns of signs, (patterns, P); the first pattern changes no sign.

    The first subject's sign is never changed: patterns that change it give the same means, negated.
    """
    if subjects <= EXACT:
        negated = (np.arange(2 ** (subjects - 1))[:, None] >> np.arange(subjects)) & 1
    else:
        negated = np.random.default_rng(0).integers(0, 2, size=(FLIPS + 1, subjects))
        negated[0] = 0
    signs = np.where(negated, -1.0, 1.0)
    signs.flags.writeable = False
    return signs
