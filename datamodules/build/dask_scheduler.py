"""Scheduler of a build on a Dask cluster, whose machines share the folders of recordings and shards.

Before the first task, every worker is checked. It must see the folder of the shards and may write there. It must find
the same recordings. It must run the same version of this package and of the libraries that determine the bytes of a
shard. A worker that joins later is checked before its first task.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from core.digest import digest_of
from core.durable import TEMPORARY
from datamodules.build import dask_client
from datamodules.build.encode import BuildJob
from datamodules.build.scheduler import Done, Scheduler, run_futures
from datamodules.build.tasks import BuildError, Task, run_task

_RELATIVE = "expected the same paths on all machines (relative paths start at {} there)"
_LIBRARIES = ("av", "decord", "h5py", "numpy", "pandas", "pyarrow", "scipy", "simplejpeg", "torch")
_ANSWER_S = 900.0
_MARKER_S = 10.0  # a network file system may show a new file late
_MAX_SUBMITTED = 4096  # tasks: enough for an adaptive cluster to see the load and to grow


def software() -> dict[str, str]:
    """Return the versions of all software that determines the bytes of a shard, by name."""
    return dask_client.software(("datamodules",), _LIBRARIES)


@dataclass(frozen=True)
class Handshake:
    """The state of the build's own process, which every worker must share.

    Attributes:
        job: the build.
        marker: a file in the folder of the shards.
        software: versions by name, see :func:`software`.
        listing: digest of the names of all recordings.
        example: name of the first recording.
    """

    job: BuildJob
    marker: Path
    software: dict[str, str]
    listing: str
    example: str

    def check(self) -> None:
        """Compare a worker with this state; runs on the worker.

        Raises:
            BuildError: the worker differs; the message says how.
        """
        if different := dask_client.other_versions(self.software, software()):
            raise BuildError(different)
        patience = time.monotonic() + _MARKER_S
        while not self.marker.is_file():
            if time.monotonic() > patience:
                raise BuildError(
                    f"it does not see the folder of the shards, {self.job.directory} (no {self.marker.name} in it); "
                    "expected a file system that all machines share, at the same path"
                )
            time.sleep(0.1)
        if not os.access(self.job.directory, os.W_OK):
            raise BuildError(f"it has no permission to write to the folder of the shards, {self.job.directory}")
        try:
            names = self.job.inputs.open().names()
        except ValueError as error:
            raise BuildError(f"it does not find the recordings: {error}; {_RELATIVE.format(Path.cwd())}") from error
        if digest_of(names) != self.listing:
            raise BuildError(
                f"it finds {len(names)} recordings, but not those of the build's process, e.g. "
                f"'{self.example}'; {_RELATIVE.format(Path.cwd())}"
            )


_passed: set[str] = set()


def run_checked(handshake: Handshake, task: Task) -> dict[str, float]:
    """Run a task on a worker; check the worker before its first task of this build.

    Raises:
        BuildError: the worker fails the check; the message names the worker.
    """
    if handshake.job.token not in _passed:
        try:
            handshake.check()
        except BuildError as error:
            raise BuildError(f"Dask worker on {platform.node()} (process {os.getpid()}): {error}") from error
        _passed.add(handshake.job.token)
    return run_task(task)


def _check_worker(handshake: Handshake) -> str:
    """Check this worker; return the fault, or "" if there is none."""
    try:
        handshake.check()
    except BuildError as error:
        return str(error)
    return ""


class Cluster(Scheduler):
    """The workers of a Dask scheduler; use it as a context manager."""

    def __init__(self, address: str, job: BuildJob) -> None:
        """Connect to the scheduler and check its workers.

        Raises:
            BuildError: Dask is not installed, no scheduler answers, no worker joins, or a worker fails the check.
        """
        self._address, self._job = address, job
        names = job.inputs.open().names()
        self._marker = job.directory / f"{TEMPORARY}marker-{job.token}"
        self._handshake = Handshake(job, self._marker, software(), digest_of(names), names[0])
        self._distributed, self._client = dask_client.connect(address, "build.scheduler", BuildError)
        self._marker.touch()
        try:
            self._check_workers()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; unfinished tasks are dropped."""
        self._marker.unlink(missing_ok=True)
        self._client.close()

    def run(self, tasks: Iterable[Task], done: Done) -> None:
        """Do all tasks, see :class:`Scheduler`; other workers repeat the tasks of a worker that dies."""
        executor = self._client.get_executor(pure=False)
        titles: dict[str, str] = {}

        def submit(task: Task) -> Future[dict[str, float]]:
            key = f"build-{self._job.token}-{len(titles)}"
            titles[key] = task.title
            future: Future[dict[str, float]] = executor.submit(run_checked, self._handshake, task, key=key)
            return future

        try:
            run_futures(tasks, done, submit, _MAX_SUBMITTED)
        except self._distributed.scheduler.KilledWorker as error:
            raise BuildError(
                f"{self._job.directory}: Dask workers died again and again (killed, out of memory, or a crash in a "
                f"decoder) at {titles.get(str(error.task), 'one task')}. Finished recordings are kept"
            ) from error
        except CancelledError as error:
            raise BuildError(
                f"{self._job.directory}: the Dask scheduler at {self._address} is gone. Finished recordings are kept"
            ) from error

    def _check_workers(self) -> None:
        client = self._client
        workers = dask_client.wait_for_a_worker(self._distributed, client, self._address, "build.scheduler", BuildError)
        self.name = f"{len(workers)} Dask workers"
        # Run the checks as tasks: a check in a worker's own event loop could block it until Dask takes it for dead.
        checks = {
            worker: client.submit(_check_worker, self._handshake, workers=[worker], pure=False) for worker in workers
        }
        for worker, future in checks.items():
            if fault := self._wait_for_check(worker, future):
                raise BuildError(f"Dask worker {worker}: {fault}")

    def _wait_for_check(self, worker: str, future: Any) -> str:
        """Wait for a worker's check and return its fault, or "" for none.

        The worker may be busy with another client's tasks. A worker that has left counts as without fault.
        """
        patience = time.monotonic() + _ANSWER_S
        while time.monotonic() < patience:
            try:
                answer: str = future.result(timeout=5)
            except self._distributed.TimeoutError:
                if worker not in self._client.nthreads():
                    return ""
            except (ImportError, AttributeError) as error:
                return f"it can't load this package: {error}; install the same version there"
            except RuntimeError as error:
                # The scheduler unpacks tasks too before it passes them on, and wraps its error in a RuntimeError.
                if "deserialization" not in str(error):
                    raise
                raise BuildError(
                    f"build.scheduler: the Dask scheduler at {self._address} can't load this package; install the same "
                    "version there as here and on the workers, and start it again"
                ) from error
            else:
                return answer
        return f"it has not answered within {_ANSWER_S:.0f} s"
