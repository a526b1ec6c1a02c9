"""The scheduler that a build asks for: this process, processes on this machine, or a Dask cluster.

::

    with scheduler_of("tcp://10.0.0.1:8786", job, workers=0) as scheduler:
        scheduler.run(tasks, done=print)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from datamodules.build.encode import BuildJob
from datamodules.build.scheduler import InProcess, Processes, Scheduler


@contextmanager
def scheduler_of(address: str, job: BuildJob, workers: int, recordings: int) -> Iterator[Scheduler]:
    """The scheduler that a build asked for.

    Args:
        address: ``tcp://host:port`` of a Dask scheduler (or ``tls://``); empty for this machine.
        job: for the check whether the cluster's workers can do it.
        workers: processes on this machine; 0 takes one a core.
        recordings: that are to be read; more processes make no sense.

    Raises:
        BuildError: the cluster can't be used; the message says why.
    """
    if address:
        from datamodules.build.dask_scheduler import Cluster

        with Cluster(address, job) as cluster:
            yield cluster
        return
    count = min(workers or os.cpu_count() or 1, recordings)
    yield InProcess() if count <= 1 else Processes(job, count)
