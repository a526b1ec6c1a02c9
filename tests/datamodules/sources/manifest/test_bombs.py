"""Tables that are small on the disk and take any memory when they are read: refused in a sentence, and soon."""

from __future__ import annotations

import gzip
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core import bounds
from datamodules.formats.matlab import read_mat
from datamodules.formats.zip_archive import members
from datamodules.recording import RecordingError
from datamodules.sources.manifest.errors import ManifestError
from datamodules.sources.manifest.motion import read_motion
from datamodules.sources.manifest.plain_values import read_yaml
from datamodules.sources.manifest.spec import AccelerationSpec, ImuSpec, SensorSpec, TimeSpec

SPEC = ImuSpec("x", {"wrist": SensorSpec(AccelerationSpec(["ax", "ay", "az"], "g"))}, TimeSpec("t", "s"))
MB = 1 << 20


def parquet(path: Path, rows: int) -> Path:
    """A table of zeros, which takes some bytes for a million rows."""
    schema = pa.schema([(name, pa.float64()) for name in ("t", "ax", "ay", "az")])
    group = 1 << 20
    zeros = pa.table([pa.array(np.zeros(min(rows, group)))] * 4, schema)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for first in range(0, rows, group):
            writer.write_table(zeros.slice(0, min(group, rows - first)))
    return path


@pytest.mark.slow
def test_a_parquet_file_of_75_million_zero_rows_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", 75_000_000)
    assert path.stat().st_size < 2 * MB
    with pytest.raises(
        RecordingError, match=r"a\.parquet: 75,000,000 rows: 2,289 MiB unpacked, from 1 MiB; expected at most 260 MiB"
    ):
        read_motion(path, replace(SPEC, format="parquet"))


def test_a_parquet_file_is_read_up_to_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "UNPACKED_BYTES", MB)
    monkeypatch.setattr(bounds, "UNPACKED_RATIO", 1)
    most = MB // 32
    with pytest.raises(RecordingError, match="time") as caught:  # zeros are no stamps, but they were read
        read_motion(parquet(tmp_path / "a.parquet", most), replace(SPEC, format="parquet"))
    assert "unpacked" not in str(caught.value)
    with pytest.raises(RecordingError, match="unpacked"):
        read_motion(parquet(tmp_path / "b.parquet", most + 1), replace(SPEC, format="parquet"))


def gz(path: Path) -> Path:
    """Rows of zeros, a thousand times as long as the file."""
    rows = b"0,0,0,1\n" * (MB // 8)
    with gzip.open(path, "wb", 9) as file:
        file.write(b"t,ax,ay,az\n")
        for _ in range(20):
            file.write(rows)
    return path


def test_a_packed_table_stops_at_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "UNPACKED_BYTES", 4 * MB)
    path = gz(tmp_path / "a.csv.gz")
    assert path.stat().st_size < 4 * MB // bounds.UNPACKED_RATIO * 10
    with pytest.raises(RecordingError, match=r"a\.csv\.gz.* unpacked, from .* bytes; expected at most .* MiB"):
        read_motion(path, SPEC)


