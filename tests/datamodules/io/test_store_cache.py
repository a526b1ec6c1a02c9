"""A cache of a store: within its bounds, whoever shares it."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.object_store import bytes_in
from helpers.stored_shards import ROOMY, SIZES, N, assert_same, everything

from datamodules.io.local_cache import LocalCache
from datamodules.io.store import RemoteFolder, StorageError
from datamodules.sampling.loader import BatchLoader
from datamodules.sampling.order import BatchPlan, Order, WindowOrder
from datamodules.sampling.shard_order import ShardOrder
from datamodules.shards.index import read_index
from datamodules.shards.reader import ShardSet
from datamodules.shards.remote import open_shards


def largest(local: Path) -> int:
    return max(entry.bytes for entry in read_index(local).shards)


def table_bytes(url: str, cache: Path) -> int:
    """What the table of the windows takes in a cache."""
    open_shards(url, LocalCache(cache, ROOMY))
    return bytes_in(cache)


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


def test_a_cache_smaller_than_a_shard(url: str, local: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"windows-.*GB, but the cache .* may hold .*paths.cache_gb"):
        open_shards(url, LocalCache(tmp_path, largest(local) - 1))
    with pytest.raises(StorageError, match=r"the table of all windows.*paths.cache_gb"):
        open_shards(url, LocalCache(tmp_path / "a", largest(local) + 1))
