"""Schedulers of a build's tasks in this process or in several processes on this machine.

All schedulers give the same shards; see ``build.tasks``. ``build.dask_scheduler`` has a scheduler for a Dask cluster.
"""

from __future__ import annotations

import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from datamodules.build.encode import BuildJob
from datamodules.build.tasks import BuildError, Task, recordings_in_progress, run_task
from datamodules.io.worker_process import LOOK_S, end_workers, raise_if_broken, start_worker

# Called with a finished task and its seconds by stage; returns the tasks that can be done now.
Done = Callable[[Task, dict[str, float]], Iterable[Task]]


class Scheduler(ABC):
    """A way to do a build's tasks.

    Attributes:
        name: name for the history of builds, e.g. ``2 processes``.
    """

    name: str

    @abstractmethod
    def run(self, tasks: Iterable[Task], done: Done) -> None:
        """Do all tasks, in about this order.

        Args:
            tasks: independent tasks.
            done: called in this process after each task, with the task's seconds by stage; returns further tasks.

        Raises:
            BuildError: a worker died, or the cluster can't be used.
            RecordingError: a task raised this error.
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
        # Fork workers from a server that has imported everything and started nothing. Threads of this process would
        # not survive a direct fork.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["datamodules.build.tasks", "scipy.interpolate", "scipy.signal"])
        pool = ProcessPoolExecutor(self._count, context, start_worker)
        try:
            try:
                run_futures(
                    tasks,
                    done,
                    submit=lambda task: pool.submit(run_task, task),
                    max_submitted=2 * self._count,
                    check=lambda: raise_if_broken(pool),
                )
            finally:
                end_workers(pool)  # after an error, no further task begins
        except BrokenProcessPool as error:
            reading = ", ".join(recordings_in_progress(self._job.directory)) or "unknown"
            raise BuildError(
                f"{self._job.directory}: a worker died without an error (killed, out of memory, or a crash in a "
                f"decoder) while it or another worker read: {reading}. Finished recordings are kept"
            ) from error


def run_futures(
    tasks: Iterable[Task],
    done: Done,
    submit: Callable[[Task], Future[dict[str, float]]],
    max_submitted: int,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Do all tasks with at most ``max_submitted`` of them submitted; an error cancels tasks that have not begun.

    Args:
        tasks: what to do; those that follow from a finished one come before the rest.
        done: called with each finished task; returns what follows from it.
        submit: begins a task.
        max_submitted: number of tasks.
        check: called about once a second while nothing finishes; raises if nothing will.
    """
    coming = iter(tasks)
    further: list[Task] = []
    pending: dict[Future[dict[str, float]], Task] = {}
    try:
        while True:
            while len(pending) < max_submitted:
                task = further.pop() if further else next(coming, None)
                if task is None:
                    break
                pending[submit(task)] = task
            if not pending:
                return
            while not (finished := wait(pending, LOOK_S, FIRST_COMPLETED).done):
                check()
            for future in finished:
                task = pending.pop(future)
                further += done(task, future.result())
    finally:
        for future in pending:
            future.cancel()
