"""Schedulers of a build: they do its tasks in this process or in processes on this machine.

The shards are the same whoever does the tasks; see ``build.tasks``. A Dask cluster is in ``build.dask_scheduler``.
"""

from __future__ import annotations

import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from datamodules.build.encode import BuildJob
from datamodules.build.tasks import BuildError, Task, at_work, run_task
from datamodules.io.worker_process import start_worker

# Of a finished task: seconds by stage in, the tasks that can be done now out.
Done = Callable[[Task, dict[str, float]], Iterable[Task]]


class Scheduler(ABC):
    """Does tasks, on some number of processes.

    Attributes:
        name: for the record of a build, e.g. ``2 processes``.
    """

    name: str

    @abstractmethod
    def run(self, tasks: Iterable[Task], done: Done) -> None:
        """Do all tasks, in about this order.

        Args:
            tasks: they don't depend on each other.
            done: called in this process after each of them, with its seconds by stage; returns further tasks.

        Raises:
            BuildError: a worker died, or the cluster can't be used.
            RecordingError: a task raised it.
        """


class InProcess(Scheduler):
    """One after the other, here."""

    name = "1 process"

    def run(self, tasks: Iterable[Task], done: Done) -> None:
        """See :class:`Scheduler`."""
        for task in tasks:
            self.run(done(task, run_task(task)), done)


class Processes(Scheduler):
    """Processes on this machine."""

    def __init__(self, job: BuildJob, count: int) -> None:
        self.name = f"{count} processes"
        self._job, self._count = job, count

    def run(self, tasks: Iterable[Task], done: Done) -> None:
        """See :class:`Scheduler`."""
        # Forked from a server that has imported everything and run nothing: the threads that this process may
        # have started would not survive a fork, and importing torch in every worker takes seconds.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["datamodules.build.tasks"])
        with ProcessPoolExecutor(self._count, context, start_worker) as pool:
            try:
                run_futures(tasks, done, lambda task: pool.submit(run_task, task), at_once=2 * self._count)
            except BrokenProcessPool as error:
                reading = ", ".join(at_work(self._job.directory)) or "unknown"
                raise BuildError(
                    f"{self._job.directory}: a worker died without an error (killed, out of memory, or a crash in a "
                    f"decoder) while these recordings were being read: {reading}. What was finished is kept"
                ) from error
            finally:
                # After an error, tasks that no worker has begun are not begun.
                pool.shutdown(cancel_futures=True)


def run_futures(
    tasks: Iterable[Task], done: Done, submit: Callable[[Task], Future[dict[str, float]]], at_once: int
) -> None:
    """Keep ``at_once`` tasks submitted until there are none; after an error those that have not begun are cancelled."""
    coming = iter(tasks)
    further: list[Task] = []
    pending: dict[Future[dict[str, float]], Task] = {}
    try:
        while True:
            while len(pending) < at_once and (task := further.pop() if further else next(coming, None)) is not None:
                pending[submit(task)] = task
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                task = pending.pop(future)
                further += done(task, future.result())
    finally:
        for future in pending:
            future.cancel()
