"""Whole shards in pools: every window once, every shard in one pool, the same for any way of asking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.sampling.shard_order import ShardOrder

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=30).map(tuple)


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, pool=st.integers(1, 200), epoch=st.integers(0, 5))
def test_every_window_once(sizes: tuple[int, ...], pool: int, epoch: int) -> None:
    order = ShardOrder(sizes, 3, pool)
    whole = order.at(epoch, np.arange(order.n))
    np.testing.assert_array_equal(np.sort(whole), np.arange(sum(sizes)))
    some = np.arange(order.n)[::-3]
    np.testing.assert_array_equal(order.at(epoch, some), whole[some])


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, pool=st.integers(1, 200))
def test_a_shard_comes_in_one_stretch_and_few_at_a_time(sizes: tuple[int, ...], pool: int) -> None:
    order = ShardOrder(sizes, 0, pool)
    shard = np.searchsorted(np.cumsum(sizes), order.at(1, np.arange(order.n)), side="right")
    for number in range(len(sizes)):
        at = np.flatnonzero(shard == number)
        # A pool is as long as it should be, to within one shard.
        assert at[-1] - at[0] < pool + max(sizes)
    open_at_once = [len(set(shard[at : at + pool])) for at in range(0, order.n, pool)]
    assert max(open_at_once) <= 2 * (pool // min(sizes) + 2)


def test_epochs_and_seeds_differ_and_batches_are_mixed() -> None:
    order = ShardOrder((100,) * 50, 0, pool=1000)
    whole = order.at(0, np.arange(5000))
    for other in (order.at(1, np.arange(5000)), ShardOrder((100,) * 50, 1, pool=1000).at(0, np.arange(5000))):
        assert np.mean(whole == other) < 0.01
    shards = whole.reshape(-1, 50) // 100
    # 50 windows drawn out of ten shards: a shard is missed with probability 0.9 ** 50, or 0.005.
    assert np.mean([len(set(batch)) for batch in shards]) > 9.5


def test_what_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="positions must be in"):
        ShardOrder((3, 4), 0).at(0, np.array([7]))
    with pytest.raises(ValueError, match="pools of 0 windows"):
        ShardOrder((3, 4), 0, pool=0)
