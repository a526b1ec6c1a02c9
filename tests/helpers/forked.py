"""Processes that are there at once: forked from one that has imported what takes long."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

from torch.multiprocessing.spawn import start_processes

# DDP imports torch._dynamo when it is made. The others are what builds, evaluations and predictions ask for.
IMPORTED = [
    "torch._dynamo",
    "lightning_modules.pretraining",
    "hypothesis",
    "pytest",
    "datamodules.build.tasks",
    "scipy.interpolate",
    "scipy.signal",
    "experiments.evaluation.worker_pool",
    "experiments.evaluation.features.forests",
    "experiments.inference.scoring",
    "experiments.inference.head",
]


def in_processes(work: Callable[..., None], arguments: tuple[Any, ...], count: int) -> None:
    """Call ``work(rank, *arguments)`` in as many processes, and wait for them.

    Raises:
        ProcessRaisedException: one of them raised.
    """
    multiprocessing.set_forkserver_preload(IMPORTED)
    start_processes(work, args=arguments, nprocs=count, start_method="forkserver")
