"""Start of a worker process that uses one thread and ends with its parent."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading


def start_worker() -> None:
    """Limit this worker to one thread, and end it when its parent process ends."""
    import torch  # takes 300 MB, which a parent that only starts workers does not need

    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        # Without this thread, a worker would wait for ever after its parent was killed.
        sentinel = parent.sentinel
        threading.Thread(target=_exit_after, args=(sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
