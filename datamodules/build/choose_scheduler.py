"""Choice of a build's scheduler: this process, processes on this machine, or a Dask cluster.

::

    with choose_scheduler("tcp://10.0.0.1:8786", job, workers=0, recordings=100) as scheduler:
        scheduler.run(tasks, done=print)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from datamodules.build.encode import BuildJob
from datamodules.build.scheduler import InProcess, Processes, Scheduler


@contextmanager
def choose_scheduler(address: str, job: BuildJob, workers: int, recordings: int) -> Iterator[Scheduler]:
    """Create the scheduler for a build's settings.

    Args:
        address: ``tcp://host:port`` of a Dask scheduler (or ``tls://``); empty for this machine.
        job: the build; a cluster's workers are checked for it.
        workers: processes on this machine; 0 takes one per core.
        recordings: number of recordings to read, which limits the number of processes.

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
