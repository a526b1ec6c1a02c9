from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_modules.losses.queue import EmbeddingQueue


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 7), batches=st.lists(st.integers(0, 9), max_size=6))
def test_holds_the_last_rows_pushed(size: int, batches: list[int]) -> None:
    queue, pushed = EmbeddingQueue(size, 1), 0
    for n in batches:
        queue.push(torch.arange(pushed, pushed + n, dtype=torch.float32).unsqueeze(1))
        pushed += n
        held = sorted(queue.contents().flatten().tolist())
        assert held == [float(i) for i in range(max(0, pushed - size), pushed)]
        assert queue.filled == min(pushed, size)


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 7), batches=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_queues_pushed_together_stay_in_step(size: int, batches: list[int]) -> None:
    first, second = EmbeddingQueue(size, 2), EmbeddingQueue(size, 3)
    for n in batches:
        rows = torch.randn(n, 1)
        first.push(rows.expand(n, 2))
        second.push(-rows.expand(n, 3))
    assert torch.equal(first.contents()[:, 0], -second.contents()[:, 0])


def test_a_resumed_queue_goes_on_as_the_one_that_was_not_stopped(tmp_path: Path) -> None:
    going, batches = EmbeddingQueue(10, 3), torch.randn(6, 4, 3)
    for rows in batches[:3]:
        going.push(rows)
    torch.save(going.state_dict(), tmp_path / "queue.pt")
    resumed = EmbeddingQueue(10, 3)
    resumed.load_state_dict(torch.load(tmp_path / "queue.pt", weights_only=True))
    for rows in batches[3:]:
        going.push(rows)
        resumed.push(rows)
    assert torch.equal(going.contents(), resumed.contents())
    assert going.filled == resumed.filled == 10
    assert torch.equal(going.pushed, resumed.pushed)


def test_a_push_before_the_backward_pass_does_not_disturb_it() -> None:
    queue, rows = EmbeddingQueue(2, 3), torch.eye(2, 3)
    queue.push(rows)
    x = torch.ones(3, requires_grad=True)
    value = (queue.contents() @ x).square().sum()
    queue.push(-5 * rows)
    value.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 2.0, 0.0]


def test_float32_without_gradient_whatever_is_pushed() -> None:
    queue = EmbeddingQueue(4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        queue.push(torch.nn.Linear(5, 3)(torch.randn(2, 5)))
        contents = queue.contents()
    assert contents.dtype == torch.float32
    assert not contents.requires_grad
    queue.push(torch.ones(1, 3, dtype=torch.float64))
    assert queue.contents().dtype == torch.float32


def test_never_in_eval_mode() -> None:
    queue = EmbeddingQueue(4, 3)
    torch.nn.Sequential(queue).eval()
    with pytest.raises(RuntimeError, match="only in training"):
        queue.push(torch.ones(1, 3))
    assert queue.filled == 0
    assert queue.contents().shape == (0, 3)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"must be \(n, 3\), found \(2, 4\)"):
        EmbeddingQueue(4, 3).push(torch.ones(2, 4))
    with pytest.raises(ValueError, match="at least 1, found 0 and 3"):
        EmbeddingQueue(0, 3)
