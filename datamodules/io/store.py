"""A folder of objects behind a URL: ``s3://bucket/prefix``, ``file:///...``, or whatever else fsspec has a driver for.

Credentials and endpoints are the environment's, as the driver reads them (``AWS_PROFILE``, ``AWS_ACCESS_KEY_ID``,
``AWS_ENDPOINT_URL`` ...); none are kept here.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar, cast

import fsspec

from core.errors import MendableError

T = TypeVar("T")

_ATTEMPTS = 4
_PAUSE_S = 0.2  # before the second attempt; doubled for each further one
_CHUNK = 8 << 20  # bytes a request
_EXTRAS = {"s3": "s3", "s3a": "s3"}  # protocol -> extra of this project that brings its driver
_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound")  # botocore's


class StorageError(MendableError, ValueError):
    """Something in a store or in its local cache that can't be used; the message names the object."""


class Digest(Protocol):
    """What is needed of a hash, of hashlib or xxhash."""

    def update(self, data: memoryview, /) -> None:
        """Take these bytes in."""

    def hexdigest(self) -> str:
        """The digest so far, hex."""


@dataclass(frozen=True)
class Part:
    """Bytes of an object that were hashed together.

    Attributes:
        nbytes: how many.
        hash: makes a fresh hash.
        expected: what it comes to, hex.
    """

    nbytes: int
    hash: Callable[[], Digest]
    expected: str


def is_url(where: object) -> bool:
    """Whether this names a store and not a folder of this machine."""
    return isinstance(where, str) and "://" in where


