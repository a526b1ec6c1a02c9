"""Sentences about a comparison, which say no more than was shown."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.statistics.claims import BaselineVerdict, Claim, outcome, sentence_of
from experiments.statistics.differences import Difference, compare, compare_all

BETTER = Difference(0.041, 0.012, 0.073, 0.002, 11, 0.004, 24)
CLAIM = Claim(
    "pretrained, linear probe",
    "handcrafted + random forest",
    "Daphnet",
    10,
    "windows",
    "balanced accuracy",
    BETTER,
)


def _with(**changes: Any) -> Claim:
    return replace(CLAIM, difference=replace(BETTER, **changes))


def test_shown_better() -> None:
    assert outcome(CLAIM) == "better"
    assert sentence_of(CLAIM) == (
        "pretrained, linear probe beats handcrafted + random forest at k = 10 windows per class on Daphnet by 4.1"
        " points of balanced accuracy [1.2, 7.3] (11 subjects, p = 0.004 after correction for 24 comparisons)"
    )


def test_shown_worse_tells_the_loss_as_a_positive_number() -> None:
    claim = _with(mean=-0.041, low=-0.073, high=-0.012)
    assert outcome(claim) == "worse"
    assert sentence_of(claim) == (
        "pretrained, linear probe loses to handcrafted + random forest at k = 10 windows per class on Daphnet by 4.1"
        " points of balanced accuracy [1.2, 7.3] (11 subjects, p = 0.004 after correction for 24 comparisons)"
    )


def test_where_less_is_better() -> None:
    claim = replace(_with(mean=-0.041, low=-0.073, high=-0.012), metric_title="calibration error", more_is_better=False)
    assert outcome(claim) == "better"
    assert "beats" in sentence_of(claim)
    assert "by 4.1 points of calibration error (less is better) [1.2, 7.3]" in sentence_of(claim)
    assert outcome(replace(CLAIM, more_is_better=False)) == "worse"


def test_no_difference_shown() -> None:
    claim = _with(mean=0.004, low=-0.021, high=0.03, p=0.7, adjusted_p=1.0)
    assert outcome(claim) == "open"
    assert sentence_of(claim) == (
        "no difference shown between pretrained, linear probe and handcrafted + random forest at k = 10 windows per"
        " class on Daphnet: measured +0.4 points of balanced accuracy [-2.1, +3.0] (11 subjects, p = 1.000 after"
        " correction for 24 comparisons)"
    )


@pytest.mark.parametrize(
    ("low", "adjusted_p", "expected"),
    [(0.012, 0.049, "better"), (0.012, 0.05, "open"), (-0.001, 0.004, "open"), (0.0, 0.004, "open"), (-0.1, 1, "open")],
)
def test_interval_and_p_have_to_agree(low: float, adjusted_p: float, expected: str) -> None:
    assert outcome(_with(low=low, adjusted_p=adjusted_p)) == expected


@pytest.mark.parametrize(
    ("over_draws", "expected"),
    [(None, "better"), ((0.001, 0.08), "better"), ((-0.02, 0.1), "open"), ((0.0, 0.1), "open"), ((-0.1, 0.0), "open")],
)
def test_a_result_that_depends_on_a_draw_shared_by_all_subjects_is_not_shown(
    over_draws: tuple[float, float] | None, expected: str
) -> None:
    claim = replace(CLAIM, over_draws=over_draws)
    assert outcome(claim) == expected
    said = sentence_of(claim)
    assert said.startswith("no difference shown") == (expected == "open")
    assert (
        "the result depends on the draw of labels, which all subjects share: the interval over draws is [" in said
    ) == (expected == "open")


def test_too_few_draws_for_an_interval_over_them_show_nothing() -> None:
    claim = replace(CLAIM, over_draws=(math.nan, math.nan))
    assert outcome(claim) == "open"
    assert sentence_of(claim).endswith("which all subjects share: too few draws for an interval over draws")


def test_a_claim_that_the_subjects_do_not_confirm_is_not_blamed_on_the_draws() -> None:
    claim = replace(_with(p=0.003, adjusted_p=0.07), over_draws=(-0.02, 0.1))
    assert sentence_of(claim).endswith("the interval leaves out 0, but the test does not confirm it")


def test_an_interval_that_the_test_does_not_confirm_is_named() -> None:
    assert sentence_of(_with(p=0.003, adjusted_p=0.07)).endswith(
        "the interval leaves out 0, but the test does not confirm it"
    )


def test_too_few_subjects_for_any_p() -> None:
    claim = _with(p=0.125, adjusted_p=1.0, subjects=4)
    assert outcome(claim) == "too_few"
    assert sentence_of(claim) == (
        "pretrained, linear probe against handcrafted + random forest at k = 10 windows per class on Daphnet can't be"
        " decided: 4 subjects are too few (their smallest possible p is 0.125); measured +4.1 points of"
        " balanced accuracy [+1.2, +7.3]"
    )


def test_too_few_subjects_for_so_many_comparisons() -> None:
    claim = _with(p=2 / 2**8, adjusted_p=24 * 2 / 2**8, subjects=8)
    assert outcome(claim) == "too_few"
    assert "8 subjects are too few for 24 comparisons (their smallest possible p is 0.008" in sentence_of(claim)
    assert "0.188 after correction)" in sentence_of(claim)
    # Eight who do not all agree show no difference for another reason.
    assert outcome(_with(p=6 / 2**8, adjusted_p=0.3, subjects=8)) == "open"


def test_one_subject() -> None:
    claim = replace(CLAIM, difference=compare({"a": 0.75}, {"a": 0.5}, 10))
    assert outcome(claim) == "too_few"
    assert "1 subject is too few (their smallest possible p is 1.000)" in sentence_of(claim)
    assert sentence_of(claim).endswith("measured +25.0 points of balanced accuracy")


@pytest.mark.parametrize("n", [4, 11])
def test_equal_for_everybody_is_the_same(n: int) -> None:
    values = {f"s{i}": i / 10 for i in range(n)}
    claim = replace(CLAIM, difference=compare(values, values, 100))
    assert outcome(claim) == "open"
    assert sentence_of(claim) == (
        "pretrained, linear probe and handcrafted + random forest are the same at k = 10 windows per class on"
        f" Daphnet: equal balanced accuracy for each of {n} subjects"
    )


def test_simulated_data_is_said_first() -> None:
    for difference in (BETTER, replace(BETTER, subjects=4, p=0.125), replace(BETTER, mean=0.0, low=0.0, high=0.0)):
        said = sentence_of(replace(CLAIM, difference=difference, simulated="simulated data"))
        assert said.startswith("simulated data: pretrained")


@pytest.mark.parametrize(
    ("shots", "unit", "expected"),
    [
        (1, "windows", "at k = 1 window per class on Daphnet"),
        (3, "subjects", "at k = 3 whole subjects on Daphnet"),
        (1, "subjects", "at k = 1 whole subject on Daphnet"),
        (0, "windows", "forest without labels on Daphnet"),
    ],
)
def test_shots(shots: int, unit: str, expected: str) -> None:
    assert expected in sentence_of(replace(CLAIM, shots=shots, shots_unit=unit))


def test_what_is_no_share_is_not_in_points() -> None:
    claim = replace(CLAIM, metric_title="mean reciprocal rank", share=False)
    assert "by 0.041 in mean reciprocal rank [0.012, 0.073]" in sentence_of(claim)


def test_numbers_do_not_contradict_the_words() -> None:
    assert "by 0.03 points of balanced accuracy [0.01, 0.05]" in sentence_of(
        _with(mean=0.0003, low=0.0001, high=0.0005)
    )
    assert "p = 0.0496 after" in sentence_of(_with(adjusted_p=0.0496))
    assert "p = 0.050 after" in sentence_of(_with(adjusted_p=0.05))
    assert "p < 0.001 after" in sentence_of(_with(adjusted_p=0.0005))
    assert "[+0.0, +2.0]" in sentence_of(_with(mean=0.01, low=-0.0001, high=0.02))
    assert sentence_of(_with(comparisons=1)).endswith("(11 subjects, p = 0.004)")


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(-0.2, 0.2), st.booleans())
def test_words_follow_the_outcome(seed: int, n: int, shift: float, more_is_better: bool) -> None:
    rng = np.random.default_rng(seed)
    first = {f"s{i}": float(value) for i, value in enumerate(rng.normal(0.6 + shift, 0.05, n))}
    second = {f"s{i}": float(value) for i, value in enumerate(rng.normal(0.6, 0.05, n))}
    differences = compare_all([(first, second), (second, first)], 200)
    for difference in differences:
        claim = replace(CLAIM, difference=difference, more_is_better=more_is_better)
        found, said = outcome(claim), sentence_of(claim)
        assert (found == "too_few") == ("can't be decided" in said)
        assert (found == "open") == ("no difference shown" in said)
        assert (found == "better") == (" beats " in said)
        assert (found == "worse") == (" loses to " in said)
        assert found in ("open", "too_few") or n >= 6
        assert "nan" not in said
        assert not re.search(r"-0\.0\b", said)
    # Told the other way round it is the same sentence_of.
    told = [outcome(replace(CLAIM, difference=d, more_is_better=more_is_better)) for d in differences]
    assert sorted(told) in (["better", "worse"], ["open", "open"], ["too_few", "too_few"])


def test_two_subjects_have_no_interval() -> None:
    claim = replace(CLAIM, difference=compare({"a": 0.6, "b": 0.5}, {"a": 0.5, "b": 0.6}, 10))
    assert math.isnan(claim.difference.low)
    assert outcome(claim) == "too_few"
    assert sentence_of(claim).endswith("measured +0.0 points of balanced accuracy")


def test_methods_that_know_more_are_not_compared_with_those_that_know_less() -> None:
    with pytest.raises(ValueError, match=r"knows 'unlabelled' of the tested subjects, .* 'none'; expected"):
        replace(CLAIM, knowledge="unlabelled", second_knowledge="none")
    replace(CLAIM, knowledge="unlabelled", second_knowledge="unlabelled")


WORSE = _with(mean=-0.041, low=-0.073, high=-0.012)
OPEN = replace(_with(mean=0.01, low=-0.02, high=0.04, adjusted_p=0.6), second_title="handcrafted + logistic")
FEW = replace(CLAIM, difference=Difference(0.05, 0.01, 0.09, 0.125, 4, 0.125))


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ([CLAIM], "better"),
        ([CLAIM, CLAIM], "better"),
        ([CLAIM, OPEN], "open"),  # above one baseline is not above the best
        ([CLAIM, FEW], "open"),
        ([FEW, FEW], "too_few"),
        ([CLAIM, OPEN, WORSE], "worse"),
        ([WORSE], "worse"),
    ],
)
def test_above_the_best_is_above_all_and_below_one_is_below_the_best(claims: list[Claim], expected: str) -> None:
    assert BaselineVerdict(tuple(claims)).outcome == expected


def test_the_sentence_names_the_baseline_that_came_closest() -> None:
    assert BaselineVerdict((CLAIM, OPEN)).sentence == (
        "pretrained, linear probe is not shown to be above the best of 2 baselines at k = 10 windows per class on"
        " Daphnet; closest is handcrafted + logistic: +1.0 points of balanced accuracy [-2.0, +4.0]"
    )
    knowing = BaselineVerdict((replace(CLAIM, knowledge="unlabelled", simulated="simulated data"),)).sentence
    assert knowing.startswith("simulated data: pretrained, linear probe is above the best of 1 baseline of the same")
    assert "knowledge (unlabelled) at k = 10" in knowing
