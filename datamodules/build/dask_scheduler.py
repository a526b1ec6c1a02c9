"""A build's tasks on the workers of a Dask cluster: many machines that share the folders of recordings and shards.

Before the first task, every worker has to show that it can do the job as this process would: that it sees the folder
of the shards and may write there, that it finds the same recordings, and that it runs the same version of this package
and of the libraries on which bytes depend. Workers that join later are asked the same before their first task.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from core.digest import digest_of
from core.durable import TEMPORARY
from datamodules.build.encode import BuildJob
from datamodules.build.scheduler import Done, Scheduler, run_futures
from datamodules.build.tasks import BuildError, Task, run_task
from datamodules.sources.registry import make_source

_RELATIVE = "expected paths that mean the same on all machines (relative ones start at {} there)"
_LIBRARIES = ("av", "decord", "h5py", "numpy", "pandas", "pyarrow", "scipy", "simplejpeg", "torch")
_CONNECT_S = 30.0
_FIRST_WORKER_S = 60.0
_ANSWER_S = 900.0
_MARKER_S = 10.0  # network file systems may show a new file late
_SUBMITTED = 4096  # tasks at once: a cluster that grows with its load has to see that there is some


@cache
def software() -> dict[str, str]:
    """What the bytes of a shard depend on beside recordings and settings: versions, by name."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for file in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    package = f"{version('imu-video-har')} (code {digest.hexdigest()[:12]})"
    return {"imu-video-har": package, "Python": python, **{name: version(name) for name in _LIBRARIES}}


@dataclass(frozen=True)
class Handshake:
    """What a worker has to see as the build's own process sees it.

    Attributes:
        job: of the build.
        marker: file in the folder of the shards.
        software: versions by name.
        listing: digest of the names of all recordings.
        example: the first of them.
    """

    job: BuildJob
    marker: Path
    software: dict[str, str]
    listing: str
    example: str

    def check(self) -> None:
        """Run on a worker.

        Raises:
            BuildError: what is different there.
        """
        mine = software()
        different = [f"{name} {mine.get(name)} (here {self.software[name]})" for name in self.software
                     if mine.get(name) != self.software[name]]  # fmt: skip
        if different:
            raise BuildError(f"other versions: {', '.join(different)}; install the same ones on every worker")
        patience = time.monotonic() + _MARKER_S
        while not self.marker.is_file():
            if time.monotonic() > patience:
                raise BuildError(
                    f"it does not see the folder of the shards, {self.job.directory} (no {self.marker.name} in it); "
                    "expected a file system that all machines share, at the same path"
                )
            time.sleep(0.1)
        if not os.access(self.job.directory, os.W_OK):
            raise BuildError(f"it must not write to the folder of the shards, {self.job.directory}")
        try:
            names = make_source(self.job.description["source"], self.job.description["params"]).names()
        except ValueError as error:
            raise BuildError(f"it does not find the recordings: {error}; {_RELATIVE.format(Path.cwd())}") from error
        if digest_of(names) != self.listing:
            raise BuildError(
                f"it finds {len(names)} recordings, and not the same as this process, which finds e.g. "
                f"'{self.example}'; {_RELATIVE.format(Path.cwd())}"
            )


_passed: set[str] = set()


def run_checked(handshake: Handshake, task: Task) -> dict[str, float]:
    """What a worker does: a task, after the check if it is the first one of this build.

    Raises:
        BuildError: the worker can't do the job; the message names it.
    """
    if handshake.job.token not in _passed:
        try:
            handshake.check()
        except BuildError as error:
            raise BuildError(f"Dask worker on {platform.node()} (process {os.getpid()}): {error}") from error
        _passed.add(handshake.job.token)
    return run_task(task)


def _answer(handshake: Handshake) -> str:
    """What is wrong with this worker; empty if nothing is."""
    try:
        handshake.check()
    except BuildError as error:
        return str(error)
    return ""


class Cluster(Scheduler):
    """The workers of a Dask scheduler; use it as a context manager."""

    def __init__(self, address: str, job: BuildJob) -> None:
        """Connect to the scheduler and check the workers that it has.

        Raises:
            BuildError: Dask is not installed, nobody answers, no worker joins, or one of them can't do the job.
        """
        try:
            import distributed
        except ImportError as error:
            raise BuildError(
                f"build.scheduler is '{address}', but Dask is not installed; "
                "pip install 'imu-video-har[dask]' does that, here and on every worker"
            ) from error
        self._distributed = distributed
        self._address, self._job = address, job
        names = make_source(job.description["source"], job.description["params"]).names()
        self._marker = job.directory / f"{TEMPORARY}marker-{job.token}"
        self._handshake = Handshake(job, self._marker, software(), digest_of(names), names[0])
        try:
            client: Any = distributed.Client
            self._client = client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:  # ValueError: no address at all
            raise BuildError(f"build.scheduler: no Dask scheduler answers at {address}: {error}") from error
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
        """Disconnect; tasks that are not done are dropped."""
        self._marker.unlink(missing_ok=True)
        self._client.close()

    def run(self, tasks: Iterable[Task], done: Done) -> None:
        """See :class:`Scheduler`; the tasks of a worker that dies are done by another one."""
        executor = self._client.get_executor(pure=False)
        titles: dict[str, str] = {}

        def submit(task: Task) -> Future[dict[str, float]]:
            key = f"build-{self._job.token}-{len(titles)}"
            titles[key] = task.title
            future: Future[dict[str, float]] = executor.submit(run_checked, self._handshake, task, key=key)
            return future

        try:
            run_futures(tasks, done, submit, _SUBMITTED)
        except self._distributed.scheduler.KilledWorker as error:
            raise BuildError(
                f"{self._job.directory}: Dask workers died again and again (killed, out of memory, or a crash in a "
                f"decoder) at {titles.get(str(error.task), 'one task')}. What was finished is kept"
            ) from error
        except CancelledError as error:
            raise BuildError(
                f"{self._job.directory}: the Dask scheduler at {self._address} is gone. What was finished is kept"
            ) from error

    def _check_workers(self) -> None:
        client = self._client
        try:
            client.wait_for_workers(1, timeout=_FIRST_WORKER_S)
        except self._distributed.TimeoutError as error:
            raise BuildError(
                f"build.scheduler: no worker has joined {self._address} within {_FIRST_WORKER_S:.0f} s; start some "
                f"with dask worker {self._address} --nthreads 1 --nworkers auto"
            ) from error
        workers = list(client.nthreads())
        self.name = f"{len(workers)} Dask workers"
        # As tasks: what blocks a worker's own loop for long is taken for its death.
        answers = {worker: client.submit(_answer, self._handshake, workers=[worker], pure=False) for worker in workers}
        for worker, future in answers.items():
            if wrong := self._patiently(worker, future):
                raise BuildError(f"Dask worker {worker}: {wrong}")

    def _patiently(self, worker: str, future: Any) -> str:
        """A worker's answer; it may be at work for somebody else, and one that has left has nothing to say."""
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
                # The scheduler unpacks tasks too before it hands them on, and wraps whatever keeps it from that.
                if "deserialization" not in str(error):
                    raise
                raise BuildError(
                    f"build.scheduler: the Dask scheduler at {self._address} can't load this package; install the same "
                    "version there as here and on the workers, and start it again"
                ) from error
            else:
                return answer
        return f"it has not answered within {_ANSWER_S:.0f} s"
