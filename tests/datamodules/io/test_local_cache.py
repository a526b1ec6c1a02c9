"""A folder with a limit: who leaves, who stays, and what happens where there is no room."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from helpers.object_store import bytes_in
from helpers.small_disk import small_disk
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.io.local_cache import LocalCache
from datamodules.io.prefetch import Piece, Prefetch
from datamodules.io.store import StorageError


def piece(name: str, nbytes: int = 10, fetched: list[str] | None = None) -> Piece:
    """A piece whose bytes are the first letter of its name."""

    def fill(file: BinaryIO) -> None:
        if fetched is not None:
            fetched.append(name)
        file.write(name[:1].encode() * nbytes)

    return Piece(name, nbytes, fill)


def content(cache: LocalCache, wanted: Piece) -> bytes:
    with cache.pinned(wanted) as mapped:
        return mapped.array("|u1", (wanted.nbytes,)).tobytes()


def names(cache: LocalCache) -> set[str]:
    return {path.name.partition(".")[0] for path in cache.directory.glob("*.piece")}


def test_the_least_recently_used_leaves(tmp_path: Path) -> None:
    fetched: list[str] = []
    cache = LocalCache(tmp_path / "new", 30)
    for name in ("a", "b", "c", "a", "d", "a", "b"):
        assert content(cache, piece(name, 10, fetched)) == name.encode() * 10
    assert fetched == ["a", "b", "c", "d", "b"]
    assert names(cache) == {"a", "b", "d"}
    content(cache, piece("e", 25))
    assert names(cache) == {"e"}


def test_what_is_mapped_stays(tmp_path: Path) -> None:
    cache = LocalCache(tmp_path, 20, patience_s=0.0)
    held = cache.open(piece("a"))
    array = held.array("|u1", (10,))
    content(cache, piece("b"))
    content(cache, piece("c"))
    assert names(cache) == {"a", "c"}
    other = cache.open(piece("c"))
    held.close()
    with pytest.raises(StorageError, match=r"no room for d .* within 0 s: .*paths.cache_gb"):
        content(cache, piece("d"))
    assert array.tobytes() == b"a" * 10, "an array keeps its file after the map was closed"
    del array
    content(cache, piece("d"))
    assert names(cache) == {"c", "d"}
    other.close()


def test_room_is_waited_for(tmp_path: Path) -> None:
    cache = LocalCache(tmp_path, 10, patience_s=60.0)
    held = cache.open(piece("a"))
    timer = threading.Timer(0.2, held.close)
    timer.start()
    assert content(cache, piece("b")) == b"b" * 10
    timer.join()
    assert names(cache) == {"b"}


def test_only_its_own_files_are_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x" * 1000)
    cache = LocalCache(tmp_path, 10)
    content(cache, piece("a"))
    content(cache, piece("b"))
    assert (tmp_path / "thesis.tex").read_text() == "x" * 1000


def test_what_was_given_up_leaves_nothing(tmp_path: Path) -> None:
    cache = LocalCache(tmp_path, 10)

    def torn(file: BinaryIO) -> None:
        file.write(b"half")
        raise StorageError("torn")

    with pytest.raises(StorageError, match="torn"):
        content(cache, Piece("a", 10, torn))
    assert bytes_in(tmp_path) == 0
    assert content(cache, piece("a")) == b"a" * 10


def test_files_of_the_killed_and_of_broken_disks(tmp_path: Path) -> None:
    cache = LocalCache(tmp_path, 10)
    (tmp_path / "x.piece.part").write_bytes(b"x" * 10)  # nobody holds its lock
    assert content(cache, piece("a")) == b"a" * 10
    assert not (tmp_path / "x.piece.part").exists()
    os.truncate(tmp_path / "a.piece", 5)
    assert content(cache, piece("a")) == b"a" * 10


def test_a_piece_is_fetched_by_one(tmp_path: Path) -> None:
    cache, fetched, started, go = LocalCache(tmp_path, 100), [], threading.Event(), threading.Event()

    def slow(file: BinaryIO) -> None:
        fetched.append("a")
        started.set()
        assert go.wait(60)
        file.write(b"a" * 10)

    threads = [threading.Thread(target=content, args=(cache, Piece("a", 10, slow))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert started.wait(60)
    go.set()
    for thread in threads:
        thread.join()
    assert fetched == ["a"]


def test_whoever_comes_too_late_to_fetch_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    cache, late = LocalCache(tmp_path, 100), LocalCache(tmp_path, 100)
    guarded = LocalCache._guarded

    def overtaken(self: LocalCache) -> AbstractContextManager[None]:
        if self is late and not fetched:
            cache.open(piece("a", 10, fetched)).close()
        return guarded(self)

    monkeypatch.setattr(LocalCache, "_guarded", overtaken)
    assert content(late, piece("a", 10, fetched)) == b"a" * 10
    assert fetched == ["a"]
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file: the cache can't be used: "):
        content(LocalCache(tmp_path / "file", 10), piece("a"))
    with pytest.raises(StorageError, match=r"file: the cache can't be used: "):
        LocalCache(tmp_path / "file", 10).find("a")


@settings(max_examples=15, deadline=None)
@given(
    asked=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 12)), max_size=25),
    limit=st.integers(12, 40),
)
def test_never_more_than_the_limit(tmp_path_factory: pytest.TempPathFactory, asked: list[Any], limit: int) -> None:
    cache = LocalCache(tmp_path_factory.mktemp("cache"), limit)
    for name, nbytes in asked:
        assert content(cache, piece(f"{name}{nbytes}", nbytes)) == name.encode() * nbytes
        assert bytes_in(cache.directory) <= limit


class Recorder:
    """Stands for a cache; says what was brought, and in which order."""

    def __init__(self) -> None:
        self.brought: list[str] = []
        self._news = threading.Condition()

    def bring(self, wanted: Piece) -> None:
        with self._news:
            self.brought.append(wanted.name)
            self._news.notify_all()
        if wanted.name.startswith("bad"):
            raise StorageError("no")

    def after(self, count: int) -> list[str]:
        """What was brought, once that many were."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.brought) >= count, 60)
            return list(self.brought)


