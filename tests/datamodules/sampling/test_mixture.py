"""A mixture of sets: shares as asked, passes without repeats, a pure function, the same on any number of ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.sampling.mixture import MixtureOrder, layout, shares_of
from datamodules.sampling.order import BatchPlan, BlockOrder, Order, SpreadOrder, WindowOrder
from datamodules.sampling.shard_order import ShardOrder


def make_order(kind: int, n: int, seed: int, share: int) -> Order:
    split = (n // 2, n - n // 2) if n > 1 else (n,)
    orders: list[Order] = [
        WindowOrder(n, seed), BlockOrder(n, seed, 4, 3), SpreadOrder(n, seed, share), ShardOrder(split, seed)
    ]  # fmt: skip
    return orders[kind]


@st.composite
def mixtures(draw: st.DrawFn) -> MixtureOrder:
    shares = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    sizes = [draw(st.integers(share, 60)) for share in shares]
    seed, kind = draw(st.integers(0, 99)), draw(st.integers(0, 3))
    orders = [make_order(kind, n, seed + i, share) for i, (n, share) in enumerate(zip(sizes, shares, strict=True))]
    together = tuple(draw(st.integers(0, 1)) for _ in shares)
    return MixtureOrder(tuple(orders), tuple(shares), draw(st.integers(1, 12)), together)


def sets_of(order: MixtureOrder, windows: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.cumsum([part.n for part in order.orders]), windows, side="right")


@settings(deadline=None)
@given(order=mixtures(), epoch=st.integers(0, 40))
def test_every_batch_has_each_sets_share_and_no_window_twice(order: MixtureOrder, epoch: int) -> None:
    for batch in BatchPlan(order, order.batch_size).batches(epoch, 0, order.steps):
        _, windows = order.split(batch)
        assert len(np.unique(windows)) == len(windows)
        assert tuple(np.bincount(sets_of(order, windows), minlength=len(order.shares))) == order.shares
        np.testing.assert_array_equal(sets_of(order, windows), order.slots)


@settings(deadline=None)
@given(order=mixtures(), epochs=st.integers(1, 6))
def test_no_window_comes_twice_in_a_pass_and_passes_follow_each_other(order: MixtureOrder, epochs: int) -> None:
    drawn = np.concatenate([order.at(epoch, np.arange(order.n)) for epoch in range(epochs)])
    passes, windows = order.split(drawn)
    assert len(np.unique(drawn)) == len(drawn)  # a draw is a window in a pass
    of_set = sets_of(order, windows)
    for number, (part, share) in enumerate(zip(order.orders, order.shares, strict=True)):
        mine = passes[of_set == number]
        whole = part.n // share * share
        # So many windows in each pass, but for the last, which may not be over.
        np.testing.assert_array_equal(mine, np.arange(len(mine)) // whole)
        # With a share of one window, a pass is the whole set.
        if share == 1 and len(mine) >= part.n:
            assert len(np.unique(windows[of_set == number])) == part.n


@settings(deadline=None)
@given(order=mixtures(), epoch=st.integers(0, 9), data=st.data())
def test_any_position_alone_equals_the_whole_epoch(order: MixtureOrder, epoch: int, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, order.n - 1))
    assert order.at(epoch, np.array([position]))[0] == order.at(epoch, np.arange(order.n))[position]


@settings(deadline=None)
@given(shares=st.lists(st.integers(1, 5), min_size=1, max_size=4), ranks=st.sampled_from([1, 2, 4]), data=st.data())
def test_ranks_share_the_same_global_batch_and_every_set_evenly(
    shares: list[int], ranks: int, data: st.DataObject
) -> None:
    shares = [share * ranks for share in shares]
    orders = tuple(WindowOrder(data.draw(st.integers(share, 80)), i) for i, share in enumerate(shares))
    order = MixtureOrder(orders, tuple(shares), 3, tuple(i % 2 for i in range(len(shares))))
    alone = BatchPlan(order, order.batch_size).batch(2, 1)
    parts = [BatchPlan(order, order.batch_size, rank, ranks).batch(2, 1) for rank in range(ranks)]
    np.testing.assert_array_equal(np.concatenate(parts), alone)
    for part in parts:
        counts = np.bincount(sets_of(order, order.split(part)[1]), minlength=len(shares))
        np.testing.assert_array_equal(counts * ranks, shares)


@given(
    shares=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    ranks=st.sampled_from([2, 3, 4]),
    split=st.integers(1, 4),
)
def test_sets_laid_out_together_are_shared_evenly_as_one(shares: list[int], ranks: int, split: int) -> None:
    split = min(split, len(shares) - 1)
    shares[0] += -sum(shares[:split]) % ranks
    shares[-1] += -sum(shares[split:]) % ranks
    together = [int(i >= split) for i in range(len(shares))]
    slots = layout(shares, together)
    np.testing.assert_array_equal(np.bincount(slots), shares)
    for part in np.split(slots, ranks):
        assert (part < split).sum() * ranks == sum(shares[:split])


@given(weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=6), batch_size=st.integers(6, 300))
def test_shares_are_the_weights_to_a_window(weights: list[float], batch_size: int) -> None:
    shares = shares_of(weights, batch_size)
    assert sum(shares) == batch_size
    assert min(shares) >= 1
    exact = batch_size * np.array(weights) / sum(weights)
    if exact.min() >= 1:
        assert np.abs(shares - exact).max() < 1


def test_shares_by_hand() -> None:
    assert shares_of([1, 1], 64) == (32, 32)
    assert shares_of([2, 1, 1], 10) == (5, 3, 2)  # 5, 2.5, 2.5: of equal remainders the first
    assert shares_of([1000, 1, 1], 8) == (6, 1, 1)
    for weights, size, said in (([1, 0], 8, "above 0"), ([], 8, "above 0"), ([1, 1, 1], 2, "can't hold windows of 3")):
        with pytest.raises(ValueError, match=said):
            shares_of(weights, size)


def test_a_set_smaller_than_its_share_is_refused() -> None:
    with pytest.raises(ValueError, match="a set of 3 windows can't give 4 to each batch"):
        MixtureOrder((WindowOrder(3, 0),), (4,), 1, (0,))
