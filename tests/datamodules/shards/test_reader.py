"""Shards as they are read: what was written, in any order, by any process."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from helpers.made_shards import DIRECTORY_SETTINGS as SETTINGS
from helpers.made_shards import make_shards, make_window

from datamodules.shards.reader import ShardSet


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
