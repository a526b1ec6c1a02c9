"""Reader of windows from shards in an object store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from datamodules.io.local_cache import LocalCache, Mapped
from datamodules.io.prefetch import Piece
from datamodules.io.store import Part, RemoteFolder, StorageError
from datamodules.shards import layout
from datamodules.shards.checks import damaged_windows
from datamodules.shards.clips import MappedBytes
from datamodules.shards.index import Index, ShardEntry, parse_index
from datamodules.shards.reader import ShardSet
from datamodules.shards.remote_columns import COLUMNS, Columns
from datamodules.shards.rows import Located
from datamodules.shards.shard_file import ShardFile
from datamodules.windows.quality.facts import RecordingFacts


def open_shards(where: str | Path, cache: LocalCache | None = None, threads: int = 0) -> ShardSet:
    """Open the shards in a local folder or in a store.

    Args:
        where: a folder, or a URL such as ``s3://bucket/prefix``.
        cache: local cache of whole shards; required for a store.
        threads: threads that decode JPEG; 0 takes one per core, at most 8.

    Raises:
        ShardError: there is no index, or a local shard is missing or has another size than the index says.
        StorageError: the store can't be read, a shard is missing there or has another size, or a shard does not fit
            into the cache.
        ValueError: a URL is given without a cache.
    """
    if not str(where).partition("://")[1]:
        return ShardSet.open(where, threads)
    if cache is None:
        raise ValueError(f"{where}: reading from a store needs a cache")
    return RemoteShardSet.open_folder(RemoteFolder(str(where)), cache, threads)


class RemoteShardSet(ShardSet):
    """A :class:`ShardSet` in a store; it fetches a whole shard into a local cache when a window of it is needed.

    A shard stays in the cache at least while a batch is read from it. Labels and times of all windows are always
    available.
    """

    readers = 1  # each reader pins a shard in the cache, which may have room for one only
    _remedy = "the copy in the local cache was damaged after it was fetched: empty paths.cache and start again"

    def __init__(
        self,
        folder: RemoteFolder,
        index: Index,
        cache: LocalCache,
        threads: int = 0,
        damaged: NDArray[np.bool_] | None = None,
    ) -> None:
        """Create a set from its index; callers use ``open_shards``."""
        super().__init__("", index, threads, damaged)
        self.directory = folder.url
        self.folder = folder
        self.cache = cache

    @classmethod
    def open_folder(cls, folder: RemoteFolder, cache: LocalCache, threads: int = 0) -> RemoteShardSet:
        """Open the shards in a store; see :func:`open_shards`."""
        index = parse_index(folder.read(layout.INDEX), f"{folder}/{layout.INDEX}")
        sizes = folder.sizes()
        for entry in index.shards:
            shard = f"{folder}/{entry.file}"
            if entry.file not in sizes:
                raise StorageError(f"{shard}: not there, but {layout.INDEX} lists it; upload the shards again")
            if sizes[entry.file] != entry.bytes:
                raise StorageError(f"{shard}: {sizes[entry.file]} bytes; {layout.INDEX} says {entry.bytes}")
            cache.check_fits(entry.bytes, shard)
        shards = cls(folder, index, cache, threads)
        largest = max((entry.bytes for entry in index.shards), default=0)
        table = shards._all_columns().nbytes
        cache.check_fits(largest + table, f"{folder}: the largest shard, with the table of all windows,")
        return shards

    def __getstate__(self) -> dict[str, Any]:
        state = {"folder": self.folder, "index": self.index, "cache": self.cache, "threads": self.threads}
        return {**state, "damaged": self.damaged}

    def __setstate__(self, state: dict[str, Any]) -> None:
        RemoteShardSet.__init__(self, **state)

    def _reset(self) -> None:
        super()._reset()
        self._columns: Columns | None = None
        self._compared: set[int] = set()
        self._opened: set[int] = set()

    def expect(self, windows: NDArray[np.int64] | None) -> None:
        """Fetch the shards of these windows ahead; see :meth:`ShardSet.expect`."""
        if windows is None:
            self.cache.prefetch.forget()
        else:
            self.cache.prefetch.expect(self._piece(number) for number in self._shards_of(windows))

    def _shards_of(self, windows: NDArray[np.int64]) -> list[int]:
        """Return the shards of these windows, in the order of their first use."""
        return distinct_in_order(np.searchsorted(self._first, windows, side="right") - 1)

    def _piece(self, number: int) -> Piece:
        entry = self.index.shards[number]
        return Piece(entry.sha256, entry.bytes, partial(_fetch, self.folder, entry))

    def _gather(self, located: Located, arrays: dict[str, NDArray[Any]]) -> None:
        parts = _parts(located)
        if set(arrays) <= set(COLUMNS):
            for number, at in parts:
                shard = self._shard(number)
                _take({name: shard.array(name) for name in arrays}, located.local[at], at, arrays)
            return
        # The loop uses one shard at a time, so room for one is enough.
        self.cache.hurry([self._piece(number) for number, _ in parts])
        for number, at in parts:
            with self._pinned(number) as mapped:
                rows = {name: self._array(mapped, number, name) for name in arrays}
                _take(rows, located.local[at], at, arrays)
                del rows  # these arrays would keep the shard in the cache

    def _read_frames(self, located: Located, out: NDArray[np.uint8], threads: int) -> None:
        parts = _parts(located)
        self.cache.hurry([self._piece(number) for number, _ in parts])
        f = self.settings.frames
        for number, at in parts:
            with self._pinned(number) as mapped:
                offsets = self._array(mapped, number, "frame_offsets")
                data = MappedBytes(self._array(mapped, number, "frames"))
                self._read_clips(
                    [
                        (data, offsets[n * f : n * f + f + 1].tolist(), out[i], self._window_name(number, n))
                        for i, n in zip(at.tolist(), located.local[at].tolist(), strict=True)
                    ],
                    located.windows[at],
                    threads,
                )
                del offsets, data

    @contextmanager
    def _pinned(self, number: int) -> Iterator[Mapped]:
        """Keep a shard mapped inside the block."""
        with self.cache.pinned(self._piece(number)) as mapped:
            self._compare_columns(number, mapped)
            if number not in self._opened:
                shard = self._shard(number)
                self._checks.open(shard, partial(self._array, mapped, number), int(self._first[number]), self._remedy)
                self._opened.add(number)
            yield mapped

    def _compare(self, number: int, shard: ShardFile) -> None:
        """Compare nothing yet: most of the shard is not here."""

    def _damaged_windows(self, number: int) -> NDArray[np.bool_]:
        with self._pinned(number) as mapped:
            return damaged_windows(self._shard(number), partial(self._array, mapped, number))

    def _compare_columns(self, number: int, mapped: Mapped) -> None:
        """Compare labels and times, which were read without a checksum, with the fetched shard, which has one."""
        if number in self._compared:
            return
        columns = self._all_columns()
        shard = columns.shards[number]
        for name, column in shard.columns.items():
            place = shard.places[name]
            if mapped.array(place.dtype, place.shape, place.offset).tobytes() != column.tobytes():
                raise StorageError(
                    f"{shard.path}: '{name}' differs from its copy in {columns.path}: the object was damaged or"
                    " replaced after the copy was made; delete the copy and start again"
                )
        self._compared.add(number)

    def _all_columns(self) -> Columns:
        self._reset_after_fork()
        if self._columns is None:
            self._columns = Columns(self.folder, self.index, self.cache)
        return self._columns

    def facts(self) -> list[RecordingFacts]:
        """Return no facts: of shards in a store only the columns are read, and facts are none of them."""
        return []

    def _open_shard(self, number: int) -> ShardFile:
        return self._all_columns().shards[number]

    def _array(self, mapped: Mapped, number: int, name: str) -> NDArray[Any]:
        place = self._shard(number).places[name]
        return mapped.array(place.dtype, place.shape, place.offset)


def _parts(located: Located) -> list[tuple[int, NDArray[np.int64]]]:
    """Return each shard of a batch with the positions of its windows in the batch."""
    return [(int(shard), np.flatnonzero(located.shards == shard)) for shard in np.unique(located.shards)]


def _take(
    rows: dict[str, NDArray[Any]], local: NDArray[np.int64], at: NDArray[np.int64], out: dict[str, NDArray[Any]]
) -> None:
    """Copy the rows ``local`` of each array to the positions ``at`` of ``out`` (B, ...)."""
    for name, array in rows.items():
        if len(at) == len(out[name]):
            # The whole batch comes from this shard. mode="clip" saves NumPy a copy; all indices are valid here.
            np.take(array, local, axis=0, out=out[name], mode="clip")
        else:
            out[name][at] = array[local]


def _fetch(folder: RemoteFolder, entry: ShardEntry, file: BinaryIO) -> None:
    folder.download(entry.file, 0, file, [Part(entry.bytes, hashlib.sha256, entry.sha256)])


def distinct_in_order(numbers: NDArray[np.int64]) -> list[int]:
    """Return the distinct numbers, in the order of their first occurrence."""
    unique, first = np.unique(numbers, return_index=True)
    return [int(n) for n in unique[np.argsort(first)]]
