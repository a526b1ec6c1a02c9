"""Pools come to an end, even where a worker was killed while it left."""

from __future__ import annotations

import errno
import multiprocessing
import os
import struct
import sys
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from datamodules.io.worker_process import end_workers, result_of, start_worker


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


def threads_of_torch() -> tuple[bool, int, int]:
    """Start as a worker does: was torch imported then, threads of torch once it is, and of a worker that had it."""
    start_worker()
    imported = "torch" in sys.modules
    import torch

    without = torch.get_num_threads()
    torch.set_num_threads(2)
    start_worker()
    return imported, without, torch.get_num_threads()


def test_a_worker_uses_one_thread_and_does_not_wait_for_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(threads_of_torch).result(120) == (False, 1, 1)


def test_a_pool_that_was_never_used() -> None:
    end_workers(ProcessPoolExecutor(2), within_s=0.5)


def test_a_worker_ends_whose_pool_could_not_start_the_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a pool has no thread yet that would tell the first one to leave."""
    pool = ProcessPoolExecutor(2, multiprocessing.get_context("fork"))
    spawn: Any = pool._spawn_process  # type: ignore[attr-defined]

    def spawn_one() -> None:
        if pool._processes:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        spawn()

    monkeypatch.setattr(pool, "_spawn_process", spawn_one)
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        pool.submit(abs, -1)
    (worker,) = pool._processes.values()
    assert worker.is_alive()
    end_workers(pool, within_s=0.5)
    assert not worker.is_alive()


def test_workers_end_whose_pool_could_not_start_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.submit(abs, -1)
    (worker,) = pool._processes.values()
    end_workers(pool, within_s=0.5)
    assert not worker.is_alive()


def test_a_task_that_comes_as_a_worker_dies_is_not_waited_for_without_an_end() -> None:
    """Python may leave it out where it tells the others, so that it is never told anything."""
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
    assert result_of(pool, pool.submit(abs, -1), look_s=0.1) == 1
    with pytest.raises(ZeroDivisionError):
        result_of(pool, pool.submit(divmod, 1, 0), look_s=0.1)
    with pytest.raises(BrokenProcessPool):
        pool.submit(os._exit, 1).result(60)
    with pytest.raises(BrokenProcessPool):
        result_of(pool, Future[int](), look_s=0.1)
    end_workers(pool)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_workers_end_where_the_thread_that_ends_them_failed() -> None:
    """It goes through a table that a new task may change under it."""
    pool = ProcessPoolExecutor(2, multiprocessing.get_context("fork"))
    assert pool.submit(abs, -1).result(60) == 1
    manager: Any = pool._executor_manager_thread

    def fail(cause: object) -> None:
        pool._broken = "a worker died"  # type: ignore[assignment]  # its stub knows False and True
        raise RuntimeError("dictionary changed size during iteration")

    manager.terminate_broken = fail
    first, other = pool._processes.values()
    first.kill()
    with pytest.raises(BrokenProcessPool, match="a worker died"):
        result_of(pool, Future[int](), look_s=0.1)
    manager.join(60)
    assert other.is_alive()
    end_workers(pool)
    other.join(60)
    assert not other.is_alive()


@pytest.mark.timeout(60)
def test_half_an_answer_keeps_nobody() -> None:
    """The thread of the pool reads it, and would wait for the other half."""
    pool = ProcessPoolExecutor(2, multiprocessing.get_context("fork"))
    global answers
    answers = pool._result_queue
    future = pool.submit(answer_by_half)  # the workers are forked here, and know the queue
    with pytest.raises(BrokenProcessPool):
        result_of(pool, future, look_s=0.1)
    workers = list(pool._processes.values())
    manager: Any = pool._executor_manager_thread
    end_workers(pool, within_s=0.5)
    assert not manager.is_alive()
    assert not any(worker.is_alive() for worker in workers)


answers: Any = None


def answer_by_half() -> None:
    answers._wlock.acquire()
    os.write(answers._writer.fileno(), struct.pack("!i", 1000) + b"half of it")
    os._exit(1)
