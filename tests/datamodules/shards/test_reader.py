from __future__ import annotations

import json
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import simplejpeg
from helpers.made_shards import DIRECTORY_SETTINGS as SETTINGS
from helpers.made_shards import make_shards, make_window

from datamodules.pretraining import usable_windows
from datamodules.shards import layout
from datamodules.shards.layout import ShardError
from datamodules.shards.reader import ShardSet
from datamodules.shards.shard_file import open_shard
from datamodules.shards.writer import ShardHeader, write_shard
from datamodules.windows.cut import Exclusion, Reason


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of 5, 0 and 4 windows."""
    return make_shards(tmp_path_factory.mktemp("shards"), [5, 0, 4])


def test_what_was_written_comes_back(directory: Path) -> None:
    shards = ShardSet.open(directory)
    assert len(shards) == shards.n_windows == 9
    assert shards.settings == SETTINGS
    assert shards.simulated
    imu, samples, channels = shards.imu(np.arange(9))
    times, mask = shards.frame_times(np.arange(9))
    frames = shards.frames(np.arange(9))
    for i in range(9):
        expected = make_window(i)
        window = expected.window
        np.testing.assert_array_equal(imu[i], window.imu)
        np.testing.assert_array_equal(samples[i], window.sample_mask)
        np.testing.assert_array_equal(channels[i], window.channel_mask)
        np.testing.assert_array_equal(times[i], window.frame_times)
        np.testing.assert_array_equal(mask[i], window.frame_mask)
        for f, jpeg in enumerate(expected.jpegs):
            pixels = simplejpeg.decode_jpeg(jpeg) if jpeg else 0
            np.testing.assert_array_equal(frames[i, f], pixels)
    table = shards.table
    for code in ("recording", "subject", "population", "placement", "device", "activity"):
        assert table[code].tolist() == [getattr(make_window(i).window, code) for i in range(9)]
    assert shards.label_tables["device"] == ["one", "two"]
    assert "" in table["activity"]
    assert "" not in shards.label_tables["activity"]
    np.testing.assert_array_equal(table["start_s"], np.arange(9) * 1.5)
    assert table["faults"].tolist() == [2 if i == 3 else 0 for i in range(9)]


def test_any_order_repeats_and_buffers(directory: Path) -> None:
    shards = ShardSet.open(directory)
    whole, _, _ = shards.imu(np.arange(9))
    order = np.array([8, 0, 8, 4, 5, 3, 0])
    out = np.full((7, *whole.shape[1:]), np.nan, np.float32)
    imu, _, _ = shards.imu(order, out=out)
    assert imu is out
    np.testing.assert_array_equal(imu, whole[order])
    pixels = np.ones((7, *shards.frames(np.arange(1)).shape[1:]), np.uint8)
    frames = shards.frames(order, out=pixels)
    assert frames is pixels
    np.testing.assert_array_equal(frames, shards.frames(np.arange(9))[order])
    np.testing.assert_array_equal(ShardSet.open(directory, threads=1).frames(order), frames)
    assert shards.imu(np.array([], np.int64))[0].shape == (0, SETTINGS.samples, 6)
    assert shards.frames(np.array([], np.int64)).shape[0] == 0
    with pytest.raises(ValueError, match="expected contiguous float32"):
        shards.imu(order, out=out[:3])


@pytest.mark.parametrize("wrong", [[-1, 2], [0, 9]])
def test_an_index_outside_is_named(directory: Path, wrong: list[int]) -> None:
    shards = ShardSet.open(directory)
    for read in (shards.imu, shards.frames, shards.frame_times):
        with pytest.raises(IndexError, match="expected 0 to 8"):
            read(np.array(wrong))


def test_threads_that_come_first_in_a_forked_process_wait_for_each_other(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, expected = ShardSet.open(directory), ShardSet.open(directory).imu(np.array([7, 1]))[0]
    began, go_on, times, found, forget = threading.Event(), threading.Event(), [], [], ShardSet._reset

    def slowly(self: ShardSet) -> None:
        times.append(self._process)
        began.set()
        assert go_on.wait(60)
        forget(self)

    monkeypatch.setattr(ShardSet, "_reset", slowly)
    shards._process = -1  # as in a child: what is there belongs to another process
    threads = [threading.Thread(target=lambda: found.append(shards.imu(np.array([7, 1]))[0])) for _ in range(2)]
    threads[0].start()
    assert began.wait(60)
    threads[1].start()
    threads[1].join(0.2)
    assert not found, "read with what another process had"
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert times == [-1], "what one had made was thrown away by the other"
    for values in found:
        np.testing.assert_array_equal(values, expected)
    assert len(found) == 2


def read_in_child(shards: ShardSet, queue: Any) -> None:
    queue.put((shards.imu(np.array([7, 1]))[0], shards.frames(np.array([7, 1]))))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same(directory: Path, method: str) -> None:
    shards = ShardSet.open(directory, threads=2)
    expected = shards.imu(np.array([7, 1]))[0], shards.frames(np.array([7, 1]))  # files and threads are open
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=read_in_child, args=(shards, queue))
    child.start()
    found = queue.get(timeout=60)
    child.join(timeout=60)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(pickle.dumps(shards)) < 10_000


def test_the_fingerprint_is_of_the_content(directory: Path, tmp_path: Path) -> None:
    same = make_shards(tmp_path / "same", [5, 0, 4])
    other = make_shards(tmp_path / "other", [5, 0, 3])
    assert ShardSet.open(same).fingerprint == ShardSet.open(directory).fingerprint
    assert ShardSet.open(other).fingerprint != ShardSet.open(directory).fingerprint
    for file in directory.glob("*.h5"):
        assert (same / file.name).read_bytes() == file.read_bytes()


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
