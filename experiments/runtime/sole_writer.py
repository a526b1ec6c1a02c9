"""One writer for a run's folder: a second command that would write the same files is refused in words."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from core.durable import write_text
from experiments.runtime.errors import UserError


@contextmanager
def sole_writer(folder: Path, task: str) -> Iterator[None]:
    """Be the only process that does ``task`` in a folder; the kernel frees the place of a process that was killed.

    Args:
        folder: folder of the run; the lock lies beside it, since the folder may be set aside.
        task: what is done there, e.g. "training"; another task may be done at the same time.

    Raises:
        UserError: another process does it now; the message says which.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}.{task}.lock"))
    owner = folder.with_name(f".{folder.name}.{task}.owner")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = owner.read_text(encoding="utf-8", errors="replace") if owner.is_file() else "another process"
        raise UserError(
            f"{folder}: {who} is {task} there now; wait until it has ended, or use another folder (run.name=...)"
        ) from error
    try:
        write_text(owner, f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
