"""Corrections for a person's shares: closed forms and invariants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.evaluation.adaptation.shares import assignment_factors, em_factors, normalised, sharpened


def assigned(scores: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return normalised(scores * assignment_factors(scores, shares))


def corrected_by_em(scores: np.ndarray, prior: np.ndarray) -> np.ndarray:
    return normalised(scores * em_factors(scores, prior))


def posterior(likelihood: np.ndarray, prior: np.ndarray) -> np.ndarray:
    joint = likelihood * prior
    return np.asarray(joint / joint.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("true", [(0.5, 0.5), (0.9, 0.1), (0.2, 0.8)])
def test_em_finds_the_shares_of_a_known_mixture(true: tuple[float, float]) -> None:
    # Three values with known likelihoods, each as often as the mixture says: its shares are then the likeliest.
    likelihood = np.array([[0.7, 0.1], [0.2, 0.3], [0.1, 0.6]])
    shares = np.array(true)
    counts = np.round(1000 * likelihood @ shares).astype(int)
    values = np.repeat(np.arange(3), counts)
    prior = np.array([0.5, 0.5])
    found = corrected_by_em(posterior(likelihood, prior)[values], prior)
    assert found.mean(axis=0) == pytest.approx(shares, abs=2e-3)  # counts are whole; EM stops at 1e-6
    assert found == pytest.approx(posterior(likelihood, shares)[values], abs=5e-3)


def test_em_does_not_mind_which_shares_a_model_was_fitted_at() -> None:
    likelihood = np.array([[0.7, 0.1], [0.2, 0.3], [0.1, 0.6]])
    values = np.repeat(np.arange(3), [500, 300, 200])
    found = [
        corrected_by_em(posterior(likelihood, prior)[values], prior)
        for prior in (np.full(2, 0.5), np.array([0.8, 0.2]))
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-3)  # both stop 1e-6 a step before the same maximum


def test_em_of_sure_predictions_changes_nothing() -> None:
    sure = np.eye(3)[[0, 0, 1, 2]]
    assert corrected_by_em(sure, np.full(3, 1 / 3)) == pytest.approx(sure)


@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_assignment_keeps_both_sums(classes: int, windows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.ones(classes), windows)
    shares = rng.dirichlet(np.full(classes, 5.0))
    table, power = sharpened(np.maximum(scores, 1e-6))
    found = normalised(table * assignment_factors(scores, shares) ** power)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-12)
    # Columns come within a millionth, or as near as a thousand steps lead where few windows have to be cut in parts.
    assert found.sum(axis=0) == pytest.approx(windows * shares, abs=0.02 * windows)


def test_sharpening_keeps_answers_and_stops_when_sure() -> None:
    scores = np.random.default_rng(0).dirichlet(np.full(5, 50.0), 40)  # nearly equal shares
    table, power = sharpened(scores)
    assert power > 1
    assert table.max(axis=1).mean() >= 0.7
    assert (table.argmax(axis=1) == scores.argmax(axis=1)).all()
    sure = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert sharpened(sure)[1] == 1
    assert sharpened(sure)[0] == pytest.approx(sure)


def test_balancing_does_not_depend_on_how_sure_the_answers_are() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(60, 4)) + np.array([1.0, 0, 0, 0])
    shares = np.full(4, 0.25)
    for temperature in (1.0, 30.0, 300.0):
        scores = np.exp(logits / temperature)
        answers = assigned(scores / scores.sum(axis=1, keepdims=True), shares).argmax(axis=1)
        assert np.abs(np.bincount(answers, minlength=4) - 15).max() <= 3


def test_assignment_scales_rows_and_columns_only() -> None:
    scores = np.random.default_rng(0).dirichlet(np.ones(4), 30)
    ratio = np.log(assigned(scores, np.full(4, 0.25)) / scores)
    # log found = log score + row + column: no other term is left.
    left = ratio - ratio.mean(axis=0) - ratio.mean(axis=1, keepdims=True) + ratio.mean()
    assert left == pytest.approx(0, abs=1e-9)


def test_assignment_moves_windows_from_an_answer_given_too_often() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.55, 0.45]])
    assert assigned(scores, np.array([0.5, 0.5])).argmax(axis=1).tolist() == [0, 0, 1, 1]
    already = np.array([[0.9, 0.1], [0.1, 0.9]])
    assert assigned(already, np.array([0.5, 0.5])) == pytest.approx(already, abs=1e-5)


def test_an_activity_that_is_never_answered_stays_so() -> None:
    scores = np.array([[0.7, 0.3, 0.0], [0.6, 0.4, 0.0]])
    found = assigned(scores, np.full(3, 1 / 3))
    assert (found[:, 2] == 0).all()
    assert found.argmax(axis=1).tolist() == [0, 1]
    assert assigned(np.zeros((2, 3)), np.full(3, 1 / 3)) == pytest.approx(1 / 3)
