"""One writer for a folder: a second command that would write the same files is refused in words, or waits."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from core.durable import write_text
from core.room import is_read_only
from experiments.runtime.console import console
from experiments.runtime.errors import UserError


@contextmanager
def sole_writer(folder: Path, task: str, hint: str = "") -> Iterator[None]:
    """Be the only process that does ``task`` in a folder; the kernel frees the place of a process that was killed.

    Args:
        folder: folder of the run; the lock lies beside it, since the folder may be set aside.
        task: what is done there, e.g. "training"; another task may be done at the same time.
        hint: what else to set where nothing can be written, and other runs are kept in another folder.

    Raises:
        UserError: another process does it now, which the message names; or nothing can be written there.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, task, hint, error) from error
    lock = FileLock(folder.with_name(f".{folder.name}.{task}.lock"))
    owner = folder.with_name(f".{folder.name}.{task}.owner")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = owner.read_text(encoding="utf-8", errors="replace") if owner.is_file() else "another process"
        raise UserError(
            f"{folder}: {who} is {task} there now; wait until it has ended, or use another folder (run.name=...)"
        ) from error
    except OSError as error:
        raise _not_writable(folder, task, hint, error) from error
    try:
        write_text(owner, f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def _not_writable(folder: Path, task: str, hint: str, error: OSError) -> Exception:
    if not is_read_only(error):
        return error
    return UserError(
        f"{folder}: nothing can be written there ({error.strerror}), and {task} needs to; paths.runs=... names another"
        f" folder{hint and f', and {hint}'}"
    )


def writing_lock(folder: Path) -> Path:
    """Name the lock for results that go into a folder, also ``.``; it is the same by whatever path it is named."""
    whole = Path(os.path.realpath(folder))
    return whole.with_name(f".{whole.name}.writing.lock") if whole.name else whole / ".writing.lock"


@contextmanager
def turn(lock: Path, what: str, say: bool = True) -> Iterator[None]:
    """Wait until no other process is inside; the kernel frees the place of a process that was killed.

    For what two commands may both need, as features, and for results of which the later ones replace the earlier. Where
    nobody may write, no two can write at once: then there is no lock, and read-only data can be used.

    Args:
        lock: path of the lock's file; its folder exists.
        what: what the other process is doing, e.g. "prepares the data of tiny".
        say: print a line when it has to wait.
    """
    place = FileLock(lock)
    try:
        place.acquire(timeout=0)
    except Timeout:
        if say:
            console.print(f"another process {what}; waiting until it has ended", highlight=False, markup=False)
        place.acquire()
    except OSError as error:
        if not is_read_only(error):
            raise
    try:
        yield
    finally:
        place.release()
