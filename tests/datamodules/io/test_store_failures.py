"""Stores that fail, downloads that are killed, and objects that are torn or damaged."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.object_store import damage, put
from helpers.stored_shards import ROOMY, N, assert_same, everything

from datamodules.io import store as store_module
from datamodules.io.local_cache import LocalCache
from datamodules.io.store import RemoteFolder, StorageError
from datamodules.shards import remote_columns
from datamodules.shards.index import read_index
from datamodules.shards.reader import ShardSet
from datamodules.shards.remote import RemoteShardSet, open_shards
from datamodules.shards.shard_file import open_shard

ROOT = Path(__file__).parents[3]
OPEN_FAILING = """
import sys
from pathlib import Path
from datamodules.io import store as store_module
from datamodules.io.local_cache import LocalCache
from datamodules.shards.remote import open_shards
store_module._PAUSE_S = 0.0
cat_file = type(store_module.RemoteFolder(sys.argv[1])._root[0]).cat_file
def fail(self, path, start=None, end=None):
    if path.endswith(".h5"):
        raise ConnectionResetError("connection reset by peer")
    return cat_file(self, path, start, end)
type(store_module.RemoteFolder(sys.argv[1])._root[0]).cat_file = fail
try:
    open_shards(sys.argv[1], LocalCache(Path(sys.argv[2]), 10**9))
except store_module.StorageError as error:
    print(error)
    kept = error  # as a debugger, a notebook or a logger does
