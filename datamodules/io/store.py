"""A folder of objects behind a URL: ``s3://bucket/prefix``, ``file:///...``, or any protocol of fsspec.

The driver reads credentials and endpoints from the environment (``AWS_PROFILE``, ``AWS_ACCESS_KEY_ID``,
``AWS_ENDPOINT_URL`` ...); this module stores none.
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
_CHUNK = 8 << 20  # bytes per request
_EXTRAS = {"s3": "s3", "s3a": "s3"}  # protocol -> extra of this project that installs its driver
_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound")  # errors of botocore


class StorageError(MendableError, ValueError):
    """An object in a store or in its local cache is unusable; the message names the object."""


class Digest(Protocol):
    """The part of the interface of hashlib and xxhash that this module uses."""

    def update(self, data: memoryview, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far, hex."""


@dataclass(frozen=True)
class Part:
    """A part of an object with a digest of its own.

    Attributes:
        nbytes: length of the part.
        hash: creates an empty hash.
        expected: expected digest, hex.
    """

    nbytes: int
    hash: Callable[[], Digest]
    expected: str


def is_url(where: object) -> bool:
    """Return True for the URL of a store, False for a local folder."""
    return isinstance(where, str) and "://" in where


class RemoteFolder:
    """The objects below one URL. A folder may be pickled and forked: each process makes its own connection.

    Args:
        url: URL of the folder, e.g. ``s3://bucket/prefix``.

    Raises:
        StorageError: the URL's protocol is unknown, or its driver isn't installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._process = os.getpid()
        _ = self._root  # raises now if the protocol is unknown or its driver is missing

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url}

    def __setstate__(self, state: dict[str, Any]) -> None:
        RemoteFolder.__init__(self, state["url"])

    def __str__(self) -> str:
        return self.url

    def folder(self, name: str) -> RemoteFolder:
        """Return the folder ``name`` inside this one."""
        return RemoteFolder(f"{self.url}/{name}")

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each object directly in the folder, by name; empty if the folder does not exist.

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

        return self._with_retries("", listing)

    def has(self, name: str) -> bool:
        """Return True if the object exists.

        Raises:
            StorageError: the store refuses, can't be reached, or has no such bucket.
        """
        fs, root = self._connected()

        def look() -> bool:
            fs.invalidate_cache(root)
            try:
                # Not isfile(): it returns False, without an error, if the store refuses or can't be reached.
                return bool(fs.info(f"{root}/{name}")["type"] == "file")
            except FileNotFoundError as error:
                if type(error.__cause__).__name__ == "NoSuchBucket":
                    raise
                return False

        return self._with_retries(name, look)

    def read(self, name: str) -> bytes:
        """Read a whole, small object.

        Raises:
            StorageError: the object does not exist, or can't be read.
        """
        fs, root = self._connected()
        return self._with_retries(name, lambda: cast("bytes", fs.cat_file(f"{root}/{name}")))

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """Read the bytes ``start`` to ``end`` of an object.

        Raises:
            StorageError: the object does not exist, ends before ``end``, or can't be read.
        """
        fs, root = self._connected()

        def read() -> bytes:
            data = cast("bytes", fs.cat_file(f"{root}/{name}", start=start, end=end))
            if len(data) != end - start:
                raise TimeoutError(f"received {len(data)} bytes for bytes {start} to {end}")
            return data

        return self._with_retries(name, read) if end > start else b""

    def download(self, name: str, start: int, file: BinaryIO, parts: Sequence[Part]) -> None:
        """Copy consecutive parts of an object into ``file``, and check their digests.

        Args:
            name: name of the object.
            start: first byte to copy.
            file: file to write, from position 0 on.
            parts: lengths and digests of the parts, in order.

        Raises:
            StorageError: the object does not exist or can't be read, or a digest is wrong twice in a row.
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
        """Copy once; return a description of the first wrong digest, or "" if there is none."""
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
        """Copy a file to the folder; this replaces an object with the same name.

        Raises:
            StorageError: the store refuses, can't be reached, or has no such bucket.
        """
        fs, root = self._connected()
        self._with_retries(name, lambda: fs.put_file(str(path), f"{root}/{name}", mode="overwrite"))

    def remove(self, name: str) -> None:
        """Remove an object.

        Raises:
            StorageError: the store refuses, or can't be reached.
        """
        fs, root = self._connected()
        self._with_retries(name, lambda: fs.rm_file(f"{root}/{name}"))

    @cached_property
    def _root(self) -> tuple[Any, str]:
        protocol = self.url.partition("://")[0]
        try:
            # A disk needs its folders created; stores have no folders.
            fs, root = fsspec.core.url_to_fs(self.url, **({"auto_mkdir": True} if protocol == "file" else {}))
        except ImportError as error:
            extra = _EXTRAS.get(protocol)
            advice = f"pip install 'imu-video-har[{extra}]' (in the checkout: pip install '.[{extra}]')"
            raise StorageError(f"{self.url}: its driver is not installed: {advice if extra else error}") from error
        except ValueError as error:
            raise StorageError(f"{self.url}: {error}") from error
        return fs, str(root).rstrip("/")

    def _connected(self) -> tuple[Any, str]:
        if self._process != os.getpid():  # drivers use threads, which a fork does not copy
            self.__dict__.pop("_root", None)
            self._process = os.getpid()
        return self._root

    def _with_retries(self, name: str, work: Callable[[], T]) -> T:
        """Call ``work`` and return its result; retry failures that may pass."""
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
    """Return the errors that drivers raise when a store can't be read; some exist only if the driver is loaded."""
    found: list[type[BaseException]] = [OSError, EOFError, TimeoutError, asyncio.TimeoutError]
    for module, name in (
        ("botocore.exceptions", "BotoCoreError"),
        ("botocore.exceptions", "ClientError"),
        ("aiohttp", "ClientError"),
    ):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    return tuple(found)
