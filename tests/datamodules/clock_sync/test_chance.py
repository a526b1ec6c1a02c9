"""What strangers who move at the same times reach by chance: the blocks' sums, and what random signs leave of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.clock_sync.chance import block_products, simultaneous_p_value
from datamodules.clock_sync.correlation import Signal, information, lagged_moments
from datamodules.clock_sync.drift import sum_along_drift

REACH = 40
LAGS = np.arange(-REACH, REACH + 1)


def make_pair(seed: int, samples: int = 1200, shared: float = 0.0, bursts: bool = False) -> tuple[Signal, Signal]:
    """Three channels each, with nothing in common but a share of the signal and, if asked for, when it is lively."""
    rng = np.random.default_rng(seed)
    seen, own = rng.normal(size=(2, samples, 3))
    lively = np.ones(samples)
    if bursts:
        # Two seconds, one after the other, that hold nearly all of the motion.
        lively[:] = 0.02
        lively[500:700] = 1.0
    seen, own = seen * lively[:, None], own * lively[:, None]
    valid = np.ones(samples, bool)
    return Signal(seen, valid), Signal(shared * seen + (1 - shared) * own, valid)


def chance(seen: Signal, measured: Signal) -> float:
    moments = lagged_moments(seen, measured).at(LAGS)
    found = float(np.nanmax(information(moments, seen.values.shape[1])))
    return simultaneous_p_value([block_products(seen, measured, REACH)], moments, seen.values.shape[1], found)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(-30, 30), st.floats(0.0, 0.4))
def test_the_blocks_add_up_to_the_products_at_every_lag(seed: int, shift: int, lost: float) -> None:
    rng = np.random.default_rng(seed)
    seen, measured = make_pair(seed, 700)
    valid = rng.random(700) >= lost
    seen = Signal(seen.values * valid[:, None], valid)
    whole = lagged_moments(seen, measured).second[LAGS + shift][:, :3, 3:]
    whole[np.abs(LAGS + shift) > REACH] = 0.0
    # The one is summed up directly, the other by Fourier transforms: rounding alone, against sums of some tens.
    np.testing.assert_allclose(block_products(seen, measured, REACH, shift).sum(axis=0), whole, atol=1e-9)


def test_windows_that_a_drift_moves_count_at_the_lags_at_which_their_moments_do() -> None:
    pairs, times, drift_ppm = [make_pair(seed, 700) for seed in range(3)], np.array([-600.0, 0.0, 600.0]), 100.0
    moments = sum_along_drift([lagged_moments(*pair).at(LAGS) for pair in pairs], times, drift_ppm, 0.01)
    products = sum(
        block_products(*pair, REACH, shift).sum(axis=0) for pair, shift in zip(pairs, (-6, 0, 6), strict=True)
    )
    assert moments.count[0] < moments.count[REACH]  # at the range's ends there are two windows of three
    np.testing.assert_allclose(products, moments.second[:, :3, 3:], atol=1e-9)


def test_chance_is_rarely_small_for_strangers_and_tiny_for_a_pair() -> None:
    strangers = [chance(*make_pair(seed)) for seed in range(60)]
    # Nominally three of 60 fall below 0.05; more than nine would with a probability of 0.001.
    assert sum(p < 0.05 for p in strangers) <= 9
    assert max(strangers) > 0.3
    assert max(chance(*make_pair(seed, shared=0.5)) for seed in range(5)) < 0.01


def test_strangers_who_move_in_the_same_two_seconds_are_not_taken_for_a_pair() -> None:
    # Two blocks hold nearly all; nominally one of 20 falls below 0.05, more than five would with p = 0.0003.
    assert sum(chance(*make_pair(seed, bursts=True)) < 0.05 for seed in range(20)) <= 5


def test_what_few_blocks_can_tell_is_bounded() -> None:
    for blocks in (1, 2, 4):
        seen, _ = make_pair(1, 100 * blocks)
        assert chance(seen, seen) >= 2.0 ** (1 - blocks)


def test_nothing_to_compare_is_chance() -> None:
    nothing = Signal(np.zeros((300, 3)), np.zeros(300, bool))
    moments = lagged_moments(nothing, nothing).at(LAGS)
    products = block_products(nothing, nothing, REACH)
    assert products.shape == (0, len(LAGS), 3, 3)
    assert simultaneous_p_value([products], moments, 3, 0.1) == 1.0


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_scales_change_nothing(scale: float) -> None:
    seen, measured = make_pair(4, shared=0.2)
    scaled = Signal(scale * measured.values, measured.valid)
    # The ridge is relative to the channels' variance; what is left is rounding.
    assert chance(seen, scaled) == pytest.approx(chance(seen, measured), rel=1e-6, abs=1e-12)
