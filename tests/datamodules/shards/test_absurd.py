"""Shards that say absurd things of themselves: refused before anything of that size is made."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.made_shards import make_shards

from datamodules.shards import layout
from datamodules.shards.index import read_index
from datamodules.shards.layout import ShardError
from datamodules.shards.shard_file import open_shard

MB = 1 << 20


def _texts_of_any_length(file: h5py.File) -> None:
    """Many values that share one long text: the square of the file's size in memory."""
    del file["tables/subject"]
    file.create_dataset("tables/subject", data=["x" * MB] * 1000, dtype=h5py.string_dtype())


def _attribute_of_many(file: h5py.File) -> None:
    file.attrs.create("source", np.ones(7000, np.int64))


def _many_attributes(file: h5py.File) -> None:
    for number in range(200):
        file.attrs[f"a{number}"] = number


def _more_windows_than_bytes(file: h5py.File) -> None:
    del file["imu"]
    file.create_dataset("imu", (1 << 40, 10, 6), np.float32)  # late allocation: no byte is in the file


def _absurd_counts(file: h5py.File) -> None:
    file.attrs["samples"] = 1 << 60


def _negative_counts(file: h5py.File) -> None:
    file.attrs[layout.COMPLETE] = np.array([-1, -1, 0], np.int64)


CHANGES = [
    pytest.param(_texts_of_any_length, marks=pytest.mark.slow),
    _attribute_of_many,
    _many_attributes,
    _more_windows_than_bytes,
    _absurd_counts,
    _negative_counts,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_an_absurd_shard_is_refused_in_a_sentence_and_little_memory(
    tmp_path: Path, change: Callable[[h5py.File], None]
) -> None:
    directory = make_shards(tmp_path, [2])
    path = directory / read_index(directory).shards[0].file
    with h5py.File(path, "r+", locking=False) as file:
        change(file)
    tracemalloc.start()
    with pytest.raises(ShardError, match=path.name):
        open_shard(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MB


@pytest.mark.parametrize("content", [b"[" * 200_000, b"1" * 5000, b"\xff\xfe", b"[1]"])
def test_an_index_that_is_none_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / layout.INDEX).write_bytes(content)
    with pytest.raises(ShardError, match=r"index\.json: (not JSON|a JSON list)"):
        read_index(tmp_path)
