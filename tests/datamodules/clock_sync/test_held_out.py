"""Held-out seconds: a relation holds in them, while a fit by chance and a single shared event don't."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.clock_sync.correlation import Signal, lagged_moments
from datamodules.clock_sync.held_out import _folds, _sums, _without_an_event, margin
from datamodules.clock_sync.motion_signals import RATE_HZ

REACH, GUARD = 100, 150
LENGTH = 2000  # of which the middle ten seconds are seen


def make_pair(seed: int, shared: float, lag: int = 0, event: bool = False) -> tuple[Signal, Signal]:
    """Six smooth channels each; ``lag`` as in ``lagged_moments``: ``seen[n]`` goes with ``measured[n - lag]``."""
    rng = np.random.default_rng(seed)
    smooth = np.hanning(25)
    one, other = (
        np.stack([np.convolve(c, smooth, "same") for c in rng.normal(size=(6, LENGTH))], axis=1) for _ in range(2)
    )
    if event:  # three quarters of a second of the same violent motion
        burst = 40 * np.hanning(75)[:, None] * rng.normal(size=6)
        one[900:975] += burst
        other[900:975] += burst
    seen = one @ rng.normal(size=(6, 6))
    measured = shared * np.roll(one, -lag, axis=0) + (1 - shared) * other
    inside = (np.arange(LENGTH) >= 500) & (np.arange(LENGTH) < 1500)
    return Signal(np.where(inside[:, None], seen, 0.0), inside), Signal(measured, np.ones(LENGTH, bool))


def test_the_margin_of_a_relation_is_large_and_of_strangers_about_one_or_less() -> None:
    for lag in (-80, 0, 37):
        assert margin([make_pair(1, 0.7, lag)], [0], REACH, GUARD, lag) > 2
    strangers = [margin([make_pair(seed, 0.0)], [0], REACH, GUARD, 0.0) for seed in range(10)]
    assert max(strangers) < 1


def test_a_lag_that_is_not_the_best_has_no_margin() -> None:
    assert margin([make_pair(2, 0.7, 40)], [0], REACH, GUARD, -40.0) < 0.5


def test_a_drift_moves_the_lags_of_each_window() -> None:
    pairs = [make_pair(3, 0.7, 20), make_pair(4, 0.7, 30)]
    along = margin(pairs, [0, 10], REACH, GUARD, 20.0)
    assert along > 2
    # Without the drift the lag serves one of both windows.
    assert margin(pairs, [0, 0], REACH, GUARD, 20.0) < 0.75 * along


def test_one_event_that_strangers_share_proves_nothing() -> None:
    for seed in range(5):
        assert margin([make_pair(seed, 0.0, event=True)], [0], REACH, GUARD, 0.0) < 1.2


def test_nothing_or_too_little_to_compare_has_no_margin() -> None:
    seen, measured = make_pair(5, 0.7)
    still = Signal(np.zeros_like(measured.values), measured.valid)
    nothing = Signal(np.zeros_like(seen.values), np.zeros(LENGTH, bool))
    short = seen.valid & (np.arange(LENGTH) < 800)
    assert margin([(seen, still)], [0], REACH, GUARD, 0.0) == 0.0
    assert margin([(nothing, measured)], [0], REACH, GUARD, 0.0) == 0.0
    # Three seconds are one event.
    assert margin([(Signal(seen.values * short[:, None], short), measured)], [0], REACH, GUARD, 0.0) == 0.0


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.0, 0.4), st.integers(1, 9))
def test_the_folds_add_up_to_the_moments_of_the_whole(seed: int, lost: float, folds: int) -> None:
    seen, measured = make_pair(seed, 0.5)
    valid = np.random.default_rng(seed).random(LENGTH) >= lost
    measured = Signal(measured.values * valid[:, None], valid)
    lags = np.array([-REACH, -3, 0, 60])
    total = np.sum([_sums(fold, measured, lags) for fold in _folds(seen, folds)], axis=0)
    whole = lagged_moments(seen, measured).at(lags)
    # The one is summed up directly, the other by Fourier transforms: rounding alone, against sums of some thousands.
    np.testing.assert_allclose(total[:, 0, 0], whole.count, atol=1e-6)
    np.testing.assert_allclose(total[:, 0, 1:], whole.first, atol=1e-5)
    np.testing.assert_allclose(total[:, 1:, 1:], whole.second, atol=1e-4)


def test_the_information_is_that_without_the_folds_that_hold_most() -> None:
    products = np.zeros((6, 1, 1))
    products[2:4] = 9.0
    products[5] = 1.0
    powers = np.full((6, 1, 1), 10.0)
    parts = np.stack([products, powers, powers])
    # By hand: without folds 2 and 3, products of 1 against powers of 4 * 10.
    assert _without_an_event(parts, 2)[0] == pytest.approx(-0.5 * np.log(1 - (1 / 40) ** 2))
    # Without one of both: 10 against 50.
    assert _without_an_event(parts, 1)[0] == pytest.approx(-0.5 * np.log(1 - (10 / 50) ** 2))


def test_what_predicts_wrongly_is_no_information() -> None:
    parts = np.stack([np.full((5, 2, 3), -1.0), np.ones((5, 2, 3)), np.ones((5, 2, 3))])
    np.testing.assert_array_equal(_without_an_event(parts, 1), 0.0)


def test_the_scales_of_the_signals_change_nothing() -> None:
    seen, measured = make_pair(6, 0.5)
    plain = margin([(seen, measured)], [0], REACH, GUARD, 0.0)
    scaled = Signal(measured.values * np.array([1e-3, 1, 1e3, 1, 1, 5]), measured.valid)
    # Channels are brought to one scale; what is left is rounding.
    assert margin([(Signal(1e3 * seen.values, seen.valid), scaled)], [0], REACH, GUARD, 0.0) == pytest.approx(
        plain, rel=1e-4
    )
    assert seen.valid.sum() == RATE_HZ * 10
