"""Small models fitted in processes of their own.

Fitting hundreds of them holds Python's lock for so long that threads gain little: the threads that compute cells hand
the fitting to as many processes, and wait. What is fitted does not depend on where.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from datamodules.io.worker_process import start_worker

P = ParamSpec("P")
T = TypeVar("T")

WORTH_IT = 400  # models; fewer are fitted before processes have started
_pool: ProcessPoolExecutor | None = None


@contextmanager
def worker_pool(count: int) -> Iterator[None]:
    """While this is open, :func:`apart` uses so many processes; one is this one."""
    global _pool
    if count < 2 or _pool is not None:
        yield
        return
    # Forked from a server that has imported everything and run nothing, as threads would not survive a fork.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["experiments.evaluation.features.handcrafted", "lightning_modules.probe", __name__])
    with ProcessPoolExecutor(count, context, _start) as pool:
        _pool = pool
        try:
            yield
        finally:
            _pool = None
            pool.shutdown(cancel_futures=True)


def run_in_pool(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """``function(*arguments, **options)``, in another process if there is one; all of it must be picklable."""
    if _pool is None:
        return function(*arguments, **options)
    return _pool.submit(function, *arguments, **options).result()


def _start() -> None:
    start_worker()
    threadpool_limits(1)
