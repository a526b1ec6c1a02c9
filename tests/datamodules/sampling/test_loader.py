"""Batches come in the plan's order, ahead of time, from wherever the run stands, and belong to whoever holds them."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.io.buffer_pool import BufferPool
from datamodules.sampling.loader import Batch, BatchLoader
from datamodules.sampling.order import BatchPlan, WindowOrder


def read(windows: np.ndarray, epoch: int) -> Batch:
    return {"windows": windows, "epoch": epoch}


@settings(deadline=None)
@given(n=st.integers(8, 300), done=st.integers(0, 100), data=st.data())
def test_a_run_goes_on_where_it_stopped_on_any_number_of_ranks(n: int, done: int, data: st.DataObject) -> None:
    order = WindowOrder(n, 3)
    steps = n // 8
    epoch, first = divmod(done, steps)
    expected = [BatchPlan(order, 8).batch(epoch, step) for step in range(first, steps)]
    ranks = data.draw(st.sampled_from([1, 2, 4, 8]))
    parts = [
        [batch["windows"] for batch in BatchLoader(BatchPlan(order, 8, rank, ranks), read, lambda: done)]
        for rank in range(ranks)
    ]
    assert {len(part) for part in parts} == {steps - first}  # as many steps on every rank
    for step, batch in enumerate(expected):
        np.testing.assert_array_equal(np.concatenate([part[step] for part in parts]), batch)


def tensors(windows: np.ndarray, epoch: int) -> Batch:
    """Of which the slower ones are asked for first."""
    time.sleep(0.002 if windows[0] % 3 else 0)
    return {"windows": torch.from_numpy(windows), "epoch": torch.full((len(windows),), epoch)}


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(8, 300),
    done=st.integers(0, 100),
    threads=st.integers(1, 3),
    group=st.integers(1, 9),
    ahead=st.integers(0, 4),
    keep_last=st.booleans(),
)
def test_threads_and_groups_change_nothing(
    n: int, done: int, threads: int, group: int, ahead: int, keep_last: bool
) -> None:
    plan = BatchPlan(WindowOrder(n, 3), 8, keep_last=keep_last)
    epoch, first = divmod(done, len(plan))
    found = list(BatchLoader(plan, tensors, lambda: done, ahead, threads, group))
    assert len(found) == len(plan) - first
    for step, batch in enumerate(found, first):
        np.testing.assert_array_equal(batch["windows"], plan.batch(epoch, step))
        assert batch["epoch"].tolist() == [epoch] * len(batch["windows"])


def test_so_many_threads_read_and_so_many_batches_at_once() -> None:
    meet, calls, names, sizes = threading.Barrier(3), itertools.count(), set(), []

    def busy(windows: np.ndarray, epoch: int) -> Batch:
        if next(calls) < 3:
            meet.wait(timeout=60)  # for two others, who must come while this one reads
        names.add(threading.current_thread().name)
        sizes.append(len(windows))
        return {"windows": torch.from_numpy(windows)}

    plan = BatchPlan(WindowOrder(400, 0), 10)
    assert len(list(BatchLoader(plan, busy, lambda: 0, threads=3, read_ahead=3, group=6))) == 40
    assert len(names) == 3
    assert sorted(sizes) == [40, *[60] * 6]  # 6 batches at once, and the 4 that are left


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_no_more_is_read_ahead_than_was_asked_for(ahead: int) -> None:
    started: list[int] = []
    plan = BatchPlan(WindowOrder(100, 0, shuffle=False), 10)
    iterator = iter(BatchLoader(plan, lambda windows, _: started.append(int(windows[0])) or {}, lambda: 0, ahead))
    next(iterator)
    time.sleep(0.05)
    assert len(started) <= ahead + 1
    iterator.close()  # type: ignore[attr-defined]


def test_an_epoch_that_is_left_early_leaves_no_thread() -> None:
    before = threading.active_count()
    for _ in BatchLoader(BatchPlan(WindowOrder(100, 0), 10), read, lambda: 0):
        break
    assert threading.active_count() == before


def test_an_error_in_reading_reaches_the_training_loop() -> None:
    def broken(windows: np.ndarray, epoch: int) -> Batch:
        raise ValueError("window 3: not a readable JPEG")

    with pytest.raises(ValueError, match="window 3"):
        next(iter(BatchLoader(BatchPlan(WindowOrder(100, 0), 10), broken, lambda: 0)))


def test_batches_that_are_kept_stay_what_they_were() -> None:
    buffers = BufferPool(keep=2)

    def fill(windows: np.ndarray, epoch: int) -> Batch:
        tensor = buffers.empty((len(windows), 50), torch.int64)
        tensor[:] = torch.from_numpy(windows)[:, None]
        return {"x": tensor, "windows": windows}

    loader = BatchLoader(BatchPlan(WindowOrder(400, 0), 10), fill, lambda: 0)
    kept = [(batch["x"], batch["windows"]) for batch in loader]
    assert len({x.data_ptr() for x, _ in kept}) == 40
    for x, windows in kept:
        np.testing.assert_array_equal(x, np.repeat(windows[:, None], 50, axis=1))
    del kept, x
    addresses = set()
    for batch in loader:
        np.testing.assert_array_equal(batch["x"][:, 0], batch["windows"])
        addresses.add(batch["x"].data_ptr())
    # Two waiting, one being filled, one with the loop, and its successor while the loop variable still holds it.
    assert len(addresses) <= 6


def test_the_last_incomplete_batch_comes_where_it_is_asked_for() -> None:
    plan = BatchPlan(WindowOrder(23, 0, shuffle=False), 10, keep_last=True)
    sizes = [len(batch["windows"]) for batch in BatchLoader(plan, read, lambda: 0)]
    assert sizes == [10, 10, 3]
    with pytest.raises(ValueError, match="2 processes can't share an incomplete batch"):
        BatchPlan(WindowOrder(23, 0), 10, 0, 2, keep_last=True)


def test_what_will_be_read_is_said_before() -> None:
    said: list[Any] = []  # None first

    def told(windows: np.ndarray, epoch: int) -> Batch:
        assert said[0] is None, "what was said of an earlier epoch is not coming"
        assert set(windows.tolist()) <= set(np.concatenate(said[1:]).tolist())
        return {"windows": windows}

    loader = BatchLoader(BatchPlan(WindowOrder(400, 0), 4), told, lambda: 30, expect=said.append)
    done = [batch["windows"] for batch in loader]
    assert len(done) == 70
    np.testing.assert_array_equal(np.concatenate(said[1:]), np.concatenate(done))
