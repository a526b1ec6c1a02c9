from __future__ import annotations

import errno
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from helpers.small_disk import fill, small_disk
from safetensors.torch import save_file

from core.durable import append_line, write_atomically, write_text
from core.room import NoSpaceError, advice, naming_the_path, out_of_files, reserve

MB = 1 << 20


def _torch(path: Path) -> None:
    with path.open("wb") as file:
        torch.save({"weights": torch.ones(2 * MB // 4)}, file)


def _hdf5(path: Path) -> None:
    with h5py.File(path, "w", locking=False) as file:
        file.create_dataset("x", data=np.ones(2 * MB, np.uint8))


WRITERS = {
    "torch": _torch,
    "safetensors": lambda path: save_file({"w": torch.ones(2 * MB // 4)}, path),
    "hdf5": _hdf5,
    "bytes": lambda path: path.write_bytes(b"x" * 2 * MB),
    "csv": lambda path: pd.DataFrame({"x": np.arange(400_000)}).to_csv(path),
    "parquet": lambda path: pd.DataFrame({"x": np.random.default_rng(0).random(300_000)}).to_parquet(path),
    "array": lambda path: np.ones(2 * MB, np.uint8).tofile(path),
}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_disk(tmp_path_factory.mktemp("disk") / "small") as folder:
        yield folder


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_sentence_whichever_library_writes(disk: Path, name: str) -> None:
    path = disk / "file"
    write_text(path, "old")
    with pytest.raises(
        NoSpaceError, match=r"file: no space left: it needs more, and .* are free there; make room"
    ) as e:
        write_atomically(path, WRITERS[name])
    assert e.value.errno == errno.ENOSPC
    assert [entry.name for entry in disk.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_the_sentence_says_what_is_needed_where_that_is_known(disk: Path) -> None:
    with pytest.raises(NoSpaceError, match=r"it needs 2\.1 MB, and .* free there"):
        write_text(disk / "text", "x" * 2 * MB)


def test_a_reserved_file_can_be_mapped_and_written_on_a_disk_that_became_full(disk: Path) -> None:
    path = disk / "map"
    with path.open("wb") as file:
        reserve(file.fileno(), 300_000, path)
    filling = fill(disk)
    try:
        mapped = np.memmap(path, np.uint8, "r+", shape=(300_000,))
        mapped[:] = 7  # without the blocks this is SIGBUS
        mapped.flush()
        assert np.fromfile(path, np.uint8).min() == 7
    finally:
        filling.unlink()
        path.unlink()


@pytest.mark.parametrize("without", [False, True])
def test_no_room_to_reserve_leaves_the_file_as_it_was(
    disk: Path, monkeypatch: pytest.MonkeyPatch, without: bool
) -> None:
    def cannot(file: int, start: int, length: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "this file system can't reserve")

    if without:
        monkeypatch.setattr(os, "posix_fallocate", cannot)
    path = disk / "map"
    path.write_bytes(b"before")
    try:
        with path.open("r+b") as file, pytest.raises(NoSpaceError, match=r"map: no space left: it needs 5\.0 MB"):
            reserve(file.fileno(), 5_000_000, path)
        assert path.read_bytes() == b"before"
        with path.open("r+b") as file:
            reserve(file.fileno(), 10_000, path)
        assert path.stat().st_size == 10_000
    finally:
        path.unlink()


def test_a_journal_is_as_it_was_when_a_line_does_not_fit(disk: Path) -> None:
    path = disk / "journal"
    append_line(path, "one")
    filling = fill(disk)
    try:
        with pytest.raises(NoSpaceError, match=r"journal: no space left: it needs 0\.1 MB, and 0 bytes are free"):
            append_line(path, "x" * 100_000)
        assert path.read_text() == "one\n"
    finally:
        filling.unlink()
    append_line(path, "two")
    assert path.read_text() == "one\ntwo\n"
    path.unlink()


LIMITED = """
import resource, signal, sys
from pathlib import Path
from core.durable import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_text(Path(sys.argv[1]), "x" * 200_000)
except OSError as error:
    print(error)
"""


def test_a_limit_of_the_size_of_files_is_named(tmp_path: Path) -> None:
    said = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / "file")], capture_output=True, text=True)
    limit = "more than the limit of 0.1 MB (ulimit -f) allows in a file"
    assert said.stdout == f"{tmp_path / 'file'}: it needs 0.2 MB, {limit}\n"
    assert not list(tmp_path.iterdir())


def test_the_error_survives_the_way_from_a_worker() -> None:
    error = NoSpaceError(errno.ENOSPC, "x: no space left")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.errno, type(again)) == ("x: no space left", errno.ENOSPC, NoSpaceError)


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), naming_the_path(tmp_path / "file"):
        (tmp_path / "nothing").read_bytes()
    with pytest.raises(ValueError, match="wrong"), naming_the_path(tmp_path / "file"):
        raise ValueError("wrong")


def test_a_lack_of_descriptors_is_a_sentence_and_known_behind_other_errors(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    path = tmp_path / "file"
    path.touch()
    opened: list[int] = []
    used = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files") as caught:
            opened.extend(os.open(path, os.O_RDONLY) for _ in range(used + 4))
    finally:
        for number in opened:
            os.close(number)
        said = advice(caught.value)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert said.startswith(f"{path} can't be opened: this process may hold {used + 3} files open at once, and needs")
    wrapped = ValueError("no Parquet file that can be read")
    wrapped.__cause__ = caught.value
    assert out_of_files(wrapped)
    assert not out_of_files(ValueError("damaged"))


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
@pytest.mark.parametrize("name", ["safetensors", "torch", "hdf5", "bytes"])
def test_files_have_the_permissions_that_the_umask_leaves(tmp_path: Path, name: str, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "file", WRITERS[name])
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
