"""Worker processes that share a machine with others, and die with their parent."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading

import torch


def start_worker() -> None:
    """Use one thread, and end when the parent process does."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A worker whose parent was killed would wait for work for ever.
        sentinel = parent.sentinel
        threading.Thread(target=_die_with, args=(sentinel,), daemon=True).start()


def _die_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
