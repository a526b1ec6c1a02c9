"""Pools come to an end, even where a worker was killed while it left."""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from datamodules.io.worker_process import end_workers


def test_a_lock_that_a_killed_worker_has_kept_keeps_nobody() -> None:
    pool = ProcessPoolExecutor(2, multiprocessing.get_context("fork"))
    assert pool.submit(os.getpid).result(60) != os.getpid()
    workers = list(pool._processes.values())
    results: Any = pool._result_queue
    assert results._wlock.acquire()  # as a worker that is killed in its goodbye
    end_workers(pool, within_s=0.5)
    assert not any(worker.is_alive() for worker in workers)


def test_workers_who_can_leave_are_not_killed() -> None:
    pool = ProcessPoolExecutor(2, multiprocessing.get_context("fork"))
    begun, busy = time.monotonic(), pool.submit(time.sleep, 1.0)
    while not busy.running():
        time.sleep(0.01)
    workers = list(pool._processes.values())
    end_workers(pool, within_s=60)
    assert time.monotonic() - begun >= 1  # what was being done was done
    assert busy.result(0) is None
    assert {worker.exitcode for worker in workers} == {0}


def test_a_pool_that_was_never_used() -> None:
    end_workers(ProcessPoolExecutor(2), within_s=0.5)
