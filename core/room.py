"""Room on disks and open files: reserved before it is used, and one sentence where there is none."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import MendableError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TOO_MANY = (errno.EMFILE, errno.ENFILE)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
_NO_SEMAPHORE = (errno.ENOENT, errno.ENOSYS, errno.EACCES)
_SHARED = Path("/dev/shm")
_NOTHING = 1 << 16  # bytes; a file system with less is full to a writer, which rounds up to pages and blocks


class NoSpaceError(MendableError, OSError):
    """A file had no room; the message names it, what it needs, and what is free.

    It is an ``OSError``, too, with the number of "no space left on device".
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(number, message)
        self.message = message

    def __str__(self) -> str:
        """Return the sentence without the number."""
        return self.message


def reserve(file: int, nbytes: int, path: Path) -> None:
    """Give a file its length, and the disk blocks for it, before anything is written through a map.

    A map over blocks that are missing ends in SIGBUS, which no program can answer. Where the file system can't reserve,
    the free space is compared instead.

    Args:
        file: descriptor, open for writing.
        nbytes: length of the file from now on.
        path: of the file, for the message.

    Raises:
        NoSpaceError: the file system has less room; the file has the length that it had.
    """
    before = os.fstat(file)
    if not nbytes:
        return
    try:
        if not hasattr(os, "posix_fallocate"):  # macOS
            raise OSError(errno.ENOSYS, "this system can't reserve")
        os.posix_fallocate(file, 0, nbytes)
    except OSError as error:
        if error.errno in _FULL:
            os.ftruncate(file, before.st_size)
            raise no_space(path, error.errno, nbytes) from error
        if error.errno not in _CANNOT_RESERVE:
            raise
        if nbytes - before.st_blocks * 512 > _free(path):
            raise no_space(path, errno.ENOSPC, nbytes) from error
        os.ftruncate(file, max(nbytes, before.st_size))


def check_room(path: Path, nbytes: int) -> None:
    """Compare what a file will need with what is free, for writers that end badly on a full disk.

    Raises:
        NoSpaceError: less is free.
    """
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if most != resource.RLIM_INFINITY and nbytes > most:
        raise no_space(path, errno.EFBIG, nbytes)
    if nbytes > _free(path):
        raise no_space(path, errno.ENOSPC, nbytes)


@contextmanager
def naming_the_path(path: Path, needed: int | None = None) -> Iterator[None]:
    """Let a full disk in the block end in a :class:`NoSpaceError` that names ``path``, whichever library wrote.

    Args:
        path: that is written.
        needed: bytes that it needs, where that is known.
    """
    try:
        yield
    except NoSpaceError:
        raise
    except Exception as error:
        if (number := _full_number(error, path)) is None:
            raise
        raise no_space(path, number, needed) from error


def no_space(path: Path, number: int = errno.ENOSPC, needed: int | None = None) -> NoSpaceError:
    """Make the error that says what ``path`` needs and what is free."""
    need = f"it needs {_mb(needed)}" if needed is not None else "it needs more"
    if number == errno.EFBIG:
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        allowed = "the file system" if most == resource.RLIM_INFINITY else f"the limit of {_mb(most)} (ulimit -f)"
        return NoSpaceError(number, f"{path}: {need}, more than {allowed} allows in a file")
    return NoSpaceError(
        number,
        f"{path}: no space left: {need}, and {_mb(_free(path))} are free there;"
        " make room, and the same command goes on",
    )


def advice(error: OSError) -> str:
    """Say what an error of the system asks for: a command prints this in place of the error.

    Args:
        error: of any kind; one that has no advice is returned as its own words.
    """
    if isinstance(error, NoSpaceError):
        return str(error)
    if error.errno in _TOO_MANY or _says(error, errno.EMFILE):
        return f"{error.filename or 'a file'} can't be opened: {too_many_files()}"
    if error.errno in _FULL:
        path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else Path.cwd()
        return str(no_space(path, error.errno or errno.ENOSPC))
    if error.errno == errno.EAGAIN and error.filename is None:  # of fork
        return no_processes()
    if error.errno in _NO_SEMAPHORE and error.filename is None and sys.platform == "linux" and not _SHARED.is_dir():
        return f"{_SHARED}: not there; worker processes need it: mount it, or use none (--workers 1, build.workers=1)"
    return str(error)


def no_processes() -> str:
    """Say that this user can start no more processes or threads, and how that is changed."""
    soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    limit = "the machine's limit" if soft == resource.RLIM_INFINITY else f"the limit of {soft} (ulimit -u)"
    return f"no further process or thread could be started: {limit} is reached; end others, or raise it"


def out_of_threads(error: BaseException) -> bool:
    """Say whether an error, or what it came from, is a thread that could not be started."""
    return any(isinstance(seen, RuntimeError) and "can't start new thread" in str(seen) for seen in _causes(error))


def too_many_files() -> str:
    """Say how many files this process may hold open, and how that is changed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = "" if hard == resource.RLIM_INFINITY else f" (at most {hard} here)"
    return f"this process may hold {soft} files open at once, and needs more: raise it with ulimit -n{most}"


def is_read_only(error: OSError) -> bool:
    """Say whether an error means that nothing may be written there: a medium or a folder without the right."""
    return error.errno in _READ_ONLY


def out_of_files(error: BaseException) -> bool:
    """Say whether an error, or what it came from, is a lack of descriptors: it says nothing about the file.

    Libraries in C wrap it in errors of their own, which look like those of a damaged file.
    """
    return any(
        (isinstance(seen, OSError) and seen.errno in _TOO_MANY) or _says(seen, errno.EMFILE) for seen in _causes(error)
    )


def _full_number(error: Exception, path: Path) -> int | None:
    """Return the number of the error, or of what it came from, if it is of a full disk; or None."""
    for seen in _causes(error):  # torch's own error follows the system's
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return seen.errno
    if isinstance(error, OSError) and error.errno is not None:
        return None
    for number in _FULL:
        if _says(error, number):
            return number
    # torch and HDF5 say only that writing failed.
    return errno.ENOSPC if isinstance(error, OSError | RuntimeError) and _free(path) < _NOTHING else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came from."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _says(error: BaseException, number: int) -> bool:
    return os.strerror(number) in str(error)


def _free(path: Path) -> int:
    """Bytes that this user may still write beside ``path``."""
    folder = path if path.is_dir() else path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _mb(nbytes: int) -> str:
    return f"{nbytes / 1e6:,.1f} MB" if nbytes >= 50_000 else f"{nbytes:,} bytes"
