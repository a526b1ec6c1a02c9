"""Many reads in one call: the bytes that the ordinary way gives, and never less without saying so."""

from __future__ import annotations

import ctypes
import errno
import multiprocessing
import os
import platform
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.io import batched_read
from datamodules.io.batched_read import read_many
from datamodules.io.row_reader import RowReader

N = 5000
ROW = 24


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "rows.bin"
    path.write_bytes(np.random.default_rng(0).bytes(N * ROW))
    return path


@pytest.fixture(scope="module")
def file(path: Path) -> Iterator[int]:
    number = os.open(path, os.O_RDONLY)
    yield number
    os.close(number)


@pytest.fixture(scope="module")
def possible() -> None:
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("io_submit is asked for on Linux, on x86-64 and 64-bit ARM")
    # By another way than the one that is tested: what is wrong there must not look like a system without it.
    setup, context = (206 if platform.machine() == "x86_64" else 0), ctypes.c_ulong(0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(setup), ctypes.c_long(1), ctypes.byref(context)):
        pytest.skip(f"this system forbids io_setup: {os.strerror(ctypes.get_errno())}")


def read(file: int, offsets: np.ndarray, nbytes: int = ROW) -> tuple[np.ndarray, np.ndarray]:
    """How many bytes each read gave, and what lies in memory then."""
    out = np.zeros((len(offsets), nbytes), np.uint8)
    n = len(offsets)
    memory = out.ctypes.data + nbytes * np.arange(n)
    return read_many(np.full(n, file), offsets.astype(np.int64), memory, np.full(n, nbytes)), out


@pytest.mark.usefixtures("possible")
@given(
    rows=st.lists(st.integers(0, N - 1), max_size=40), repeats=st.sampled_from([1, 60])
)  # up to more than one call takes
def test_every_stretch_is_where_it_belongs(path: Path, file: int, rows: list[int], repeats: int) -> None:
    wanted = np.array(rows * repeats, np.int64)
    found, out = read(file, wanted * ROW)
    assert (found == ROW).all()
    expected = np.frombuffer(path.read_bytes(), np.uint8).reshape(N, ROW)
    np.testing.assert_array_equal(out, expected[wanted])


@pytest.mark.usefixtures("possible")
def test_what_a_file_lacks_is_told(file: int) -> None:
    end = N * ROW
    found, out = read(file, np.array([end - 5, 0, end, end + 100, end - ROW]))
    assert found.tolist() == [5, ROW, 0, 0, ROW]
    assert not out[0, 5:].any()


@pytest.mark.usefixtures("possible")
def test_a_read_that_fails_leaves_the_others_to_the_caller(file: int) -> None:
    out = np.zeros((4, ROW), np.uint8)
    files = np.array([file, file, 10**6, file])  # no such descriptor
    found = read_many(files, np.zeros(4, np.int64), out.ctypes.data + ROW * np.arange(4), np.full(4, ROW))
    assert found.tolist() == [ROW, ROW, 0, 0]
    assert (out[:2] == out[0]).all()
    assert read(file, np.array([7]))[0].tolist() == [ROW], "what was left of it would come as somebody else's"


