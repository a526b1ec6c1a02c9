"""Copies of shards without frames: the same windows, not a byte of a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.made_shards import make_shards, make_window

from datamodules.build.without_frames import copy_without_frames
from datamodules.shards.layout import ShardError
from datamodules.shards.reader import ShardSet
from datamodules.shards.verify import verify


def copied(tmp_path: Path) -> tuple[ShardSet, ShardSet]:
    shards = ShardSet.open(make_shards(tmp_path / "shards", [5, 3]))
    return shards, copy_without_frames(shards, tmp_path / "copy")


def test_everything_but_frames_is_the_same(tmp_path: Path) -> None:
    shards, copy = copied(tmp_path)
    windows = np.arange(8)
    for before, after in zip(shards.imu(windows), copy.imu(windows), strict=True):
        np.testing.assert_array_equal(before, after)
    for before, after in zip(shards.frame_times(windows), copy.frame_times(windows), strict=True):
        np.testing.assert_array_equal(before, after)
    assert {name: list(column) for name, column in shards.table.items()} == {
        name: list(column) for name, column in copy.table.items()
    }
    assert copy.index.exclusions == shards.index.exclusions
    assert copy.fingerprint == shards.fingerprint  # so that features and weights fit
    assert shards.frames_stored
    assert not copy.frames_stored
    assert verify(copy.directory) == []


def test_no_byte_of_a_picture_is_left(tmp_path: Path) -> None:
    shards, copy = copied(tmp_path)
    content = b"".join(path.read_bytes() for path in sorted(Path(copy.directory).iterdir()))
    for number in range(8):
        for jpeg in make_window(number).jpegs:
            assert not jpeg or jpeg[200:232] not in content
    assert b"\xff\xd8\xff" not in content  # what every JPEG begins with
    assert copy.open_file(copy.index.shards[0]).array("frames").size == 0
    assert shards.open_file(shards.index.shards[0]).array("frames").size


def test_reading_frames_says_where_they_are(tmp_path: Path) -> None:
    _, copy = copied(tmp_path)
    with pytest.raises(ShardError, match="this needs frames: do it where the video is"):
        copy.frames(np.array([0]))


def test_a_copy_that_hides_frames_is_found(tmp_path: Path) -> None:
    shards, copy = copied(tmp_path)
    entry = copy.index.shards[0]
    (Path(copy.directory) / entry.file).write_bytes((Path(shards.directory) / entry.file).read_bytes())
    assert any("which index.json says were left out" in str(problem) for problem in verify(copy.directory))


def test_a_damaged_shard_is_not_copied(tmp_path: Path) -> None:
    shards = ShardSet.open(make_shards(tmp_path / "shards", [5]))
    place = shards.open_file(shards.index.shards[0]).places["imu"]
    path = Path(shards.directory) / shards.index.shards[0].file
    content = bytearray(path.read_bytes())
    content[place.offset] ^= 1
    path.write_bytes(content)
    with pytest.raises(ShardError, match="window 0 is damaged"):
        copy_without_frames(shards, tmp_path / "copy")
    assert not (tmp_path / "copy" / "index.json").exists()
