"""Plain pixels instead of JPEG; batches out of several shards; and that mapped memory stays bounded."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers.made_shards import make_shards
from hypothesis import given, settings
from hypothesis import strategies as st

from core.settings import SettingError, check_settings
from datamodules.build.run import build
from datamodules.shards import layout, rows
from datamodules.shards.frames import read_frame
from datamodules.shards.layout import ShardError
from datamodules.shards.reader import ShardSet
from datamodules.shards.shard_file import open_shard
from datamodules.shards.verify import verify
from datamodules.windows.cut import WindowSettings

PLAIN = WindowSettings(duration_s=2.0, stride_s=2.0, frames=3, frame_size=16, jpeg_quality=0)

LARGE = WindowSettings(duration_s=2.0, stride_s=2.0, frames=5, frame_size=128)


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, ShardSet]:
    """The same 24 windows in one shard and in five."""
    folder = tmp_path_factory.mktemp("shards")
    return {
        len(parts): ShardSet.open(make_shards(folder / str(len(parts)), parts)) for parts in ([24], [5, 1, 9, 0, 9])
    }


def simulated(folder: Path, quality: int) -> ShardSet:
    params = {"subjects": 1, "sessions_per_subject": 1, "session_s": 30, "placements": ["head"], "cameras": ["head"]}
    build(
        "simulator",
        params,
        folder,
        dataclasses.replace(PLAIN, jpeg_quality=quality),
        "head",
        "head",
        workers=1,
        clocks="off",
    )
    return ShardSet.open(folder)


def test_plain_pixels_are_what_jpeg_comes_near_to(tmp_path: Path) -> None:
    plain, jpeg = simulated(tmp_path / "plain", 0), simulated(tmp_path / "jpeg", 100)
    every = np.arange(plain.n_windows)
    pixels, near = plain.frames(every), jpeg.frames(every)
    assert plain.n_windows == jpeg.n_windows > 5
    assert len(np.unique(pixels)) > 20
    # 4:2:0 halves the colour's resolution, which at 16 x 16 pixels is far from exact; on average it is right.
    assert np.abs(pixels.astype(float) - near).mean() < 12
    assert abs(pixels.mean() - near.mean()) < 1
    assert plain.fingerprint != jpeg.fingerprint
    assert verify(tmp_path / "plain") == []
    shard = open_shard(tmp_path / "plain" / plain.index.shards[0].file)
    assert shard.places["frames"].shape[0] == (plain.frame_times(every)[1].sum() * 16 * 16 * 3)


def test_plain_pixels_of_another_size_are_refused() -> None:
    out = np.empty((4, 4, 3), np.uint8)
    with pytest.raises(ShardError, match="frame 2: 47 bytes; expected 4 x 4 x 3"):
        read_frame(np.zeros(47, np.uint8), out, True, "frame 2")
    with pytest.raises(ShardError, match="frame 2: not a readable JPEG"):
        read_frame(np.zeros(47, np.uint8), out, False, "frame 2")


def test_the_quality_is_checked() -> None:
    check_settings(dataclasses.replace(PLAIN, jpeg_quality=0), "window")
    with pytest.raises(SettingError, match=r"window\.jpeg_quality: expected a number at least 0 .* found -1"):
        check_settings(dataclasses.replace(PLAIN, jpeg_quality=-1), "window")


@settings(deadline=None)
@given(st.lists(st.integers(0, 23), max_size=40))
def test_the_number_of_shards_changes_nothing(sizes: dict[int, ShardSet], order: list[int]) -> None:
    indices = np.array(order, np.int64)
    one, five = sizes[1], sizes[5]
    for a, b in zip(one.imu(indices), five.imu(indices), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(one.frame_times(indices), five.frame_times(indices), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(one.frames(indices), five.frames(indices))


def test_codes_are_the_table_in_short(sizes: dict[int, ShardSet]) -> None:
    shards = sizes[5]
    for column in layout.CODES:
        names = np.array([*shards.label_tables[column], ""])
        np.testing.assert_array_equal(names[shards.codes(column)], shards.table[column])
    assert -1 in shards.codes("activity")
    np.testing.assert_array_equal(shards.start_s, shards.table["start_s"])


@pytest.mark.parametrize("held", [0, 100, 10_000, 1 << 30])
def test_what_is_held_changes_nothing(sizes: dict[int, ShardSet], monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    """Nothing, the shortest rows, all but the motion, everything."""
    monkeypatch.setattr(rows, "_HELD_BYTES", held)
    shards, order = ShardSet.open(sizes[5].directory), np.random.default_rng(0).integers(0, 24, 200)
    for windows in (order, np.sort(order), np.arange(24)):
        for a, b in zip(shards.imu(windows), sizes[1].imu(windows), strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(shards.frame_times(windows), sizes[1].frame_times(windows), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(shards.frames(windows), sizes[1].frames(windows))
    assert sum(array.nbytes for array in shards._held.values()) <= held
    assert len(shards._held) == {0: 0, 100: 1, 10_000: 4, 1 << 30: 5}[held]


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_what_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 MB of frames are read, most of them several times."""
    monkeypatch.setattr(rows, "_HELD_BYTES", 0)
    shards = ShardSet.open(make_shards(tmp_path, [200], LARGE), threads=1)
    assert sum(entry.bytes for entry in shards.index.shards) > 20e6

    def resident() -> int:
        """Bytes, with those of files that are mapped."""
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))

    out = np.empty((8, LARGE.frames, LARGE.frame_size, LARGE.frame_size, 3), np.uint8)
    shards.frames(np.arange(8), out=out)
    before, rng = resident(), np.random.default_rng(0)
    for _ in range(100):
        shards.frames(rng.integers(0, 200, 8), out=out)
    assert resident() - before < 4e6


def test_a_shard_that_became_shorter_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_HELD_BYTES", 0)
    shards = ShardSet.open(make_shards(tmp_path, [4]))
    shards.imu(np.arange(2))
    path = tmp_path / layout.shard_name(0, 0)
    with path.open("r+b") as file:
        file.truncate(shards._shard(0).places["imu"].offset + 100)
    with pytest.raises(OSError, match=rf"{path.name}: 100 bytes at byte \d+; expected .*became shorter"):
        shards.imu(np.arange(2))
