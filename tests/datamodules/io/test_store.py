"""Shards in a real S3 server: the same batches as of local files, and errors that name what is missing."""

from __future__ import annotations

import importlib
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from helpers.made_shards import make_shards
from helpers.object_store import put
from helpers.stored_shards import ROOMY, N, assert_same, everything

from datamodules.io import store as store_module
from datamodules.io.local_cache import LocalCache
from datamodules.io.store import RemoteFolder, StorageError
from datamodules.shards.index import read_index
from datamodules.shards.layout import ShardError
from datamodules.shards.reader import ShardSet
from datamodules.shards.remote import RemoteShardSet, open_shards
from datamodules.windows.cut import WindowSettings


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


def test_another_version_is_refused(store: str, local: Path, tmp_path: Path) -> None:
    url = put(store, local)
    index = json.loads((local / "index.json").read_text())
    fsspec.filesystem("s3").pipe_file(f"{url}/index.json", json.dumps({**index, "version": 1}).encode())
    with pytest.raises(ShardError, match=rf"shards of version 1.*delete {url} and build"):
        open_shards(url, LocalCache(tmp_path, ROOMY))
