"""The order of windows is a permutation, a pure function, and the same on any number of ranks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from datamodules.order import BatchPlan, WindowOrder


@given(n=st.integers(1, 5000), seed=st.integers(0, 2**31), epoch=st.integers(0, 1000))
def test_every_window_comes_once(n: int, seed: int, epoch: int) -> None:
    indices = WindowOrder(n, seed).at(epoch, np.arange(n))
    np.testing.assert_array_equal(np.sort(indices), np.arange(n))


@given(n=st.integers(2, 2000), seed=st.integers(0, 99), data=st.data())
def test_any_position_alone_equals_the_whole_epoch(n: int, seed: int, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, n - 1))
    order = WindowOrder(n, seed)
    assert order.at(3, np.array([position]))[0] == order.at(3, np.arange(n))[position]


def test_epochs_and_seeds_differ() -> None:
    positions = np.arange(1000)
    reference = WindowOrder(1000, 0).at(0, positions)
    # Two independent permutations of 1000 agree in one place on average; 10 or more have a chance of 1e-7.
    assert (reference == WindowOrder(1000, 0).at(1, positions)).sum() < 10
    assert (reference == WindowOrder(1000, 1).at(0, positions)).sum() < 10


def test_positions_are_uniform() -> None:
    first = np.array([WindowOrder(10, seed).at(0, np.array([0]))[0] for seed in range(5000)])
    # Chi-squared against uniform over 10 cells; the seeds are fixed, so this can't flicker.
    assert stats.chisquare(np.bincount(first, minlength=10)).pvalue > 1e-3


def test_neighbours_are_mixed() -> None:
    # Rank correlation of position and window: its standard deviation is 1 / sqrt(n) = 0.01 for a random order.
    order = WindowOrder(10_000, 7).at(0, np.arange(10_000))
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.04


def test_a_billion_windows_need_no_table() -> None:
    order = WindowOrder(10**9, 0)
    indices = order.at(0, np.arange(10**9 - 100_000, 10**9))
    assert len(np.unique(indices)) == 100_000
    assert indices.min() >= 0
    assert indices.max() < 10**9


@given(n=st.integers(16, 400), world_size=st.sampled_from([1, 2, 4, 8]), step=st.integers(0, 1))
def test_ranks_share_the_same_global_batch(n: int, world_size: int, step: int) -> None:
    order = WindowOrder(n, 5)
    alone = BatchPlan(order, 8).batch(2, step)
    parts = [BatchPlan(order, 8, rank, world_size).batch(2, step) for rank in range(world_size)]
    np.testing.assert_array_equal(np.concatenate(parts), alone)


def test_impossible_plans_say_why() -> None:
    with pytest.raises(ValueError, match="shared evenly by 3"):
        BatchPlan(WindowOrder(100, 0), 8, 0, 3)
    with pytest.raises(ValueError, match="only 5"):
        BatchPlan(WindowOrder(5, 0), 8)
    with pytest.raises(IndexError, match="positions must be in"):
        WindowOrder(5, 0).at(0, np.array([5]))


def test_without_shuffling_the_order_is_the_storage_order() -> None:
    np.testing.assert_array_equal(WindowOrder(9, 0, shuffle=False).at(4, np.arange(9)), np.arange(9))
