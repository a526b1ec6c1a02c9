"""Rows of files: the bytes that are there, whatever the order, the number of open files, threads and forks."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.io import row_reader
from datamodules.io.row_reader import RowReader

SIZES = (100, 64, 7, 0, 333)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, rng = tmp_path_factory.mktemp("rows"), np.random.default_rng(0)
    found = [folder / f"{number}.bin" for number in range(len(SIZES))]
    for path, size in zip(found, SIZES, strict=True):
        path.write_bytes(rng.bytes(size))
    return found


def read(reader: RowReader, wanted: list[tuple[int, int]], row: int) -> np.ndarray:
    out = np.zeros((len(wanted), row), np.uint8)
    files, offsets = (np.array(column, np.int64) for column in (zip(*wanted, strict=True) if wanted else ((), ())))
    reader.rows(files, offsets, out)
    return out


def expected(paths: list[Path], wanted: list[tuple[int, int]], row: int) -> np.ndarray:
    row_reader = [np.frombuffer(paths[file].read_bytes()[at : at + row], np.uint8) for file, at in wanted]
    return np.array(row_reader, np.uint8).reshape(len(wanted), row)


@given(
    data=st.data(),
    row=st.integers(1, 7),
    max_open=st.integers(1, 6),
    slow=st.integers(0, 1),
    many=st.sampled_from([1, 4, 1000]),  # in one call, in one call or one by one, one by one
)
def test_rows_are_what_the_files_hold(
    paths: list[Path], data: st.DataObject, row: int, max_open: int, slow: int, many: int
) -> None:
    at = (
        st.integers(0, 4)
        .filter(lambda file: SIZES[file] >= row)
        .flatmap(lambda file: st.tuples(st.just(file), st.integers(0, SIZES[file] - row)))
    )
    wanted = data.draw(st.lists(at, max_size=30))
    # Neighbours, which are read at once, also beyond the end of a file into the next.
    wanted += [(0, k * row) for k in range(100 // row)] + [(1, k * row) for k in range(64 // row)]
    reader = RowReader(paths, max_open)
    reader._slow_calls = slow
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_reader, "_MIN_BATCHED", many)
        np.testing.assert_array_equal(read(reader, wanted, row), expected(paths, wanted, row))
    assert len(reader._files) <= max_open


def test_neighbours_are_read_at_once(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    calls, preadv = [], os.preadv
    monkeypatch.setattr(os, "preadv", lambda *given: calls.append(given) or preadv(*given))
    wanted = [(4, 0), (4, 10), (4, 20), (4, 50), (0, 60), (0, 70), (0, 60)]
    np.testing.assert_array_equal(read(RowReader(paths), wanted, 10), expected(paths, wanted, 10))
    assert [(len(buffers[0]), at) for _, buffers, at in calls] == [(30, 0), (10, 50), (20, 60), (10, 60)]


@pytest.mark.parametrize("row", [2, 7, 100])
def test_files_that_give_less_than_was_asked_for(paths: list[Path], monkeypatch: pytest.MonkeyPatch, row: int) -> None:
    """As Linux beyond 2 GiB, and some file systems at any time."""
    preadv = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, at: preadv(file, (buffers[0][:7],), at))
    wanted = [(4, 0), (4, row), (4, 2 * row), (0, 0)]
    np.testing.assert_array_equal(read(RowReader(paths), wanted, row), expected(paths, wanted, row))
    with pytest.raises(OSError, match=r"4\.bin: 33 bytes at byte 300; expected 100"):
        read(RowReader(paths), [(4, 300)], 100)


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="nothing can be announced")
def test_what_comes_slowly_is_announced_for_a_while(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, int]] = []
    monkeypatch.setattr(
        os, "posix_fadvise", lambda file, at, n, what: what == os.POSIX_FADV_WILLNEED and said.append((at, n))
    )
    monkeypatch.setattr(row_reader, "_SLOW_CALLS", 3)
    reader, out = RowReader(paths), np.zeros(10, np.uint8)
    monkeypatch.setattr(row_reader, "_SLOW_S", 100.0)
    reader.read(0, 0, out)
    reader.announce(0, 5, 10)
    assert said == [], "it would only take time"
    monkeypatch.setattr(row_reader, "_SLOW_S", -1.0)
    reader.read(0, 0, out)
    monkeypatch.setattr(row_reader, "_SLOW_S", 100.0)
    reader.announce(0, 5, 10)
    read(reader, [(4, 0), (4, 20)], 10)  # fast, as of what was announced; it says so of its own rows too
    reader.announce(0, 6, 10)
    assert said == [(5, 10), (0, 10), (20, 10), (6, 10)]
    for _ in range(2):
        reader.read(0, 0, out)
    reader.announce(0, 7, 10)
    assert len(said) == 4


def test_no_rows(paths: list[Path]) -> None:
    assert read(RowReader(paths), [], 5).shape == (0, 5)


@pytest.mark.parametrize(("file", "at", "found"), [(2, 5, 2), (3, 0, 0), (0, 1000, 0)])
def test_the_end_of_a_file_is_an_error(paths: list[Path], file: int, at: int, found: int) -> None:
    with pytest.raises(OSError, match=rf"{file}\.bin: {found} bytes at byte {at}; expected 4"):
        read(RowReader(paths), [(file, at)], 4)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.bin"):
        read(RowReader([tmp_path / "gone.bin"]), [(0, 0)], 4)


def test_files_are_closed_again(paths: list[Path]) -> None:
    known = {path.resolve() for path in paths}

    def open_now() -> int:
        return sum(1 for file in Path("/proc/self/fd").glob("*") if file.resolve() in known)

    before = open_now()
    for max_open in (1, 3, 5):
        reader = RowReader(paths, max_open)
        read(reader, [(file, 0) for file in (0, 1, 2, 4, 0, 4)], 4)
        assert open_now() - before in (0, min(max_open, 4))  # 0 without Linux's /proc
        del reader
        assert open_now() == before


def test_threads_that_push_each_others_files_out(paths: list[Path]) -> None:
    reader, wrong = RowReader(paths, max_open=1), []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(300):
            wanted = [(int(file), int(rng.integers(0, SIZES[file] - 4))) for file in rng.choice([0, 1, 2, 4], 5)]
            if not np.array_equal(read(reader, wanted, 4), expected(paths, wanted, 4)):
                wrong.append(wanted)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def send(reader: RowReader, queue: Any) -> None:
    queue.put(read(reader, [(4, 300), (0, 0)], 8))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes(paths: list[Path], method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    reader = RowReader(paths)
    here = read(reader, [(4, 300), (0, 0)], 8)
    queue = context.Queue()
    child = context.Process(target=send, args=(reader, queue))
    child.start()
    there = queue.get(timeout=60)
    child.join(timeout=60)
    np.testing.assert_array_equal(there, here)
    np.testing.assert_array_equal(read(reader, [(4, 300), (0, 0)], 8), here)
    assert pickle.loads(pickle.dumps(reader))._max_open == reader._max_open


def test_a_fork_while_another_thread_opens_a_file(paths: list[Path]) -> None:
    """Of all threads only the one that forks goes on in the child, so nobody there would let go of the lock."""
    reader, context = RowReader(paths), multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=send, args=(reader, queue))
    with reader._lock:
        child.start()
    try:
        there = queue.get(timeout=60)
    finally:
        child.kill()
        child.join()
    np.testing.assert_array_equal(there, read(reader, [(4, 300), (0, 0)], 8))
