"""A buffer comes back when nobody can see it any more, and not before."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.io.buffer_pool import BufferPool


def test_memory_goes_round_once_it_is_let_go() -> None:
    buffers = BufferPool()
    first = buffers.empty((256, 1000), torch.float32)
    address = first.data_ptr()
    del first
    assert buffers.empty((256, 1000), torch.float32).data_ptr() == address
    assert buffers.empty((1000, 512), torch.float16).data_ptr() == address  # as many bytes


@pytest.mark.parametrize(
    "hold",
    [
        lambda x: x,
        lambda x: x[3:5],
        lambda x: x.permute(1, 0),
        lambda x: x.numpy(),
        lambda x: x.numpy()[::2].T,
        lambda x: x.detach(),
        lambda x: torch.from_numpy(x.numpy()[1]),
        lambda x: memoryview(x.numpy()),
    ],
)
def test_whoever_holds_a_part_holds_the_memory(hold: Callable[[Any], Any]) -> None:
    buffers = BufferPool()
    first = buffers.empty((8, 16), torch.float32).fill_(7)
    held = hold(first)
    del first
    gc.collect()
    others = [buffers.empty((8, 16), torch.float32).fill_(0) for _ in range(4)]
    assert (np.asarray(held) == 7).all()
    del others


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40))
def test_no_two_tensors_share_memory(steps: list[tuple[int, bool]]) -> None:
    buffers = BufferPool(keep=3)
    held: list[tuple[int, torch.Tensor]] = []
    for n, (size, drop) in enumerate(steps):
        held.append((n, buffers.empty((size, 5), torch.int64).fill_(n)))
        if drop:
            held.pop(len(held) // 2)
    for n, tensor in held:
        assert (tensor == n).all()


def test_a_bounded_number_of_free_buffers_waits() -> None:
    buffers = BufferPool(keep=2)
    many = [buffers.empty((10,), torch.uint8) for _ in range(9)]
    del many
    assert len(buffers._free) == 2


def test_what_came_back_last_is_used_first() -> None:
    buffers = BufferPool()
    first, second, other = (buffers.empty((size,), torch.uint8) for size in (10, 10, 20))
    addresses = first.data_ptr(), second.data_ptr()
    del first, second, other
    assert [buffers.empty((10,), torch.uint8).data_ptr() for _ in range(2)] == [addresses[1]] * 2
    kept = [buffers.empty((10,), torch.uint8) for _ in range(2)]
    assert {tensor.data_ptr() for tensor in kept} == set(addresses)


def test_threads_never_get_the_same_buffer() -> None:
    buffers, clashes = BufferPool(), []

    def work(number: int) -> None:
        for _ in range(300):
            tensor = buffers.empty((64,), torch.int64).fill_(number)
            if not (tensor == number).all():
                clashes.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not clashes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pinned_memory_is_not_filled_again_before_its_copy_is_done() -> None:
    buffers = BufferPool(pinned=True)
    copies = []
    for n in range(32):
        tensor = buffers.empty((1 << 22,), torch.int64).fill_(n)
        assert tensor.is_pinned()
        copies.append(tensor.to("cuda", non_blocking=True))
    assert all((copy == n).all() for n, copy in enumerate(copies))
