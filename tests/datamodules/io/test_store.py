"""Shards and features in a real S3 server: the same batches, within bounds, whoever is killed and whatever is torn."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from helpers.made_shards import make_shards
from helpers.object_store import bytes_in, damage, put, s3_server

from datamodules.io import store as store_module
from datamodules.io.local_cache import LocalCache
from datamodules.io.store import RemoteFolder, StorageError
from datamodules.sampling.loader import BatchLoader
from datamodules.sampling.order import BatchPlan, Order, WindowOrder
from datamodules.sampling.shard_order import ShardOrder
from datamodules.shards import remote_columns
from datamodules.shards.index import read_index
from datamodules.shards.layout import ShardError
from datamodules.shards.reader import ShardSet
from datamodules.shards.remote import RemoteShardSet, open_shards
from datamodules.shards.shard_file import open_shard
from datamodules.windows.cut import WindowSettings

SIZES = [5, 0, 7, 6, 9, 4, 8, 6]
N = sum(SIZES)
ROOMY = 10**9
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


def largest(local: Path) -> int:
    return max(entry.bytes for entry in read_index(local).shards)


def table_bytes(url: str, cache: Path) -> int:
    """What the table of the windows takes in a cache."""
    open_shards(url, LocalCache(cache, ROOMY))
    return bytes_in(cache)


def everything(shards: ShardSet, windows: np.ndarray) -> list[Any]:
    return [*shards.imu(windows), *shards.frame_times(windows), shards.frames(windows)]


def assert_same(found: list[Any], expected: list[Any]) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_are_those_of_local_shards(url: str, local: Path, tmp_path: Path) -> None:
    here, there = ShardSet.open(local), open_shards(url, LocalCache(tmp_path, ROOMY))
    assert isinstance(there, RemoteShardSet)
    assert (there.n_windows, there.settings, there.fingerprint) == (N, here.settings, here.fingerprint)
    for name, column in here.table.items():
        np.testing.assert_array_equal(there.table[name], column)
        assert there.table[name].dtype == column.dtype
    np.testing.assert_array_equal(there.codes("subject"), here.codes("subject"))
    np.testing.assert_array_equal(there.start_s, here.start_s)
    rng = np.random.default_rng(0)
    for windows in (np.arange(N), np.array([], np.int64), np.array([3]), rng.integers(0, N, 64)):
        assert_same(everything(there, windows), everything(here, windows))
    copy = pickle.loads(pickle.dumps(there))
    assert_same(everything(copy, np.arange(N)), everything(here, np.arange(N)))
    with pytest.raises(IndexError, match="s3://"):
        there.imu(np.array([N]))


def test_labels_are_read_without_fetching_shards(url: str, local: Path, tmp_path: Path) -> None:
    shards = open_shards(url, LocalCache(tmp_path, ROOMY))
    _ = shards.table, shards.start_s, shards.codes("recording"), shards.frame_times(np.arange(N))
    assert [path.name.partition("-")[0] for path in tmp_path.glob("*.piece")] == ["columns"]
    # They are asked for once: what is kept is read by the next process.
    (kept,) = tmp_path.glob("*.piece")
    written = kept.stat().st_ctime_ns, kept.stat().st_ino
    open_shards(url, LocalCache(tmp_path, ROOMY))
    assert kept.stat().st_ino == written[1]


@pytest.mark.parametrize("order", [ShardOrder(tuple(SIZES), 1, pool=12), WindowOrder(N, 1)])
def test_more_data_than_the_cache_holds(url: str, local: Path, tmp_path: Path, order: Order, monkeypatch: Any) -> None:
    fetched: list[str] = []
    download = RemoteFolder.download

    def counted(self: RemoteFolder, name: str, start: int, file: Any, parts: Any) -> None:
        fetched.append(name)
        download(self, name, start, file, parts)

    monkeypatch.setattr(RemoteFolder, "download", counted)
    limit = table_bytes(url, tmp_path / "a") + 5 * largest(local)
    assert sum(entry.bytes for entry in read_index(local).shards) > limit, "the data set has to be larger"
    cache = LocalCache(tmp_path / "b", limit)
    here, there = ShardSet.open(local), open_shards(url, cache)
    loader = BatchLoader(
        BatchPlan(order, 6),
        lambda windows, _: {"windows": windows, "read": everything(there, windows)},
        lambda: 0,
        expect=there.expect,
    )
    seen = []
    for batch in loader:
        assert bytes_in(cache.directory) <= limit
        assert_same(batch["read"], everything(here, batch["windows"]))
        seen += batch["windows"].tolist()
    assert len(set(seen)) == len(seen) == N // 6 * 6
    if isinstance(order, ShardOrder):
        # A pool has at most three of these shards, and what is fetched ahead (half of the cache) fits in beside them.
        assert len(fetched) == len(set(fetched)), "each shard is fetched once in an epoch"


def read_all(url: str, local: Path, cache: Path, limit: int, seed: int, results: Any) -> None:
    """In another process: read windows in random order, and compare."""
    here, there = ShardSet.open(local), open_shards(url, LocalCache(cache, limit))
    rng = np.random.default_rng(seed)
    for _ in range(12):
        windows = rng.integers(0, N, 4)
        assert_same(everything(there, windows), everything(here, windows))
    results.put(seed)


@pytest.mark.slow
def test_processes_share_a_cache(url: str, local: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    limit = table_bytes(url, tmp_path / "a") + 3 * largest(local)
    results = context.Queue()
    processes = [
        context.Process(target=read_all, args=(url, local, tmp_path / "b", limit, seed, results)) for seed in (1, 2)
    ]
    for process in processes:
        process.start()
    while any(process.is_alive() for process in processes):
        assert bytes_in(tmp_path / "b") <= limit
        for process in processes:
            process.join(0.05)
    assert [process.exitcode for process in processes] == [0, 0]
    assert {results.get(timeout=10), results.get(timeout=10)} == {1, 2}


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


@pytest.mark.parametrize("frames", [0, 3])
def test_columns_are_all_that_is_read_wherever_they_lie(frames: int, tmp_path: Path, monkeypatch: Any) -> None:
    # Of so few windows HDF5 puts some arrays before the motion, and without video some are nowhere.
    local = make_shards(tmp_path / "shards", [40], WindowSettings(60.0, 60.0, frames=frames, frame_size=32))
    read_range, taken = RemoteFolder.read_range, []

    def counted(self: RemoteFolder, name: str, start: int, end: int) -> bytes:
        taken.append(end - start)
        return read_range(self, name, start, end)

    monkeypatch.setattr(RemoteFolder, "read_range", counted)
    shards = open_shards(f"file://{local}", LocalCache(tmp_path / "cache", ROOMY))
    for name, column in ShardSet.open(local).table.items():
        np.testing.assert_array_equal(shards.table[name], column)
    assert 0 < sum(taken) < read_index(local).shards[0].bytes / 4, "the motion is not among them"


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


def test_what_is_missing_is_named(store: str, local: Path, tmp_path: Path, monkeypatch: Any) -> None:
    cache = LocalCache(tmp_path / "cache", ROOMY)
    with pytest.raises(StorageError, match=r"s3://nowhere/a/index.json: no such bucket or object"):
        open_shards("s3://nowhere/a", cache)
    with pytest.raises(StorageError, match=r"s3://bucket/nothing/index.json: no such bucket or object"):
        open_shards("s3://bucket/nothing", cache)
    url = put(store, local)
    fsspec.filesystem("s3").pipe_file(f"{url}/windows-00003-00.h5", b"short")
    with pytest.raises(StorageError, match=r"windows-00003-00.h5: 5 bytes; index.json says \d+"):
        open_shards(url, cache)
    fsspec.filesystem("s3").rm_file(f"{url}/windows-00003-00.h5")
    with pytest.raises(StorageError, match=r"windows-00003-00.h5: not there, but index.json lists it"):
        open_shards(url, cache)
    with pytest.raises(ValueError, match="needs a cache"):
        open_shards(url)
    with pytest.raises(StorageError, match="nosuch://bucket: Protocol not known: nosuch"):
        open_shards("nosuch://bucket", cache)


def test_a_store_that_cannot_be_asked_is_not_one_without_the_object(
    store: str, local: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    assert RemoteFolder(put(store, local)).has("index.json")
    assert not RemoteFolder(f"{store}/nothing").has("index.json")
    with pytest.raises(StorageError, match=r"s3://nowhere/a/index.json: no such bucket or object"):
        RemoteFolder("s3://nowhere/a").has("index.json")
    folder = RemoteFolder(f"file://{local}")
    fs, _ = folder._root
    for error, said in (
        (PermissionError("Access Denied"), "the store refuses access: Access Denied"),
        (ConnectionError("no route to host"), "4 attempts failed, the last one with: no route to host"),
    ):

        def fail(path: str, error: OSError = error) -> None:
            raise error

        monkeypatch.setattr(store_module, "_PAUSE_S", 0.0)
        monkeypatch.setattr(fs, "info", fail)
        with pytest.raises(StorageError, match=rf"index.json: {said}"):
            folder.has("index.json")


def test_no_credentials(store: str, tmp_path: Path, monkeypatch: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    fsspec.filesystem("s3").clear_instance_cache()
    with pytest.raises(StorageError, match=r"s3://bucket/a/index.json: no credentials: .*AWS_ACCESS_KEY_ID"):
        open_shards("s3://bucket/a", LocalCache(tmp_path, ROOMY))
    fsspec.filesystem("s3").clear_instance_cache()


def test_a_driver_that_is_not_installed(monkeypatch: Any) -> None:
    # The package's attribute of that name hides the module.
    monkeypatch.delitem(importlib.import_module("fsspec.registry").__dict__["_registry"], "s3", raising=False)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(StorageError, match=r"s3://bucket: its driver is not installed: .*imu-video-har\[s3\]"):
        RemoteFolder("s3://bucket")


def test_a_cache_smaller_than_a_shard(url: str, local: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"windows-.*GB, but the cache .* may hold .*paths.cache_gb"):
        open_shards(url, LocalCache(tmp_path, largest(local) - 1))
    with pytest.raises(StorageError, match=r"the table of all windows.*paths.cache_gb"):
        open_shards(url, LocalCache(tmp_path / "a", largest(local) + 1))


def test_another_version_is_refused(store: str, local: Path, tmp_path: Path) -> None:
    url = put(store, local)
    index = json.loads((local / "index.json").read_text())
    fsspec.filesystem("s3").pipe_file(f"{url}/index.json", json.dumps({**index, "version": 1}).encode())
    with pytest.raises(ShardError, match=rf"shards of version 1.*delete {url} and build"):
        open_shards(url, LocalCache(tmp_path, ROOMY))
