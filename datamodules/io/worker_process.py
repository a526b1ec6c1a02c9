"""Start and end of worker processes: each uses one thread, and ends with its parent, or by its parent."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

T = TypeVar("T")

# A terminal or Slurm sends them to all processes. The parent ends its workers itself; SIGTERM is how pools do it.
_LEFT_TO_THE_PARENT = ("SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # read with the library of OpenMP that torch brings
LEAVE_S = 30.0
LOOK_S = 1.0  # between two looks at whether a pool still works


def start_worker() -> None:
    """Limit this worker to one thread, and end it when its parent process ends."""
    # torch takes seconds to import and 300 MB. Workers that never use it go without; others import it later.
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    for name in _LEFT_TO_THE_PARENT:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a command's own handler is the parent's alone
    parent = multiprocessing.parent_process()
    if parent is not None:
        # Without this thread, a worker would wait for ever after its parent was killed.
        sentinel = parent.sentinel
        threading.Thread(target=_exit_after, args=(sentinel,), daemon=True).start()


def imports_main() -> bool:
    """Say whether this process is a worker that is still importing its parent's script."""
    return getattr(multiprocessing.current_process(), "_inheriting", False)


def result_of(pool: ProcessPoolExecutor, future: Future[T], look_s: float = LOOK_S) -> T:
    """Wait for the result of what a pool was given, as long as the pool works.

    A pool whose worker died tells all futures that it knows, but not always. One that is submitted in that very moment
    may be left out, since CPython 3.11 has no lock there. And a worker that is killed in the middle of an answer keeps
    the pool's own thread waiting for the other half, so that nobody is told. Both would be waited for without an end.

    Raises:
        BrokenProcessPool: a worker died.
    """
    while not wait([future], look_s).done:
        raise_if_broken(pool)
    return future.result()


def raise_if_broken(pool: ProcessPoolExecutor) -> None:
    """Look at a pool, and at its workers: none of them ends before the pool.

    Raises:
        BrokenProcessPool: a worker died.
    """
    workers: list[Any] = list((pool._processes or {}).values())
    if pool._broken or multiprocessing.connection.wait([worker.sentinel for worker in workers], 0):
        raise BrokenProcessPool("a worker died")


def end_workers(pool: ProcessPoolExecutor, within_s: float = LEAVE_S) -> None:
    """End a pool whose results are all there, or of no use any more.

    A worker says goodbye under a lock that all share. One that is killed just then keeps it: the others, and whoever
    waits for them, would wait for ever. So those who have not left in time are killed, and nobody waits for the other
    half of their answers. Where the pool could not start its own thread, or the second of its workers, nobody tells the
    first one to leave: it is killed, too.

    Args:
        pool: of processes; what has not begun is cancelled.
        within_s: seconds that workers have, for what they still do and for leaving.
    """
    workers: list[Any] = list((pool._processes or {}).values())
    manager: Any = pool._executor_manager_thread  # its stub has another type
    answers: Any = pool._result_queue
    pool.shutdown(wait=False, cancel_futures=True)
    if manager is not None and manager.ident is not None:  # else there is no such thread
        manager.join(within_s)
        if manager.is_alive():
            for worker in workers:
                worker.kill()
            answers._writer.close()  # this process's own end: now nobody has one
            manager.join()
    for worker in workers:
        if worker.is_alive():  # Python would wait for it at its own end
            worker.kill()
            worker.join()


def _exit_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
