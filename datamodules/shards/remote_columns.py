"""Columns of all windows (labels and times), read from remote shards without fetching them.

Labels, start times and frame times take about ninety bytes per window. A few requests for small ranges of each shard
read them. The local cache keeps the columns as one HDF5 file.

The columns have no checksum of their own. A fetched shard is compared with its SHA-256, and the columns are compared
with the fetched shard before any of its windows is read.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from datamodules.io.local_cache import LocalCache, Mapped
from datamodules.io.prefetch import Piece
from datamodules.io.range_file import RangeFile
from datamodules.io.store import RemoteFolder, StorageError
from datamodules.shards import layout
from datamodules.shards.index import Index
from datamodules.shards.layout import ShardError
from datamodules.shards.shard_file import DAMAGED, ArrayPlace, ShardFile, read_structure

COLUMNS = ("frame_times", "frame_mask", "start_s", *layout.CODES, "faults")
_STRUCTURE = "structure"
_CONNECTIONS = 8  # shards read at a time
_MAX_GAP = 64 << 10  # most bytes between two arrays that one request reads together


@dataclasses.dataclass(frozen=True)
class RemoteShardFile(ShardFile):
    """A shard in a store, of which only the columns were read."""

    columns: dict[str, NDArray[Any]]

    def array(self, name: str) -> NDArray[Any]:
        """Return one of ``COLUMNS``."""
        return self.columns[name]


class Columns:
    """The columns of all shards in a folder, and the places of the other arrays.

    Args:
        folder: folder of the shards.
        index: index of the shards.
        cache: cache that keeps the columns.

    Raises:
        StorageError: a shard can't be read, or the columns don't fit into the cache.
        ShardError: a file is not a valid shard.
    """

    def __init__(self, folder: RemoteFolder, index: Index, cache: LocalCache) -> None:
        name = f"columns-{index.fingerprint}"
        mapped = cache.find(name)
        if mapped is None:
            content = _collect(folder, index)
            cache.check_fits(len(content), f"{folder}: the table of its {index.n_windows} windows")
            mapped = cache.open(Piece(name, len(content), lambda file: _write(file, content)))
        self.path, self.nbytes = mapped.path, len(mapped)
        try:
            self.shards = _read(mapped, folder, index)
        except DAMAGED as error:
            raise StorageError(f"{self.path}: damaged: not the columns of {folder}; delete it ({error})") from error


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def _collect(folder: RemoteFolder, index: Index) -> bytes:
    """Read the columns of all shards and return them as the bytes of an HDF5 file."""
    with ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="columns") as pool:
        found = list(pool.map(lambda entry: _read_shard(folder, entry.file, entry.bytes), index.shards))
    structure = [
        {
            "attributes": shard.attributes,
            "places": {name: dataclasses.astuple(place) for name, place in shard.places.items()},
            "tables": shard.tables,
        }
        for shard in found
    ]
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset(_STRUCTURE, data=np.frombuffer(json.dumps(structure).encode(), np.uint8))
        for name in COLUMNS:
            dtype, shape_of = layout.DATASETS[name]
            shape = [side or 0 for side in shape_of(0, index.settings.samples, index.settings.frames)]
            empty = np.empty(shape, dtype)
            file.create_dataset(name, data=np.concatenate([empty, *(shard.columns[name] for shard in found)]))
    return content.getvalue()


def _read_shard(folder: RemoteFolder, name: str, nbytes: int) -> RemoteShardFile:
    where = f"{folder}/{name}"
    remote = RangeFile(folder, name, nbytes)
    wrong: ShardError | StorageError | None = None
    try:
        with h5py.File(remote, "r") as file:
            shard = read_structure(where, file, remote, nbytes)
    except ShardError as error:
        wrong = error
    except DAMAGED as error:
        wrong = StorageError(f"{where}: not a readable HDF5 file: {error}")
    # Raise outside the except block. Inside, the new error would hold h5py's error, and so the file (see RangeFile).
    if remote.failure:
        raise StorageError(remote.failure)
    if wrong is not None:
        raise wrong
    places = {column: shard.places[column] for column in COLUMNS}
    read = [(start, folder.read_range(name, start, end)) for start, end in _stretches(places.values())]
    columns = {}
    for column, place in places.items():
        start, content = next((part for part in reversed(read) if part[0] <= place.offset), (0, b""))
        columns[column] = place.parse(content, start)
    return RemoteShardFile(where, shard.attributes, shard.places, shard.tables, columns)


def _stretches(places: Iterable[ArrayPlace]) -> list[tuple[int, int]]:
    """Merge the places of arrays into stretches to read, (first byte, end).

    Most arrays lie at the end of the file. HDF5 puts the smallest into any free gap.
    """
    found: list[tuple[int, int]] = []
    for start, end in sorted((place.offset, place.offset + place.nbytes) for place in places if place.nbytes):
        if found and start - found[-1][1] <= _MAX_GAP:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _read(mapped: Mapped, folder: RemoteFolder, index: Index) -> list[RemoteShardFile]:
    with h5py.File(mapped.path, "r", locking=False) as file:
        structure = json.loads(file[_STRUCTURE][:].tobytes())
        columns = {
            name: mapped.array(file[name].dtype.str, file[name].shape, file[name].id.get_offset() or 0)
            for name in COLUMNS
        }
    shards, first = [], 0
    for entry, known in zip(index.shards, structure, strict=True):
        rows = slice(first, first + entry.windows)
        places = {name: ArrayPlace(place[0], place[1], tuple(place[2])) for name, place in known["places"].items()}
        shards.append(
            RemoteShardFile(
                f"{folder}/{entry.file}",
                known["attributes"],
                places,
                known["tables"],
                {name: column[rows] for name, column in columns.items()},
            )
        )
        first = rows.stop
    return shards