"""


def read_half(url: str, cache: Path, half_way: Any) -> None:
    """In another process: stop in the middle of the first shard that is fetched, and never go on."""
    store_module._CHUNK = 4096
    shards = open_shards(url, LocalCache(cache, ROOMY))
    read_range = RemoteFolder.read_range
    requests = []

    def slow(self: RemoteFolder, name: str, start: int, end: int) -> bytes:
        requests.append(name)
        if len(requests) == 3:
            half_way.set()
            threading.Event().wait()
        return read_range(self, name, start, end)

    RemoteFolder.read_range = slow  # type: ignore[method-assign]
    shards.imu(np.arange(3))


def test_killed_in_the_middle_of_a_download(url: str, local: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    half_way = context.Event()
    process = context.Process(target=read_half, args=(url, tmp_path, half_way))
    process.start()
    assert half_way.wait(120)
    assert len(list(tmp_path.glob("*.piece.part"))) == 1
    assert process.pid is not None
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [path.name.partition("-")[0] for path in tmp_path.glob("*.piece")] == ["columns"]
    here, there = ShardSet.open(local), open_shards(url, LocalCache(tmp_path, ROOMY))
    assert_same(everything(there, np.arange(N)), everything(here, np.arange(N)))
    assert not list(tmp_path.glob("*.piece.part"))


def test_a_damaged_object_is_noticed(store: str, local: Path, tmp_path: Path) -> None:
    url, entry = put(store, local), read_index(local).shards[2]
    damage(url, entry.file, entry.bytes // 2)
    shards = open_shards(url, LocalCache(tmp_path, ROOMY))
    shards.imu(np.arange(5))  # of another shard
    with pytest.raises(StorageError, match=rf"{entry.file}: digest .* twice: .*damaged"):
        shards.imu(np.array([5]))
    assert not (tmp_path / f"{entry.sha256}.piece").exists()
    assert not list(tmp_path.glob("*.piece.part"))


def test_what_was_torn_once_is_fetched_again(url: str, local: Path, tmp_path: Path, monkeypatch: Any) -> None:
    shards = open_shards(url, LocalCache(tmp_path, ROOMY))
    torn: list[str] = []
    read_range = RemoteFolder.read_range

    def tear(self: RemoteFolder, name: str, start: int, end: int) -> bytes:
        data = read_range(self, name, start, end)
        if not torn:
            torn.append(name)
            return bytes(len(data))
        return data

    monkeypatch.setattr(RemoteFolder, "read_range", tear)
    assert_same(everything(shards, np.arange(3)), everything(ShardSet.open(local), np.arange(3)))
    assert torn


def test_a_store_that_fails_is_asked_again(local: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(store_module, "_PAUSE_S", 0.0)
    shards = open_shards(f"file://{local}", LocalCache(tmp_path, ROOMY))
    assert isinstance(shards, RemoteShardSet)
    fs, _ = shards.folder._root
    cat_file, failures = fs.cat_file, [3]

    def fail(path: str, start: int | None = None, end: int | None = None) -> bytes:
        failures[0] -= 1
        if failures[0] >= 0:
            raise ConnectionResetError("connection reset by peer")
        return bytes(cat_file(path, start, end))

    monkeypatch.setattr(fs, "cat_file", fail)
    assert_same(everything(shards, np.arange(3)), everything(ShardSet.open(local), np.arange(3)))
    failures[0] = 10**6
    with pytest.raises(StorageError, match=r"windows-00002-00.h5: 4 attempts failed, .*connection reset by peer"):
        shards.imu(np.array([5]))


def test_columns_of_a_store_that_fails_are_asked_for_again(local: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(store_module, "_PAUSE_S", 0.0)
    fs, _ = RemoteFolder(f"file://{local}")._root
    cat_file, failures = fs.cat_file, [3]

    def fail(path: str, start: int | None = None, end: int | None = None) -> bytes:
        if path.endswith(".h5"):
            failures[0] -= 1
            if failures[0] >= 0:
                raise ConnectionResetError("connection reset by peer")
        return bytes(cat_file(path, start, end))

    monkeypatch.setattr(fs, "cat_file", fail)
    there = open_shards(f"file://{local}", LocalCache(tmp_path / "a", ROOMY))
    np.testing.assert_array_equal(there.start_s, ShardSet.open(local).start_s)
    for failures[0] in (10**6, 4):  # all requests fail, or all attempts of the first one
        with pytest.raises(StorageError, match=r"windows-0000.-00.h5: 4 attempts failed, .*connection reset by peer"):
            open_shards(f"file://{local}", LocalCache(tmp_path / "b", ROOMY))
        monkeypatch.setattr(remote_columns, "_CONNECTIONS", 1)
    assert not list((tmp_path / "b").glob("*.piece"))


def test_a_process_that_met_a_store_that_fails_ends_as_others_do(local: Path, tmp_path: Path) -> None:
    """HDF5 frees what it holds after the interpreter has ended, and crashed (SIGSEGV) when that was a Python file."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN_FAILING, f"file://{local}", str(tmp_path / "cache")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "connection reset by peer" in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr


def test_labels_read_from_a_damaged_object_do_not_outlive_it(local: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(local, store)
    entry = read_index(local).shards[0]
    whole = (store / entry.file).read_bytes()
    content = bytearray(whole)
    content[open_shard(local / entry.file).places["start_s"].offset + 6] ^= 1
    (store / entry.file).write_bytes(content)
    shards = open_shards(f"file://{store}", LocalCache(tmp_path / "cache", ROOMY))
    assert not np.array_equal(shards.start_s, ShardSet.open(local).start_s)
    (store / entry.file).write_bytes(whole)  # mended, but what was read before is still in the cache
    later = open_shards(f"file://{store}", LocalCache(tmp_path / "cache", ROOMY))
    for wrong in (shards, later):
        with pytest.raises(
            StorageError, match=rf"{entry.file}: 'start_s' differs from its copy in .*columns-.*; delete the copy"
        ):
            wrong.imu(np.arange(3))
    (kept,) = (tmp_path / "cache").glob("columns-*")
    kept.unlink()
    right, here = open_shards(f"file://{store}", LocalCache(tmp_path / "cache", ROOMY)), ShardSet.open(local)
    assert_same([*everything(right, np.arange(N)), right.start_s], [*everything(here, np.arange(N)), here.start_s])
