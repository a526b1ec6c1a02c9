"""Processes that are there at once: forked from one that has imported what takes long."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

from torch.multiprocessing.spawn import start_processes

# DDP imports torch._dynamo when it is made.
IMPORTED = ["torch._dynamo", "lightning_modules.pretraining", "hypothesis", "pytest"]


def in_processes(work: Callable[..., None], arguments: tuple[Any, ...], count: int) -> None:
    """Call ``work(rank, *arguments)`` in as many processes, and wait for them.

    Raises:
        ProcessRaisedException: one of them raised.
    """
    multiprocessing.set_forkserver_preload(IMPORTED)  # of the first call of all
    start_processes(work, args=arguments, nprocs=count, start_method="forkserver")