def mat(path: Path, nbytes: int) -> Path:
    """A variable of zeros, packed."""
    packer = zlib.compressobj(9)
    packed = b"".join([*(packer.compress(bytes(MB)) for _ in range(nbytes // MB)), packer.flush()])
    header = b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x100) + b"IM"
    path.write_bytes(header + struct.pack("<II", 15, len(packed)) + packed)
    return path


def test_a_matlab_file_that_unpacks_to_more_than_it_may_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "UNPACKED_BYTES", 16 * MB)
    path = mat(tmp_path / "a.mat", 64 * MB)
    with pytest.raises(RecordingError, match=r"a\.mat: not a readable MATLAB file: 16 MiB unpacked"):
        read_mat(path)
    with pytest.raises(RecordingError) as caught:
        read_mat(mat(tmp_path / "b.mat", 16 * MB))  # just below: unpacked, and found to be no variable
    assert "unpacked" not in str(caught.value)


def archive(path: Path, name: str = "a.csv") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(3):
            file.writestr(f"{number}{name}", bytes(4 * MB))
    return path


def test_an_archive_that_unpacks_to_more_than_it_may_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "a.zip")
    assert len(list(members(path))) == 3
    monkeypatch.setattr(bounds, "UNPACKED_BYTES", 11 * MB)
    with pytest.raises(RecordingError, match=r"a\.zip: not a readable zip archive: 12 MiB unpacked"):
        list(members(path))


def test_a_workbook_that_unpacks_to_more_than_it_may_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openpyxl")
    monkeypatch.setattr(bounds, "UNPACKED_BYTES", 11 * MB)
    with pytest.raises(RecordingError, match=r"a\.xlsx: no Excel workbook that can be read: 12 MiB unpacked"):
        read_motion(archive(tmp_path / "a.xlsx", ".xml"), SPEC)


@pytest.mark.parametrize("shape", ["(4611686018427387904, 4)", "(1000000000, 4)", "(-1, 4)", "(4, " + "1, " * 60 + ")"])
def test_an_array_of_an_absurd_shape_is_refused(tmp_path: Path, shape: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(64))
    numbered = SensorSpec(AccelerationSpec([2, 3, 4], "g"))
    with pytest.raises(RecordingError, match=r"a\.npy"):
        read_motion(path, replace(SPEC, format="npy", sensors={"wrist": numbered}, time=TimeSpec(1, "s")))


@pytest.mark.parametrize(
    "make",
    [
        lambda: "x: &a0 {k: 1}\n" + "".join(f"x{i}: &a{i} {{<<: [{f'*a{i - 1}, ' * 10}]}}\n" for i in range(1, 12)),
        lambda: "[" * 100_000,
    ],
)
def test_a_manifest_that_is_a_bomb_is_refused(tmp_path: Path, make: Callable[[], str]) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(make())
    with pytest.raises(ManifestError, match=r"manifest\.yaml: not valid YAML: .*; expected at most"):
        read_yaml(path)


def workbook(path: Path, rows: str) -> Path:
    """A workbook whose first sheet has these rows of XML."""
    made = path.with_name("made.xlsx")
    pd.DataFrame([[0.0] * 4], columns=["t", "ax", "ay", "az"]).to_excel(made, index=False)
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("sheet1.xml"):
                head = content[: content.index(b"<sheetData>")].replace(b'<dimension ref="A1:D2" />', b"")
                content = head + f"<sheetData>{rows}</sheetData></worksheet>".encode()
            new.writestr(name, content)
    return path


def test_a_row_far_below_the_others_is_refused(tmp_path: Path) -> None:
    """openpyxl makes an empty row for each number that is left out."""
    path = workbook(
        tmp_path / "a.xlsx", '<row r="1"><c r="A1"><v>1</v></c></row><row r="400000000"><c><v>1</v></c></row>'
    )
    assert path.stat().st_size < MB
    with pytest.raises(RecordingError, match=r"a\.xlsx, sheet 'Sheet1': a row beyond 1,048,576; expected at most"):
        read_motion(path, SPEC)


def test_cells_far_to_the_right_are_refused(tmp_path: Path) -> None:
    """openpyxl makes an empty cell for each one that is left out."""
    rows = "".join(f'<row r="{i}"><c r="XFD{i}"><v>1</v></c></row>' for i in range(1, 3000))
    with pytest.raises(RecordingError, match=r"a\.xlsx: no Excel workbook that can be read: 256 MiB unpacked, from"):
        read_motion(workbook(tmp_path / "a.xlsx", rows), SPEC)


def test_an_encrypted_workbook_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", "")
    content = bytearray(path.read_bytes())
    for sign, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(sign)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(sign, at + 4)
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"a\.xlsx: no Excel workbook that can be read: .*encrypted"):
        read_motion(path, SPEC)


def test_a_workbook_without_a_sheet_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", "")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["xl/workbook.xml"] = re.sub(rb"<sheets>.*</sheets>", b"<sheets/>", parts["xl/workbook.xml"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(RecordingError, match=r"a\.xlsx: no sheet in it"):
        read_motion(path, SPEC)
