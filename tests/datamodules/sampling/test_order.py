"""The order of windows is a permutation, a pure function, and the same on any number of ranks."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from datamodules.sampling.mixing import expected_pairs, same_recording_pairs
from datamodules.sampling.order import BatchPlan, BlockOrder, Order, SpreadOrder, WindowOrder


def orders(n: int, seed: int, size: int) -> list[Order]:
    """One of each kind; ``size`` is a block and a batch."""
    return [
        WindowOrder(n, seed),
        BlockOrder(n, seed, block=size, pool=3),
        BlockOrder(n, seed),
        SpreadOrder(n, seed, min(size, n)),
    ]


@settings(deadline=None)
@given(n=st.integers(1, 3000), seed=st.integers(0, 2**31), epoch=st.integers(0, 1000), size=st.integers(1, 64))
def test_every_window_comes_once(n: int, seed: int, epoch: int, size: int) -> None:
    for order in orders(n, seed, size):
        np.testing.assert_array_equal(np.sort(order.at(epoch, np.arange(n))), np.arange(n))


@settings(deadline=None)
@given(n=st.integers(2, 2000), seed=st.integers(0, 99), data=st.data())
def test_any_position_alone_equals_the_whole_epoch(n: int, seed: int, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, n - 1))
    for order in orders(n, seed, 8):
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


@pytest.mark.parametrize("kind", [0, 2, 3])
def test_a_billion_windows_need_no_table(kind: int) -> None:
    order = orders(10**9, 0, 1024)[kind]
    tracemalloc.start()
    indices = order.at(0, np.arange(10**9 - 100_000, 10**9))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(np.unique(indices)) == 100_000
    assert indices.min() >= 0
    assert indices.max() < 10**9
    assert peak < 20e6  # 25 arrays as long as the answer; a table of all windows would take 8 GB


@settings(deadline=None)
@given(n=st.integers(16, 400), world_size=st.sampled_from([1, 2, 4, 8]), step=st.integers(0, 1))
def test_ranks_share_the_same_global_batch(n: int, world_size: int, step: int) -> None:
    for order in orders(n, 5, 8):
        alone = BatchPlan(order, 8).batch(2, step)
        parts = [BatchPlan(order, 8, rank, world_size).batch(2, step) for rank in range(world_size)]
        np.testing.assert_array_equal(np.concatenate(parts), alone)


@settings(deadline=None)
@given(n=st.integers(8, 500), first=st.integers(0, 5), count=st.integers(0, 40))
def test_many_batches_at_once_are_the_same(n: int, first: int, count: int) -> None:
    plan = BatchPlan(WindowOrder(n, 5), 4)
    first = min(first, len(plan))
    count = min(count, len(plan) - first)
    at_once = plan.batches(1, first, count)
    assert len(at_once) == count
    for step, batch in enumerate(at_once):
        np.testing.assert_array_equal(batch, plan.batch(1, first + step))
    with pytest.raises(IndexError, match="expected a part of 0 to"):
        plan.batches(1, first, len(plan) - first + 1)


RECORDINGS = np.repeat(np.arange(200), 100)  # 20,000 windows


def pairs(order: Order, batch_size: int, epochs: int = 4) -> np.ndarray:
    plan = BatchPlan(order, batch_size)
    return np.concatenate([same_recording_pairs(plan, RECORDINGS, epoch) for epoch in range(epochs)])


def uniform_pairs(batch_size: int, epochs: int = 4) -> np.ndarray:
    found = []
    for epoch in range(epochs):
        windows = np.random.default_rng(epoch).permutation(len(RECORDINGS))
        for batch in windows[: len(windows) // batch_size * batch_size].reshape(-1, batch_size):
            counts = np.bincount(RECORDINGS[batch])
            found.append(int((counts * (counts - 1) // 2).sum()))
    return np.array(found)


def test_batches_are_mixed_as_by_a_uniform_shuffle() -> None:
    ours, uniform = pairs(WindowOrder(20_000, 0), 64), uniform_pairs(64)
    assert stats.ks_2samp(ours, uniform).pvalue > 1e-3  # fixed seeds: it can't flicker
    # 1248 batches: the mean's standard error is 0.09 pairs; 4 of them.
    assert abs(ours.mean() - expected_pairs(RECORDINGS, 64)) < 4 * ours.std() / np.sqrt(len(ours))
    assert abs(uniform.mean() - expected_pairs(RECORDINGS, 64)) < 4 * uniform.std() / np.sqrt(len(uniform))


def test_blocks_are_mixed_if_the_pool_is_wide() -> None:
    uniform = expected_pairs(RECORDINGS, 64)
    wide = pairs(BlockOrder(20_000, 0, block=16, pool=625), 64).mean()
    narrow = pairs(BlockOrder(20_000, 0, block=64, pool=16), 64).mean()
    # Half of all windows are in a pool of 625 blocks; blocks of 16 share a recording of 100, so a window's 15
    # neighbours are twice as likely: (2 * 15 + 84) / 99 = 1.15 at most.
    assert wide < 1.25 * uniform
    assert narrow > 3 * uniform


@settings(deadline=None)
@given(n=st.integers(1, 600), seed=st.integers(0, 99), data=st.data())
def test_blocks_are_read_pool_by_pool(n: int, seed: int, data: st.DataObject) -> None:
    block, pool = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    windows = BlockOrder(n, seed, block, pool).at(1, np.arange(n))
    for first in range(0, n - block * pool + 1, block * pool):
        # One pool: as many runs of neighbours as it has blocks, at most (two blocks may lie side by side).
        part = np.sort(windows[first : first + block * pool])
        runs = 1 + (np.diff(part) > 1).sum() - (part[0] == 0 and part[-1] == n - 1)
        assert runs <= pool


@settings(deadline=None)
@given(n=st.integers(1, 2000), seed=st.integers(0, 99), epoch=st.integers(0, 5), data=st.data())
def test_windows_of_a_spread_batch_are_far_apart(n: int, seed: int, epoch: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, n))
    order = SpreadOrder(n, seed, size)
    for windows in BatchPlan(order, size).batches(epoch, 0, n // size):
        around = np.sort(windows)
        assert (np.diff(np.append(around, around[0] + n)) >= min(order.distance, n)).all()


def test_recordings_never_meet_themselves_in_a_spread_batch() -> None:
    order = SpreadOrder(20_000, 0, 64)
    assert order.distance == 312 - 78 + 1
    assert (pairs(order, 64) == 0).all()
    # Who meets whom changes from epoch to epoch: hardly any pair of windows meets twice.
    met = [
        {
            (int(a), int(b))
            for batch in BatchPlan(order, 64).batches(epoch, 0, 312)
            for a in batch[:8]
            for b in batch[:8]
        }
        for epoch in range(2)
    ]
    distinct = [{(a, b) for a, b in pairs_of if a < b} for pairs_of in met]
    assert len(distinct[0] & distinct[1]) < 0.02 * len(distinct[0])


def test_impossible_plans_say_why() -> None:
    with pytest.raises(ValueError, match="expected 1 to 5"):
        SpreadOrder(5, 0, 6)
    with pytest.raises(ValueError, match="at least 1"):
        BlockOrder(5, 0, 0)
    with pytest.raises(ValueError, match=r"3 processes can't share .* evenly"):
        BatchPlan(WindowOrder(100, 0), 8, 0, 3)
    with pytest.raises(ValueError, match="only 5"):
        BatchPlan(WindowOrder(5, 0), 8)
    with pytest.raises(IndexError, match="positions must be in"):
        WindowOrder(5, 0).at(0, np.array([5]))


def test_without_shuffling_the_order_is_the_storage_order() -> None:
    np.testing.assert_array_equal(WindowOrder(9, 0, shuffle=False).at(4, np.arange(9)), np.arange(9))
