from __future__ import annotations

import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.made_sets import zipped

from datamodules.formats.zip_archive import members
from datamodules.recording import RecordingError


def test_files_in_archives_in_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    inner = zipped({"x/c.csv": "3", "deep.zip": zipped({"d.csv": "4"})})
    path.write_bytes(zipped({"b.csv": "2", "__MACOSX/b.csv": "not it", "part_1.zip": inner}))
    found = [(m.name, m.archive, m.where) for m in members(path)]
    assert found == [
        ("b.csv", "a.zip", f"{path}/b.csv"),
        ("c.csv", "part_1.zip", f"{path}/part_1.zip/x/c.csv"),
        ("deep.zip", "part_1.zip", f"{path}/part_1.zip/deep.zip"),
    ]
    assert [m.read() for m in members(path)][:2] == [b"2", b"3"]


@pytest.mark.parametrize("damage", [lambda b: b[:-5], lambda b: b"", lambda b: b.replace(b"\x03\x04", b"\x00\x00")])
def test_a_damaged_archive_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(damage(zipped({"b.csv": "2" * 100})))
    with pytest.raises(RecordingError, match=r"a\.zip"):
        [m.read() for m in members(path)]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_file_is_named_however_it_is_packed(tmp_path: Path, method: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("b.csv", random.Random(0).randbytes(5000))
    content = bytearray(path.read_bytes())
    content[45:60] = (byte ^ 0xFF for byte in content[45:60])  # behind the file's own header
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"a\.zip/b\.csv: can't be unpacked"):
        [m.read() for m in members(path)]


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"a\.zip: not there"):
        list(members(tmp_path / "a.zip"))


def test_what_is_said_of_a_damaged_archive_stays_short(tmp_path: Path) -> None:
    """Where two names of a member differ, zipfile quotes both."""
    path = tmp_path / "a.zip"
    content = zipped({"n" * 3000: "x"})
    path.write_bytes(content.replace(b"n", b"m", 1))
    with pytest.raises(RecordingError, match="can't be unpacked") as caught:
        [m.read() for m in members(path)]
    assert len(str(caught.value)) < 3000 + len(str(path)) + 300
