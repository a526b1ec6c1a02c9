"""An S3 server with shards in it, for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.made_shards import make_shards
from helpers.object_store import put, s3_server
from helpers.stored_shards import SIZES


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), SIZES)


@pytest.fixture(scope="module")
def url(store: str, local: Path) -> str:
    return put(store, local)