class RemoteFolder:
    """Objects below one URL. It may be pickled and forked: the connection is made in each process.

    Args:
        url: of the folder, e.g. ``s3://bucket/prefix``.

    Raises:
        StorageError: the URL's protocol is unknown, or its driver isn't installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._process = os.getpid()
        _ = self._root  # an unknown protocol, or a missing driver, is told now

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        RemoteFolder.__init__(self, state["url"])

    def __str__(self) -> str:
        return self.url

    def folder(self, name: str) -> RemoteFolder:
        """The folder ``name`` in it."""
        return RemoteFolder(f"{self.url}/{name}")

    def sizes(self) -> dict[str, int]:
        """Bytes of each object that lies directly in the folder, by name; empty where there is no such folder.

        Raises:
            StorageError: the store refuses, or can't be reached.
        """
        fs, root = self._connected()

        def listing() -> dict[str, int]:
            fs.invalidate_cache(root)
            try:
                entries = fs.ls(root, detail=True)
            except FileNotFoundError:
                return {}
            return {
                e["name"].rstrip("/").rpartition("/")[2]: int(e["size"] or 0) for e in entries if e["type"] == "file"
            }

        return self._tried("", listing)

    def has(self, name: str) -> bool:
        """Whether there is such an object.

        Raises:
            StorageError: the store refuses, can't be reached, or has no such bucket.
        """
        fs, root = self._connected()

        def look() -> bool:
            fs.invalidate_cache(root)
            try:
                # Not isfile(), which takes a store that refuses, or can't be reached, for one without the object.
                return bool(fs.info(f"{root}/{name}")["type"] == "file")
            except FileNotFoundError as error:
                if type(error.__cause__).__name__ == "NoSuchBucket":
                    raise
                return False

        return self._tried(name, look)

    def read(self, name: str) -> bytes:
        """A whole, small object.

        Raises:
            StorageError: it is not there, or can't be read.
        """
        fs, root = self._connected()
        return self._tried(name, lambda: cast("bytes", fs.cat_file(f"{root}/{name}")))

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """Bytes ``start`` to ``end`` of an object, all of them.

        Raises:
            StorageError: it is not there or ends before, or can't be read.
        """
        fs, root = self._connected()

        def read() -> bytes:
            data = cast("bytes", fs.cat_file(f"{root}/{name}", start=start, end=end))
            if len(data) != end - start:
                raise TimeoutError(f"{len(data)} bytes came for {start} to {end}")
            return data

        return self._tried(name, read) if end > start else b""

    def download(self, name: str, start: int, file: BinaryIO, parts: Sequence[Part]) -> None:
        """Copy a stretch of an object into ``file``, from its beginning, and check it.

        Args:
            name: of the object.
            start: its first byte that is copied.
            file: is written from position 0 on.
            parts: what is copied, in order, with the digest of each part.

        Raises:
            StorageError: the object is not there, can't be read, or, twice in a row, is not what was expected.
        """
        wrong = ""
        for _ in range(2):
            file.seek(0)
            if not (wrong := self._copy(name, start, file, parts)):
                return
        raise StorageError(
            f"{self.url}/{name}: {wrong}, twice: the object is damaged, or was replaced since the index was written;"
            " upload it again"
        )

    def _copy(self, name: str, start: int, file: BinaryIO, parts: Sequence[Part]) -> str:
        """Copy; what is wrong with the content, or nothing."""
        end = start + sum(part.nbytes for part in parts)
        data, at = memoryview(b""), start
        for part in parts:
            digest, missing = part.hash(), part.nbytes
            while missing:
                if not data:
                    data = memoryview(self.read_range(name, at, min(at + _CHUNK, end)))
                    at += len(data)
                    file.write(data)
                digest.update(data[:missing])
                data, missing = data[missing:], max(0, missing - len(data))
            if digest.hexdigest() != part.expected:
                return f"digest {digest.hexdigest()[:16]}..., expected {part.expected[:16]}..."
        return ""

    def upload(self, name: str, path: Path) -> None:
        """Copy a file there; an object of that name is replaced.

        Raises:
            StorageError: the store refuses, can't be reached, or has no such bucket.
        """
        fs, root = self._connected()
        self._tried(name, lambda: fs.put_file(str(path), f"{root}/{name}", mode="overwrite"))

    def remove(self, name: str) -> None:
        """Remove an object.

        Raises:
            StorageError: the store refuses, or can't be reached.
        """
        fs, root = self._connected()
        self._tried(name, lambda: fs.rm_file(f"{root}/{name}"))

    @cached_property
    def _root(self) -> tuple[Any, str]:
        protocol = self.url.partition("://")[0]
        try:
            # Stores have no folders that would have to be made; a disk has.
            fs, root = fsspec.core.url_to_fs(self.url, **({"auto_mkdir": True} if protocol == "file" else {}))
        except ImportError as error:
            extra = _EXTRAS.get(protocol)
            advice = f"pip install 'imu-video-har[{extra}]' (in the checkout: pip install '.[{extra}]')"
            raise StorageError(f"{self.url}: its driver is not installed: {advice if extra else error}") from error
        except ValueError as error:
            raise StorageError(f"{self.url}: {error}") from error
        return fs, str(root).rstrip("/")

    def _connected(self) -> tuple[Any, str]:
        if self._process != os.getpid():  # drivers keep threads, which a fork doesn't take along
            self.__dict__.pop("_root", None)
            self._process = os.getpid()
        return self._root

    def _tried(self, name: str, work: Callable[[], T]) -> T:
        """What ``work`` gives, tried again where that may help."""
        where = f"{self.url}/{name}" if name else self.url
        pause = _PAUSE_S
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return work()
            except _failures() as error:
                said = str(error) or type(error).__name__
                if type(error).__name__ in _CREDENTIALS:
                    raise StorageError(
                        f"{where}: no credentials: {said}; the driver takes them from the environment, e.g."
                        " AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    ) from error
                if isinstance(error, FileNotFoundError):
                    raise StorageError(f"{where}: no such bucket or object: {said}") from error
                if isinstance(error, PermissionError):
                    raise StorageError(f"{where}: the store refuses access: {said}") from error
                if attempt == _ATTEMPTS:
                    raise StorageError(f"{where}: {_ATTEMPTS} attempts failed, the last one with: {said}") from error
                time.sleep(pause)
                pause *= 2
        raise AssertionError("unreachable")


def _failures() -> tuple[type[BaseException], ...]:
    """What drivers raise when a store can't be read. Some of it is of packages that are there only with the driver."""
    found: list[type[BaseException]] = [OSError, EOFError, TimeoutError, asyncio.TimeoutError]
    for module, name in (
        ("botocore.exceptions", "BotoCoreError"),
        ("botocore.exceptions", "ClientError"),
        ("aiohttp", "ClientError"),
    ):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)