@pytest.mark.parametrize("reason", [errno.ENOSYS, errno.EPERM, errno.EAGAIN])
def test_a_system_without_it_reads_in_the_ordinary_way(
    path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    asked = []

    def refuse(number: int, *_: object) -> int:
        asked.append(number)
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(batched_read, "_supported", True)
    monkeypatch.setattr(batched_read, "_call", refuse)
    waiting = list(batched_read._queues)
    batched_read._queues.clear()
    wanted = np.random.default_rng(1).permutation(N)[:200]
    try:
        for _ in range(3):
            out = np.zeros((200, ROW), np.uint8)
            RowReader([path]).rows(np.zeros(200, np.int64), wanted * ROW, out)
            np.testing.assert_array_equal(out, np.frombuffer(path.read_bytes(), np.uint8).reshape(N, ROW)[wanted])
    finally:
        batched_read._queues.extend(waiting)
    # A limit that others use up may have room later; what isn't there will not come.
    assert len(asked) == (3 if reason == errno.EAGAIN else 1)


@pytest.mark.usefixtures("possible")
@pytest.mark.parametrize("cut", [0, 17])
def test_a_file_that_became_shorter_is_named(path: Path, tmp_path: Path, cut: int) -> None:
    short = tmp_path / "short.bin"
    short.write_bytes(path.read_bytes()[: 100 * ROW + cut])
    rows = np.append(np.arange(98, -2, -2), 100)  # no neighbours, so that there are many reads, of which one fails
    out = np.zeros((len(rows), ROW), np.uint8)
    with pytest.raises(OSError, match=rf"short\.bin: {cut} bytes at byte {100 * ROW}; expected {ROW}"):
        RowReader([short]).rows(np.zeros(len(rows), np.int64), rows * ROW, out)


@pytest.mark.usefixtures("possible")
def test_threads_beside_each_other(path: Path, file: int) -> None:
    content, wrong = np.frombuffer(path.read_bytes(), np.uint8).reshape(N, ROW), []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(200):
            wanted = rng.integers(0, N, 300)
            found, out = read(file, wanted * ROW)
            if not ((found == ROW).all() and np.array_equal(out, content[wanted])):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(batched_read._queues) <= 5


def send(file: int, queue: Any) -> None:
    first = read(file, np.array([3 * ROW]))
    queue.put((first[0].tolist(), read(file, np.array([0, ROW]))[0].tolist(), len(batched_read._queues)))


@pytest.mark.usefixtures("possible")
@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_fork_reads_and_leaves_its_parents_alone(file: int) -> None:
    queues = [queue for queue in (batched_read._take() for _ in range(3)) if queue is not None]
    assert len(queues) == 3
    batched_read._queues.extend(queues)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=send, args=(file, queue))
    child.start()
    assert queue.get(timeout=60) == ([ROW], [ROW, ROW], 1), "one of its own, and none that it took over"
    child.join(timeout=60)
    assert read(file, np.array([0, ROW]))[0].tolist() == [ROW, ROW]


@pytest.mark.usefixtures("possible")
def test_an_interrupt_in_between_leaves_nothing_behind(file: int, monkeypatch: pytest.MonkeyPatch) -> None:
    call = batched_read._call

    def interrupted(number: int, *given: object) -> int:
        if number == batched_read._GETEVENTS:
            raise KeyboardInterrupt
        return call(number, *given)

    monkeypatch.setattr(batched_read, "_call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read(file, np.array([0, ROW, 2 * ROW]))
    monkeypatch.setattr(batched_read, "_call", call)
    found, _ = read(file, np.array([N * ROW - 1]))
    assert found.tolist() == [1], "its own, and not what the call before left"


@pytest.mark.usefixtures("possible")
def test_only_who_made_a_context_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = batched_read._Queue(), batched_read._Queue()
    theirs._process = os.getppid()
    call, ended = batched_read._call, []

    def told(number: int, *given: object) -> int:
        if number == batched_read._DESTROY:
            ended.append(given[0])
        return call(number, *given)

    monkeypatch.setattr(batched_read, "_call", told)
    context = ours._context
    del ours, theirs
    assert ended == [context]


@pytest.mark.usefixtures("possible")
@pytest.mark.parametrize("number", ["_SUBMIT", "_GETEVENTS"])
def test_a_call_that_is_forbidden_later(path: Path, file: int, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    call = batched_read._call

    def forbid(asked: int, *given: object) -> int:
        if asked == getattr(batched_read, number):
            raise PermissionError(errno.EPERM, "forbidden")
        return call(asked, *given)

    monkeypatch.setattr(batched_read, "_call", forbid)
    monkeypatch.setattr(batched_read, "_supported", True)
    assert read(file, np.arange(50) * ROW)[0].tolist() == [0] * 50
    out = np.zeros((50, ROW), np.uint8)
    RowReader([path]).rows(np.zeros(50, np.int64), np.arange(50)[::-1] * ROW, out)
    np.testing.assert_array_equal(out[::-1], np.frombuffer(path.read_bytes()[: 50 * ROW], np.uint8).reshape(50, ROW))
