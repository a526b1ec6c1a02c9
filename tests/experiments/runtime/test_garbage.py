"""The collector leaves out what was there before a training, and only during it."""

from __future__ import annotations

import gc
from collections import deque

import pytest

from experiments.runtime.garbage import earlier_objects_left_out


def test_earlier_objects_are_left_out_until_the_end_even_of_one_that_fails() -> None:
    def fail() -> None:
        with earlier_objects_left_out():
            assert gc.get_freeze_count() > 10_000
            raise ValueError("failed")

    with pytest.raises(ValueError, match="failed"):
        fail()
    assert gc.get_freeze_count() == 0


def test_old_garbage_does_not_add_up_beside_many_objects() -> None:
    """Garbage that is old when it becomes garbage, as a figure is, waits for a collection of everything."""
    many = [[] for _ in range(1_000_000)]  # type: ignore[var-annotated]
    with earlier_objects_left_out():
        used: deque[list[object]] = deque(maxlen=20_000)
        most = 0
        for n in range(400_000):
            cycle: list[object] = []
            cycle.append(cycle)
            used.append(cycle)
            if len(used) == used.maxlen and n % 20_000 == 0:
                most = max(most, len(gc.get_objects()))
    assert len(many) == 1_000_000
    # 20,000 are in use, and Python lets up to 70,000 new ones come before it looks at all. Beside a million objects it
    # would let garbage become a quarter of a million first.
    assert most < 130_000
