"""Damage that the reader notices: flipped bits, broken pictures, and windows that are left out."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers.made_shards import DIRECTORY_SETTINGS as SETTINGS
from helpers.made_shards import make_shards, make_window

from datamodules.pretraining import usable_windows
from datamodules.shards import layout
from datamodules.shards.layout import ShardError
from datamodules.shards.reader import ShardSet
from datamodules.shards.shard_file import open_shard
from datamodules.shards.writer import ShardHeader, write_shard
from datamodules.windows.cut import Exclusion, Reason


def test_a_broken_jpeg_is_named(tmp_path: Path) -> None:
    """One that was stored broken: its checksum is right."""
    window = make_window(1)  # it has no frame 0
    broken = replace(window, jpegs=(b"", bytes(10) + window.jpegs[1][10:], window.jpegs[2]))
    directory = make_shards(tmp_path, [3])
    path = directory / layout.shard_name(0, 0)
    header = ShardHeader(SETTINGS, "made", True, "0" * 64, 0, 0, True)
    write_shard(path, header, [make_window(0), broken, make_window(2)], [Exclusion("r0", 1.0, Reason.GAP, "a gap")])
    with pytest.raises(ShardError, match="window 1, frame 1: not a readable JPEG"):
        ShardSet.open(directory).frames(np.arange(3))


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Flip a bit of one byte of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def earlier(path: Path) -> None:
    """Make a shard as version 0.2.0 wrote it: one checksum a window, none of the columns."""
    with h5py.File(path, "r+") as file:
        del file["checksum_imu"], file["checksum_frames"], file.attrs["digests"]


def read_all(shards: ShardSet) -> list[Any]:
    windows = np.arange(shards.n_windows)
    table = [[str(value) for value in column] for column in shards.table.values()]
    return [*shards.imu(windows), *shards.frame_times(windows), shards.frames(windows), table]


@pytest.mark.parametrize("flips", [10, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        *((name, lambda path: None) for name in layout.CHECKED),
        ("frames", lambda path: None),
        ("imu", earlier),
        ("frames", earlier),
    ],
)
def test_every_flipped_bit_is_noticed_when_it_is_first_read(
    tmp_path: Path, name: str, make: Callable[[Path], None], flips: int
) -> None:
    directory = make_shards(tmp_path, [4])
    path = directory / layout.shard_name(0, 0)
    size = path.stat().st_size
    make(path)
    if path.stat().st_size != size:
        index = json.loads((directory / layout.INDEX).read_text())
        index["shards"][0]["bytes"] = path.stat().st_size
        del index["digest"]
        (directory / layout.INDEX).write_text(json.dumps(index))
    read_all(ShardSet.open(directory))
    place = open_shard(path).places[name]
    rng = np.random.default_rng(0)
    for at, bit in zip(rng.integers(0, place.nbytes, flips).tolist(), rng.integers(0, 8, flips).tolist(), strict=True):
        flip(path, place.offset + at, bit)
        with pytest.raises(ShardError, match=path.name):
            read_all(ShardSet.open(directory))
        flip(path, place.offset + at, bit)
    read_all(ShardSet.open(directory))


@pytest.mark.parametrize("name", [*layout.CODES, "start_s", "faults", "frame_offsets", "checksum_imu"])
def test_flipped_bits_of_labels_and_times_are_noticed(tmp_path: Path, name: str) -> None:
    path = make_shards(tmp_path, [4]) / layout.shard_name(0, 0)
    place = open_shard(path).places[name]
    flip(path, place.offset + place.nbytes // 2)
    with pytest.raises(ShardError, match=f"damaged: '{name}' differs from its checksum"):
        read_all(ShardSet.open(tmp_path))


def test_motion_is_compared_without_reading_a_frame(tmp_path: Path) -> None:
    path = make_shards(tmp_path, [4]) / layout.shard_name(0, 0)
    places = open_shard(path).places
    flip(path, places["frames"].offset + 5)
    shards = ShardSet.open(tmp_path)
    shards.imu(np.arange(4))
    with pytest.raises(ShardError, match="window 0 is damaged: the checksum of its frames is"):
        shards.frames(np.arange(4))
    shards.frames(np.array([1, 2, 3]))


def test_what_was_read_once_is_not_compared_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_shards(tmp_path, [4])
    shards = ShardSet.open(tmp_path)
    read_all(shards)
    monkeypatch.setattr(layout, "digest64", None)
    read_all(shards)


def test_damaged_windows_are_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    make_shards(tmp_path / "whole", [4, 3])
    directory = make_shards(tmp_path / "damaged", [4, 3])
    first, second = (directory / layout.shard_name(group, 0) for group in (0, 1))
    places = open_shard(first).places
    flip(first, places["imu"].offset + places["imu"].nbytes - 1)  # window 3
    flip(second, open_shard(second).places["frames"].offset + 7)  # window 4
    whole, shards = ShardSet.open(tmp_path / "whole"), ShardSet.open(directory)
    assert shards.skip_damaged() == 2
    assert whole.skip_damaged() == 0
    assert whole.damaged is None
    assert shards.damaged is not None
    assert np.flatnonzero(shards.damaged).tolist() == [3, 4]
    for each in (shards, pickle.loads(pickle.dumps(shards))):
        kept = ~shards.damaged
        for found, expected in zip(read_all(each)[:-1], read_all(whole)[:-1], strict=True):
            np.testing.assert_array_equal(found[kept], expected[kept])
            assert not found[~kept].any() or found.dtype == np.float32
        imu, sample_mask, _ = each.imu(np.array([3, 4]))
        assert not imu.any()
        assert not sample_mask.any()
        assert not each.frame_times(np.array([3, 4]))[1].any()
        assert not each.frames(np.array([3, 4])).any()
        activities = [str(name) for name in each.table["activity"]]
        assert activities[3] == activities[4] == ""
        assert activities[6] == str(whole.table["activity"][6]) != ""
    assert usable_windows(shards).tolist() == [0, 1, 2, 5, 6]
    assert usable_windows(shards, video=False).tolist() == [0, 1, 2, 5, 6]
    assert shards.fingerprint != whole.fingerprint  # no cache of the whole shards is taken for theirs
