"""Start of a worker process that uses one thread and ends with its parent, or by its parent."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading

# A terminal or Slurm sends them to all processes. The parent ends its workers itself; SIGTERM is how pools do it.
_LEFT_TO_THE_PARENT = ("SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")


def start_worker() -> None:
    """Limit this worker to one thread, and end it when its parent process ends."""
    import torch  # takes 300 MB, which a parent that only starts workers does not need

    torch.set_num_threads(1)
    for name in _LEFT_TO_THE_PARENT:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a command's own handler is the parent's alone
    parent = multiprocessing.parent_process()
    if parent is not None:
        # Without this thread, a worker would wait for ever after its parent was killed.
        sentinel = parent.sentinel
        threading.Thread(target=_exit_after, args=(sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