def test_what_is_expected_is_brought_in_order_within_the_budget() -> None:
    recorder = Recorder()
    ahead = Prefetch(recorder.bring, budget=20, connections=1)
    ahead.expect([piece(name) for name in "abcd"])
    assert recorder.after(2) == ["a", "b"]
    ahead.expect([piece(name) for name in "ab"])  # on hand already
    ahead.expect([piece("e")], next_up=True)
    ahead.mark_used(piece("c"))  # somebody fetched it without waiting
    assert recorder.brought == ["a", "b"], "the budget is spent until something is used"
    ahead.mark_used(piece("b"))
    assert recorder.after(3) == ["a", "b", "e"]
    ahead.mark_used(piece("e"))
    assert recorder.after(4) == ["a", "b", "e", "d"]


def test_what_cannot_be_brought_holds_nothing_up() -> None:
    recorder = Recorder()
    ahead = Prefetch(recorder.bring, budget=10, connections=1)
    ahead.expect([piece("bad"), piece("a")])
    assert recorder.after(2) == ["bad", "a"]


def test_what_is_forgotten_gives_its_budget_back() -> None:
    recorder = Recorder()
    ahead = Prefetch(recorder.bring, budget=10, connections=1)
    ahead.expect([piece("a"), piece("b")])
    assert recorder.after(1) == ["a"]
    ahead.forget()
    ahead.expect([piece("c")])
    assert recorder.after(2) == ["a", "c"]


def test_a_failed_prefetch_is_told_to_whoever_needs_the_piece(tmp_path: Path) -> None:
    cache = LocalCache(tmp_path, 100)

    def fail(file: BinaryIO) -> None:
        raise StorageError("gone")

    cache.prefetch.expect([Piece("a", 10, fail)])
    with pytest.raises(StorageError, match="gone"):
        cache.open(Piece("a", 10, fail))


def test_a_forked_process_has_its_own_threads(tmp_path: Path) -> None:
    cache = LocalCache(tmp_path, 100)
    before = cache.prefetch
    cache.open(piece("a")).close()
    child = os.fork()
    if child == 0:
        fine = cache.prefetch is not before and content(cache, piece("b")) == b"b" * 10
        os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cache.prefetch is before
    assert np.array_equal(sorted(names(cache)), ["a", "b"])


def test_a_disk_with_less_room_than_the_limit_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        cache = LocalCache(disk, 10**9)
        with pytest.raises(StorageError, match=r"b\.piece\.part: no space left: it needs 5\.0 MB, and .* free"):
            cache.open(piece("b", 5_000_000))
        assert content(cache, piece("a", 10)) == b"a" * 10
        assert {path.name for path in disk.iterdir()} == {".lock", "a.piece"}
