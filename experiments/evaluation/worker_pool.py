"""A worker pool that fits models in processes of their own.

Fitting hundreds of small models holds Python's lock for so long that threads gain little, and trainings of encoders
share torch's random state. The threads that compute cells therefore hand each fit to a process, and wait. The result
does not depend on the process.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from datamodules.io.worker_process import end_workers, result_of, start_worker
from experiments.evaluation.errors import EvaluationError

P = ParamSpec("P")
T = TypeVar("T")

WORTH_IT = 400  # models; fewer are fitted sooner than processes start
TRAININGS_WORTH_IT = 4  # trainings of an encoder
_pool: ProcessPoolExecutor | None = None


@contextmanager
def worker_pool(count: int, needs: Sequence[str] = ()) -> Iterator[None]:
    """Let :func:`run_in_pool` use processes inside this context.

    Args:
        count: of processes; 1 means this process alone.
        needs: modules that they import at the start, beside those of small models.
    """
    global _pool
    if count < 2 or _pool is not None:
        yield
        return
    # Threads do not survive a fork. Workers fork from a server that has imported everything and started no thread.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["experiments.evaluation.features.forests", "lightning_modules.probe", __name__, *needs]
    )
    _pool = pool = ProcessPoolExecutor(count, context, _start)
    pool.submit(int)  # the server starts now: what it imports takes seconds
    try:
        yield
    finally:
        _pool = None
        end_workers(pool)


def run_in_pool(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Call ``function(*arguments, **options)``, in a worker if there is a pool; all must be picklable.

    Raises:
        EvaluationError: a worker died.
    """
    if _pool is None:
        return function(*arguments, **options)
    try:
        return result_of(_pool, _pool.submit(function, *arguments, **options))
    except BrokenProcessPool as error:
        raise EvaluationError(
            "a worker process died without an error (killed, or out of memory); finished cells are kept, and the same"
            " command goes on. evaluation.workers=1 needs the least memory"
        ) from error


def kill_workers() -> None:
    """Kill the processes of the pool, if there is one: whoever waits for one of them gets an error."""
    for worker in list((_pool._processes or {}).values()) if _pool is not None else []:
        worker.kill()


def _start() -> None:
    start_worker()
    threadpool_limits(1)
