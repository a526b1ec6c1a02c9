"""Heaps of texts that HDF5 2.0 would walk for ever, or crash on: refused in words before it reads them."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.made_shards import make_shards

from datamodules.shards.global_heap import heap_problem
from datamodules.shards.layout import ShardError
from datamodules.shards.shard_file import open_shard


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return next(make_shards(tmp_path, [2]).glob("*.h5"))


def heap_of(content: bytes) -> tuple[int, list[tuple[int, int, int]]]:
    """Place of the heap, and of each object: place, number, length."""
    start = content.index(b"GCOL")
    at, found = start + 16, []
    while True:
        number, length = struct.unpack_from("<H6xQ", content, at)
        found.append((at, number, length))
        if number == 0:
            return start, found
        at += 16 + -(-length // 8) * 8


def changed(path: Path, at: int, content: bytes) -> Path:
    whole = bytearray(path.read_bytes())
    whole[at : at + len(content)] = content
    path.write_bytes(whole)
    return path


def test_a_whole_heap_is_read(shard: Path) -> None:
    assert open_shard(shard).attributes["source"] == "made"


@pytest.mark.parametrize("length", [0, 8, 1 << 62, (1 << 64) - 1, (1 << 64) - 16])
def test_free_space_that_does_not_reach_the_end(shard: Path, length: int) -> None:
    """With 0, HDF5 2.0 walks for ever."""
    _, objects = heap_of(shard.read_bytes())
    changed(shard, objects[-1][0] + 8, struct.pack("<Q", length))
    with pytest.raises(
        ShardError, match=rf"{shard.name}: damaged: the heap of texts at byte \d+: {length} bytes are free"
    ):
        open_shard(shard)


@pytest.mark.parametrize("length", [1 << 16, (1 << 64) - 16, (1 << 64) - 1])
def test_a_text_that_is_longer_than_the_heap(shard: Path, length: int) -> None:
    """With 2^64 - 16, the next object would be this one again."""
    _, objects = heap_of(shard.read_bytes())
    changed(shard, objects[1][0] + 8, struct.pack("<Q", length))
    with pytest.raises(ShardError, match=rf"a text of {length} bytes; expected at most"):
        open_shard(shard)


def test_an_attribute_of_a_class_that_no_shard_has(shard: Path) -> None:
    """A text whose one bit makes it a sequence of texts: HDF5 2.0 crashes on it."""
    with h5py.File(shard, "r+", locking=False) as file:
        numbers = np.empty(1, object)
        numbers[0] = np.arange(3)
        file.attrs.create("source", numbers, dtype=h5py.vlen_dtype(np.dtype("i8")))
    with pytest.raises(ShardError, match=r"the attribute 'source' is of HDF5's class 9; expected number or text"):
        open_shard(shard)


def test_only_what_lies_outside_the_arrays_is_looked_at() -> None:
    content = bytes(64) + b"GCOL\x01" + bytes(59)  # a heap of 0 bytes
    read = lambda start, end: content[start:end]  # noqa: E731
    assert heap_problem(read, [], 128) == "the heap of texts at byte 64: 0 bytes; expected at most 64"
    assert heap_problem(read, [(60, 20)], 128) == ""
    assert heap_problem(read, [(0, 64), (10, 20)], 128) != ""
    assert heap_problem(read, [], 70) == "the heap of texts at byte 64: cut"
