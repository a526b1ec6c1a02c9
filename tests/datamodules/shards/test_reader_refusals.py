"""Shards that are not whole, not of this version, or hold what a shard must not hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from helpers.made_shards import make_shards

from datamodules.shards import layout
from datamodules.shards.layout import ShardError
from datamodules.shards.reader import ShardSet
from datamodules.shards.shard_file import open_shard


def test_unfinished_and_incomplete_sets_are_refused(tmp_path: Path) -> None:
    directory = make_shards(tmp_path, [2, 2])
    second = directory / layout.shard_name(1, 0)
    data = second.read_bytes()
    second.write_bytes(data[:-100])
    with pytest.raises(ShardError, match=f"{second.name}: {len(data) - 100} bytes"):
        ShardSet.open(directory)
    second.unlink()
    with pytest.raises(ShardError, match=f"{second.name}: not there"):
        ShardSet.open(directory)
    (directory / layout.INDEX).write_text("{")
    with pytest.raises(ShardError, match="not JSON"):
        ShardSet.open(directory)
    (directory / layout.INDEX).write_text('{"format": "other", "version": 9}')
    with pytest.raises(ShardError, match="'other', version 9"):
        ShardSet.open(directory)
    (directory / layout.INDEX).unlink()
    with pytest.raises(ShardError, match="writes it last"):
        ShardSet.open(directory)


def test_a_name_that_the_index_lacks_is_refused(tmp_path: Path) -> None:
    directory = make_shards(tmp_path, [4, 4])
    index = directory / layout.INDEX
    content = json.loads(index.read_text())
    content["tables"]["activity"] = ["sit"]  # an index of other shards, as large as these
    del content["digest"]
    index.write_text(json.dumps(content))
    with pytest.raises(ShardError, match=f"{layout.INDEX} does not list its activity 'walk'"):
        _ = ShardSet.open(directory).table


def test_shards_of_an_older_version_ask_for_a_new_build(tmp_path: Path) -> None:
    directory = make_shards(tmp_path / "old", [2])
    path, index = directory / layout.shard_name(0, 0), directory / layout.INDEX
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 1
        del file["device"]
    says = rf"version 1; this code reads version {layout.VERSION}: delete {directory} and build the shards again"
    with pytest.raises(ShardError, match=f"{path}: .*{says}"):
        open_shard(path)
    index.write_text(index.read_text().replace(f'"version": {layout.VERSION}', '"version": 1'))
    with pytest.raises(ShardError, match=f"{index}: .*{says}"):
        ShardSet.open(directory)


def put_external_link(file: h5py.File, path: Path) -> None:
    with h5py.File(path.with_name("outside.h5"), "w") as outside:
        outside["imu"] = file["imu"][:]
    del file["imu"]
    file["imu"] = h5py.ExternalLink("outside.h5", "imu")


def put_soft_link(file: h5py.File, path: Path) -> None:
    file.move("imu", "elsewhere")
    file["imu"] = h5py.SoftLink("/elsewhere")


def put_virtual(file: h5py.File, path: Path) -> None:
    data = file["imu"][:]
    with h5py.File(path.with_name("outside.h5"), "w") as outside:
        outside["imu"] = data
    del file["imu"]
    virtual = h5py.VirtualLayout(data.shape, data.dtype)
    virtual[:] = h5py.VirtualSource(str(path.with_name("outside.h5")), "imu", data.shape)
    file.create_virtual_dataset("imu", virtual)


def put_external_storage(file: h5py.File, path: Path) -> None:
    data = file["imu"][:]
    del file["imu"]
    file.create_dataset("imu", data=data, external=[(str(path.with_name("raw")), 0, data.nbytes)])


def put_filter(file: h5py.File, path: Path) -> None:
    data = file["imu"][:]
    del file["imu"]
    file.create_dataset("imu", data=data, compression="gzip")


def put_linked_table(file: h5py.File, path: Path) -> None:
    file.move("tables", "elsewhere")
    file["tables"] = h5py.SoftLink("/elsewhere")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (put_external_link, "ExternalLink"),
        (put_soft_link, "SoftLink"),
        (put_virtual, "takes its data from other files"),
        (put_external_storage, "takes its data from other files"),
        (put_filter, "chunked or filtered"),
        (put_linked_table, "SoftLink"),
        (lambda file, path: file.attrs.__delitem__("complete"), "did not finish"),
        (lambda file, path: file.attrs.__setitem__("version", 99), "version 99"),
        (lambda file, path: file.__delitem__("frame_mask"), "'frame_mask' is nothing"),
    ],
)
def test_what_a_shard_must_not_hold(tmp_path: Path, change: Callable[[h5py.File, Path], None], text: str) -> None:
    path = make_shards(tmp_path, [2]) / layout.shard_name(0, 0)
    open_shard(path)
    with h5py.File(path, "r+") as file:
        change(file, path)
    with pytest.raises(ShardError, match=text) as caught:
        open_shard(path)
    assert str(path) in str(caught.value)
