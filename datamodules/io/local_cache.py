"""A folder of files that were fetched from elsewhere, with a limit, shared by all processes of a machine.

How it holds together, without a server and whoever is killed when:

- A file is locked (``flock``) as long as somebody uses it: shared while it is mapped, exclusively while it is written.
  The kernel lets go of the locks of a process that dies.
- A file is written under the name ``*.piece.part``, which takes its full length at once, so that its room is counted
  from the start; it gets its name when its content was checked and is on the disk.
- Room is made, one process at a time, by removing the least recently used of the files that can be locked
  exclusively, so never one that is mapped. A ``*.piece.part`` that can be locked belonged to somebody who was killed.

The folder has to be on a disk of the machine: ``flock`` over network file systems differs from one to the next.
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

from datamodules.io.prefetch import Piece, Prefetch
from datamodules.io.store import StorageError

_WHOLE, _PART = ".piece", ".piece.part"  # nothing else in the folder is ever touched
_GUARD = ".lock"
_LOOK_AGAIN_S = 0.05
GB = 10**9


class Mapped:
    """A file of the cache, mapped into memory; it stays in the cache until this and all its arrays are gone."""

    def __init__(self, file: int, path: str) -> None:
        self.path = path
        # The map has its own descriptor of the same open file, and with it the lock.
        self._map: mmap.mmap | None = mmap.mmap(file, 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        """Bytes."""
        return 0 if self._map is None else len(self._map)

    def array(self, dtype: str, shape: tuple[int, ...], offset: int = 0) -> NDArray[Any]:
        """The read-only array that begins at byte ``offset``."""
        if 0 in shape:
            return np.zeros(shape, dtype)
        assert self._map is not None
        return np.frombuffer(self._map, dtype, math.prod(shape), offset).reshape(shape)

    def close(self) -> None:
        """Let go; arrays that are still in use keep the file until they are gone."""
        self._map = None


class LocalCache:
    """Files of up to ``limit`` bytes together.

    Args:
        directory: made when it is first used.
        limit: bytes; what lies in the folder, being written included, is never more.
        patience_s: how long to wait for room that others use, before that is an error.
    """

    def __init__(self, directory: str | Path, limit: int, patience_s: float = 600.0) -> None:
        self.directory = Path(directory)
        self.limit = int(limit)
        self.patience_s = patience_s
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return {"directory": self.directory, "limit": self.limit, "patience_s": self.patience_s}

    def __setstate__(self, state: dict[str, Any]) -> None:
        LocalCache.__init__(self, **state)

    def _forget(self) -> None:
        self._process = os.getpid()
        self._prefetch = Prefetch(self._bring, self.limit // 2)

    @property
    def prefetch(self) -> Prefetch:
        """Fetches ahead of need, in threads of this process; for half of the limit."""
        if self._process != os.getpid():
            self._forget()
        return self._prefetch

    def check_fits(self, nbytes: int, what: str) -> None:
        """Say at once that a piece can never be read.

        Raises:
            StorageError: it is larger than the limit.
        """
        if nbytes > self.limit:
            raise StorageError(
                f"{what} has {nbytes / GB:.3g} GB, but the cache in {self.directory} may hold {self.limit / GB:.3g} GB:"
                " raise paths.cache_gb, to several times as much"
            )

    @contextmanager
    def pinned(self, piece: Piece) -> Iterator[Mapped]:
        """The piece, fetched if need be, mapped for as long as the block lasts."""
        mapped = self.open(piece)
        try:
            yield mapped
        finally:
            mapped.close()

    def open(self, piece: Piece) -> Mapped:
        """The piece, fetched if need be; it stays in the cache until the map is closed.

        Raises:
            StorageError: it can't be fetched, is larger than the limit, or there was no room within ``patience_s``.
        """
        self.prefetch.needed(piece)
        try:
            while True:
                if mapped := self._map(piece.name, piece.nbytes):
                    return mapped
                self._fetch(piece)
        except OSError as error:
            raise StorageError(f"{self.directory}: the cache can't be used: {error}") from error

    def has(self, piece: Piece) -> bool:
        """Whether it is there at this moment."""
        return os.access(f"{self.directory}/{piece.name}{_WHOLE}", os.F_OK)

    def hurry(self, pieces: Sequence[Piece]) -> None:
        """Fetch those that are missing side by side; they are going to be opened one after the other."""
        missing = [piece for piece in pieces if not self.has(piece)]
        if len(missing) > 1:
            self.prefetch.expect(missing, next_up=True)

    def find(self, name: str) -> Mapped | None:
        """A piece of this name, whatever its length, if it is there; it stays as with :meth:`open`.

        Raises:
            StorageError: the folder can't be used.
        """
        try:
            return self._map(name, None)
        except OSError as error:
            raise StorageError(f"{self.directory}: the cache can't be used: {error}") from error

    def _bring(self, piece: Piece) -> None:
        """For the prefetch: see that the piece is there, as one that was just used."""
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
            file = os.open(path, os.O_RDONLY)  # a file object would take as long as all the rest
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
        """Get the piece, or wait for whoever is getting it; afterwards it is there, or was."""
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
                time.sleep(_LOOK_AGAIN_S)
                continue
            with file:
                try:
                    piece.fill(file)
                    file.flush()
                    os.fsync(file.fileno())
                    with self._guarded():  # whoever counts the files meets this one under one name
                        part.rename(path)
                finally:
                    part.unlink(missing_ok=True)
                    _unlock(file)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """One process at a time begins and removes files."""
        with (self.directory / _GUARD).open("wb") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            try:
                yield
            finally:
                _unlock(guard)

    def _reserve(self, file: BinaryIO, part: Path, nbytes: int) -> bool:
        """Give a new file its full length, or take it away again where there is no room for it."""
        if self._make_room(nbytes, part):
            os.ftruncate(file.fileno(), nbytes)
            return True
        part.unlink()
        file.close()
        return False

    def _make_room(self, nbytes: int, besides: Path) -> bool:
        """Remove files, the least recently used first, until so many bytes are free; False where that can't be."""
        files: list[tuple[int, int, Path]] = []
        for path in self.directory.iterdir():
            if path != besides and path.name.endswith((_WHOLE, _PART)):
                with suppress(FileNotFoundError):  # whoever wrote it gave up
                    status = path.stat()
                    files.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if (total + nbytes > self.limit or path.name.endswith(_PART)) and _removed(path):
                total -= size
        return total + nbytes <= self.limit


def _begin(part: Path, path: Path) -> BinaryIO | None:
    """The file of that name, locked, or None if another process writes it, or has just done so."""
    if path.exists():  # nor can it appear now: files are renamed under the guard
        return None
    file = os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    if _try_lock(file) and _is_at(file, part):
        return file
    file.close()
    return None


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether the path still names this open file."""
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
    """Closing alone would not do where a process that was forked meanwhile has the same file open."""
    fcntl.flock(file, fcntl.LOCK_UN)


def _removed(path: Path) -> bool:
    """Remove a file that nobody uses."""
    try:
        with path.open("rb") as file:
            if not (_try_lock(file) and _is_at(file, path)):
                return False
            path.unlink()
            return True
    except FileNotFoundError:
        return False
