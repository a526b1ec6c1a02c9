"""A local cache of fetched files: one folder with a size limit, shared by all processes of a machine.

The cache needs no server and survives the death of any process at any moment:

- A process locks a file (``flock``) while it uses the file: shared while the file is mapped, exclusively while it is
  written. The kernel releases the locks of a process that dies.
- A file is written under the name ``*.piece.part``. It has its full length from the start, so that its room is
  counted. It gets its final name after its content was checked and is on the disk.
- One process at a time makes room: it removes the least recently used files among those that it can lock exclusively,
  so never a mapped one. A ``*.piece.part`` that can be locked was left by a process that died.

The folder must be on a local disk: the behaviour of ``flock`` differs between network file systems.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from core.room import NoSpaceError, reserve
from datamodules.io.prefetch import Piece, Prefetch
from datamodules.io.store import StorageError

_WHOLE, _PART = ".piece", ".piece.part"  # the cache never touches other files in the folder
_GUARD = ".lock"
_POLL_S = 0.05
GB = 10**9


class Mapped:
    """A mapped file of the cache; the file stays in the cache until the map and all arrays of it are gone."""

    def __init__(self, file: int, path: str) -> None:
        self.path = path
        # The map has its own descriptor of the same open file, and with it the lock.
        self._map: mmap.mmap | None = mmap.mmap(file, 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        """Return the length in bytes."""
        return 0 if self._map is None else len(self._map)

    def array(self, dtype: str, shape: tuple[int, ...], offset: int = 0) -> NDArray[Any]:
        """Return the read-only array that begins at byte ``offset``."""
        if 0 in shape:
            return np.zeros(shape, dtype)
        assert self._map is not None
        return np.frombuffer(self._map, dtype, math.prod(shape), offset).reshape(shape)

    def close(self) -> None:
        """Release the file; arrays in use keep the file until they are gone."""
        self._map = None


class LocalCache:
    """A folder of files with at most ``limit`` bytes in total.

    Args:
        directory: the folder; it is created at its first use.
        limit: most bytes in the folder, including files that are being written.
        patience_s: longest wait for room that other processes use, seconds; then :meth:`open` fails.
    """

    def __init__(self, directory: str | Path, limit: int, patience_s: float = 600.0) -> None:
        self.directory = Path(directory)
        self.limit = int(limit)
        self.patience_s = patience_s
        self._reset()

    def __getstate__(self) -> dict[str, Any]:
        return {"directory": self.directory, "limit": self.limit, "patience_s": self.patience_s}

    def __setstate__(self, state: dict[str, Any]) -> None:
        LocalCache.__init__(self, **state)

    def _reset(self) -> None:
        """Create the state of this process."""
        self._process = os.getpid()
        self._prefetch = Prefetch(self._fetch_ahead, self.limit // 2)

    @property
    def prefetch(self) -> Prefetch:
        """Queue that fetches ahead in threads of this process; it may use half of the limit."""
        if self._process != os.getpid():
            self._reset()
        return self._prefetch

    def check_fits(self, nbytes: int, what: str) -> None:
        """Check that a piece can ever fit into the cache.

        Raises:
            StorageError: the piece is larger than the limit.
        """
        if nbytes > self.limit:
            raise StorageError(
                f"{what} has {nbytes / GB:.3g} GB, but the cache in {self.directory} may hold {self.limit / GB:.3g} GB:"
                " raise paths.cache_gb, to several times as much"
            )

    @contextmanager
    def pinned(self, piece: Piece) -> Iterator[Mapped]:
        """Map the piece inside the block; fetch it if it is missing."""
        mapped = self.open(piece)
        try:
            yield mapped
        finally:
            mapped.close()

    def open(self, piece: Piece) -> Mapped:
        """Map the piece, and fetch it if it is missing; it stays in the cache until the map is closed.

        Raises:
            StorageError: the piece can't be fetched or is larger than the limit, or there was no room within
                ``patience_s``.
        """
        self.prefetch.mark_used(piece)
        try:
            while True:
                if mapped := self._map(piece.name, piece.nbytes):
                    return mapped
                self._fetch(piece)
        except OSError as error:
            raise StorageError(f"{self.directory}: the cache can't be used: {error}") from error

    def has(self, piece: Piece) -> bool:
        """Return True if the piece is in the cache at this moment."""
        return os.access(f"{self.directory}/{piece.name}{_WHOLE}", os.F_OK)

    def hurry(self, pieces: Sequence[Piece]) -> None:
        """Start to fetch all missing pieces in parallel; the caller then opens them one after another."""
        missing = [piece for piece in pieces if not self.has(piece)]
        if len(missing) > 1:
            self.prefetch.expect(missing, next_up=True)

    def find(self, name: str) -> Mapped | None:
        """Map the piece with this name, of any length, as :meth:`open` does; None if it is not in the cache.

        Raises:
            StorageError: the folder can't be used.
        """
        try:
            return self._map(name, None)
        except OSError as error:
            raise StorageError(f"{self.directory}: the cache can't be used: {error}") from error

    def _fetch_ahead(self, piece: Piece) -> None:
        """Fetch the piece for the prefetch queue; if it is there, mark it as just used."""
        try:
            path = self.directory / f"{piece.name}{_WHOLE}"
            with suppress(FileNotFoundError):
                os.utime(path, ns=(time.time_ns(),) * 2)
                return
            self._fetch(piece)
        except OSError as error:
            raise StorageError(f"{self.directory}: the cache can't be used: {error}") from error

    def _map(self, name: str, nbytes: int | None) -> Mapped | None:
        path = f"{self.directory}/{name}{_WHOLE}"
        try:
            file = os.open(path, os.O_RDONLY)  # creating a file object would take as long as the rest of this method
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH)
            status = os.fstat(file)
            if status.st_nlink == 0:  # removed between opening and locking
                return None
            if nbytes is not None and status.st_size != nbytes:  # damaged after it was checked
                Path(path).unlink(missing_ok=True)
                return None
            os.utime(file, ns=(time.time_ns(),) * 2)
            return Mapped(file, path)
        finally:
            os.close(file)

    def _fetch(self, piece: Piece) -> None:
        """Fetch the piece, or wait while another process fetches it.

        Afterwards the piece is in the cache, unless it was removed again already.
        """
        self.check_fits(piece.nbytes, piece.name)
        self.directory.mkdir(parents=True, exist_ok=True)
        part, path = self.directory / f"{piece.name}{_PART}", self.directory / f"{piece.name}{_WHOLE}"
        deadline = time.monotonic() + self.patience_s
        while not path.exists():
            with self._guarded():
                file = _begin(part, path)
                full = file is not None and not self._reserve(file, part, piece.nbytes)
            if file is None or full:
                if full and time.monotonic() > deadline:
                    raise StorageError(
                        f"{self.directory}: no room for {piece.name} ({piece.nbytes / GB:.3g} GB) within"
                        f" {self.patience_s:g} s: the {self.limit / GB:.3g} GB are all in use; raise paths.cache_gb"
                    )
                time.sleep(_POLL_S)
                continue
            with file:
                try:
                    piece.fill(file)
                    file.flush()
                    os.fsync(file.fileno())
                    with self._guarded():  # a process that counts files must not see this one under both names
                        part.rename(path)
                finally:
                    part.unlink(missing_ok=True)
                    _unlock(file)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Let one process at a time create, rename and remove files."""
        with (self.directory / _GUARD).open("wb") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            try:
                yield
            finally:
                _unlock(guard)

    def _reserve(self, file: BinaryIO, part: Path, nbytes: int) -> bool:
        """Give a new file its full length, or remove it and return False if there is no room."""
        if self._make_room(nbytes, part):
            try:
                reserve(file.fileno(), nbytes, part)
            except NoSpaceError:
                part.unlink()
                file.close()
                raise
            return True
        part.unlink()
        file.close()
        return False

    def _make_room(self, nbytes: int, new: Path) -> bool:
        """Remove the least recently used files until ``nbytes`` are free for ``new``; return False if impossible."""
        files: list[tuple[int, int, Path]] = []
        for path in self.directory.iterdir():
            if path != new and path.name.endswith((_WHOLE, _PART)):
                with suppress(FileNotFoundError):  # its writer failed and removed it
                    status = path.stat()
                    files.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if (total + nbytes > self.limit or path.name.endswith(_PART)) and _remove_unused(path):
                total -= size
        return total + nbytes <= self.limit


def _begin(part: Path, path: Path) -> BinaryIO | None:
    """Create and lock the part file; return None if another process writes the file or has just written it."""
    if path.exists():  # it can't appear later either: files are renamed under the guard
        return None
    file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    if _try_lock(file) and _is_at(file, part):
        return file
    file.close()
    return None


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Return True if the path still names this open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _try_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: BinaryIO) -> None:
    """Release a lock. Closing the file would keep the lock if a forked process has the same file open."""
    fcntl.flock(file, fcntl.LOCK_UN)


def _remove_unused(path: Path) -> bool:
    """Remove a file unless a process uses it; return True if the file was removed."""
    try:
        with path.open("rb") as file:
            if not (_try_lock(file) and _is_at(file, path)):
                return False
            path.unlink()
            return True
    except FileNotFoundError:
        return False
