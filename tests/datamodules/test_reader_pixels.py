"""Plain pixels instead of JPEG; batches out of several shards; and that mapped memory stays bounded."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_shards import make_shards

from datamodules.build import build
from datamodules.shards import layout
from datamodules.shards.frames import read_frame
from datamodules.shards.layout import ShardError
from datamodules.shards.mapping import MappedFiles
from datamodules.shards.reader import ShardSet
from datamodules.shards.shard_file import open_shard
from datamodules.shards.verify import verify
from datamodules.windows import WindowSettings

PLAIN = WindowSettings(duration_s=2.0, stride_s=2.0, frames=3, frame_size=16, jpeg_quality=0)


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, ShardSet]:
    """The same 24 windows in one shard and in five."""
    folder = tmp_path_factory.mktemp("shards")
    return {
        len(parts): ShardSet.open(make_shards(folder / str(len(parts)), parts)) for parts in ([24], [5, 1, 9, 0, 9])
    }


def simulated(folder: Path, quality: int) -> ShardSet:
    params = {"subjects": 1, "sessions_per_subject": 1, "session_s": 30, "placements": ["head"], "cameras": ["head"]}
    build("simulator", params, folder, dataclasses.replace(PLAIN, jpeg_quality=quality), "head", "head", workers=1)
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
    dataclasses.replace(PLAIN, jpeg_quality=0).check()
    with pytest.raises(ValueError, match="jpeg_quality is -1; expected 1 to 100, or 0"):
        dataclasses.replace(PLAIN, jpeg_quality=-1).check()


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


def test_what_was_read_stays_the_same_when_maps_are_let_go(sizes: dict[int, ShardSet]) -> None:
    shards, order = ShardSet.open(sizes[5].directory), np.random.default_rng(0).integers(0, 24, 200)
    shards._files.limit = 1000  # every batch is beyond it
    expected = sizes[1].imu(order)[0], sizes[1].frames(order)
    for _ in range(3):
        np.testing.assert_array_equal(shards.imu(order)[0], expected[0])
        np.testing.assert_array_equal(shards.frames(order), expected[1])


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="needs Linux's /proc")
def test_no_more_than_the_limit_stays_mapped(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(np.random.default_rng(0).bytes(16 << 20))

    def resident() -> int:
        """Bytes of this file that are mapped into this process now."""
        blocks = Path("/proc/self/smaps").read_text(encoding="utf-8").split("VmFlags")
        kb = [line for block in blocks if str(path) in block for line in block.splitlines() if line.startswith("Rss:")]
        return sum(int(line.split()[1]) << 10 for line in kb)

    peaks = {}
    for limit in (4 << 20, 64 << 20):
        files = MappedFiles(limit)
        rows = files.array(path, "|u1", (4096, 4096))
        peaks[limit] = 0
        for start in range(0, 4096, 16):
            rows[start : start + 16].sum()
            files.touched(16, 16 * 4096, rows.nbytes)
            if start % 560 == 0 or start == 4080:  # reading smaps takes longer than all the rest
                peaks[limit] = max(peaks[limit], resident())
        del rows, files
    assert peaks[64 << 20] == 16 << 20
    assert peaks[4 << 20] <= 5 << 20


def test_maps_are_not_sent_to_other_processes(sizes: dict[int, ShardSet]) -> None:
    files = MappedFiles(123)
    path = sizes[1].directory / layout.shard_name(0, 0)
    assert files.array(path, "|u1", (10,)).tobytes() == path.read_bytes()[:10]
    again = pickle.loads(pickle.dumps(files))
    assert again.limit == 123
    assert again.array(path, "|u1", (4,), 1).tobytes() == b"HDF\r"
    with pytest.raises(ValueError, match="smaller than requested"):
        files.array(path, "|u1", (1 << 40,))
