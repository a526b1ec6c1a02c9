"""An S3 server on loopback, and helpers for tests of what is read from it."""

from __future__ import annotations

import fcntl
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from datamodules.io.store import RemoteFolder


@contextmanager
def s3_server() -> Iterator[str]:
    """A server with credentials and endpoint in the environment, where drivers and other processes find them."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        # fsspec keeps connections, and with them the address of an earlier server.
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        fsspec.filesystem("s3").makedirs("bucket", exist_ok=True)  # moto's servers share what they hold
        yield "s3://bucket"
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


def put(store: str, local: Path) -> str:
    """Upload the files of a folder to a new prefix; its URL."""
    folder = RemoteFolder(f"{store}/{uuid.uuid4().hex}/{local.name}")
    for path in sorted(local.iterdir()):
        folder.upload(path.name, path)
    return folder.url


def bytes_in(directory: Path) -> int:
    """What lies in a cache, while nothing is added or removed."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("wb") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        return sum(entry.stat().st_size for entry in os.scandir(directory))


def damage(url: str, name: str, at: int) -> None:
    """Flip a bit of an object."""
    content = bytearray(fsspec.filesystem("s3").cat_file(f"{url}/{name}"))
    content[at] ^= 1
    fsspec.filesystem("s3").pipe_file(f"{url}/{name}", bytes(content))
