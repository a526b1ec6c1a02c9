"""Tasks on several processes: an error ends them, and so does a pool that will never answer."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from datamodules.build.scheduler import run_futures


def test_a_task_that_nobody_does_ends_with_its_pool() -> None:
    told_nothing: Future[dict[str, float]] = Future()
    begun_never: Future[dict[str, float]] = Future()
    coming = [told_nothing, begun_never]
    assert told_nothing.set_running_or_notify_cancel()

    def check() -> None:
        raise BrokenProcessPool("a worker died")

    tasks: list[Any] = ["one", "two", "three"]  # it looks into none of them
    with pytest.raises(BrokenProcessPool, match="a worker died"):
        run_futures(tasks, lambda task, times: [], lambda task: coming.pop(0), 2, check)
    assert begun_never.cancelled()
