"""The audit finds a name in every kind of file that the project writes, and says where."""

from __future__ import annotations

import base64
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file
from torch.utils.tensorboard import SummaryWriter

from experiments import privacy_audit
from experiments.privacy import search as module
from experiments.privacy.names import Finder
from experiments.privacy.search import Found, Unsearched, search

NAME = "Wilhelmina"
FINDER = Finder([(3, NAME)])
Write = Callable[[Path, str], object]


def _hdf5(path: Path, write: Callable[[Any], object]) -> None:
    with h5py.File(path, "w") as file:
        write(file)


def _png(kind: bytes, data: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(kind, data) + body + chunk(b"IEND", b"")


def _ztxt(text: str) -> bytes:
    return _png(b"zTXt", b"Title\0\0" + zlib.compress(text.encode()))


def _itxt(text: str) -> bytes:
    return _png(b"iTXt", b"Title\0\1\0en\0\0" + zlib.compress(text.encode()))


def _events(path: Path, text: str) -> None:
    writer = SummaryWriter(str(path))
    writer.add_text("note", text)
    writer.close()


def _event_picture(path: Path, text: str) -> None:
    """A picture inside an event file, with a compressed text inside it."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    picture = Summary.Image(height=1, width=1, colorspace=1, encoded_image_string=_ztxt(text))
    writer = SummaryWriter(str(path))
    writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag="picture", image=picture)]))
    writer.close()


def _zipped(path: Path, name: str, content: bytes, how: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", how) as archive:
        archive.writestr(name, content)


def _gzip_in_zip(path: Path, text: str) -> None:
    _zipped(path, "inner.csv.gz", gzip.compress(text.encode()))


def _tar_gz(path: Path, text: str) -> None:
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("inner.csv")
        info.size = len(text.encode())
        archive.addfile(info, io.BytesIO(text.encode()))


def _compressed_strings(file: Any, text: str) -> None:
    file.create_dataset("people", data=np.array([text.encode()] * 50), compression="gzip")


def _group(file: Any, text: str) -> None:
    file.create_group(f"group/{text}")


def _attribute(file: Any, text: str) -> None:
    file.create_dataset("x", data=np.arange(3)).attrs["who"] = text


FILES: dict[str, tuple[str, Write]] = {
    "text": ("a.txt", lambda p, t: p.write_text(t)),
    "JSON": ("a.json", lambda p, t: p.write_text(json.dumps({"who": t}))),
    "UTF-16": ("a.csv", lambda p, t: p.write_text(t, encoding="utf-16")),
    "upper case": ("a.csv", lambda p, t: p.write_text(t.upper())),
    "gzip": ("a.csv.gz", lambda p, t: p.write_bytes(gzip.compress(t.encode()))),
    "xz": ("a.xz", lambda p, t: p.write_bytes(lzma.compress(t.encode()))),
    "zip": ("a.zip", lambda p, t: _zipped(p, "x", t.encode() * 50)),
    "name of a member": ("a.zip", lambda p, t: _zipped(p, f"{t}.csv", b"x")),
    "gzip in zip": ("a.zip", _gzip_in_zip),
    "tar.gz": ("a.tar.gz", _tar_gz),
    "HDF5 attribute": ("a.h5", lambda p, t: _hdf5(p, lambda f: _attribute(f, t))),
    "HDF5 group": ("a.h5", lambda p, t: _hdf5(p, lambda f: _group(f, t))),
    "HDF5 texts of any length": ("a.h5", lambda p, t: _hdf5(p, lambda f: f.create_dataset("x", data=[t, "b"]))),
    "HDF5 compressed": ("a.h5", lambda p, t: _hdf5(p, lambda f: _compressed_strings(f, t))),
    "checkpoint": ("a.ckpt", lambda p, t: torch.save({"hyper": {"who": [t]}, "w": torch.ones(4)}, p)),
    "safetensors": ("a.safetensors", lambda p, t: save_file({"w": torch.ones(2)}, p, {"who": t})),
    "npz": ("a.npz", lambda p, t: np.savez_compressed(p, who=np.array([t] * 20))),
    "parquet": ("a.parquet", lambda p, t: pq.write_table(pa.table({"who": [t, "b"]}), p, compression="zstd")),
    "TensorBoard": ("events", _events),
    "picture in TensorBoard": ("events", _event_picture),
    "PNG zTXt": ("a.png", lambda p, t: p.write_bytes(_ztxt(t))),
    "PNG iTXt": ("a.png", lambda p, t: p.write_bytes(_itxt(t))),
    "PNG in a page": (
        "a.html",
        lambda p, t: p.write_bytes(b'<img src="data:image/png;base64,' + base64.b64encode(_ztxt(t)) + b'">'),
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_name_is_found_in(kind: str, tmp_path: Path) -> None:
    name, write = FILES[kind]
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    write(tmp_path / "with" / name, NAME)
    write(tmp_path / "without" / name, "somebody's")
    found = list(search(tmp_path / "with", FINDER))
    assert found
    assert all(isinstance(each, Found) and each.line == 3 for each in found)
    assert list(search(tmp_path / "without", FINDER)) == []


def test_names_of_files_folders_and_links_are_looked_at(tmp_path: Path) -> None:
    root = tmp_path / NAME  # is not what was sent: its own name is another's
    (root / f"of {NAME}" / "inner").mkdir(parents=True)
    (root / f"of {NAME}" / "inner" / "a.txt").write_text("x")
    (root / f"empty_{NAME}").mkdir()
    (root / f"{NAME}.csv").write_text("x")
    (root / "link").symlink_to(f"/studies/{NAME}")
    found = [each for each in search(root, FINDER) if isinstance(each, Found)]
    assert sorted((each.path.name, each.place) for each in found) == [
        (f"{NAME}.csv", "its name"),
        (f"empty_{NAME}", "its name"),
        ("link", "where the link points to"),
        (f"of {NAME}", "its name"),
    ]


def test_a_name_across_two_pieces_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 16)
    for before in range(20, 40):
        (tmp_path / "a.txt").write_bytes(b"." * before + NAME.encode() + b"." * 20)
        (found,) = search(tmp_path, FINDER)
        assert isinstance(found, Found)
        assert found.place == f"byte {before}"


def test_what_cant_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + b"no archive" * 10)
    inner = b"deep"
    for number in range(6):
        path = tmp_path / f"{number}.tmp"
        _zipped(path, "x.zip", inner)
        inner = path.read_bytes()
        path.unlink()
    (tmp_path / "b.zip").write_bytes(inner)
    whys = [each.why for each in search(tmp_path, FINDER) if isinstance(each, Unsearched)]
    assert len(whys) == 2
    assert "can't be opened" in whys[0]
    assert "4 deep" in whys[1]


def test_a_bomb_is_not_unpacked_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST", 1 << 20)
    monkeypatch.setattr(module, "_CHUNK", 1 << 16)
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(64 << 20)))
    (unsearched,) = search(tmp_path, FINDER)
    assert isinstance(unsearched, Unsearched)


def test_the_command_says_file_place_and_line_but_no_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, folder = tmp_path / "names.txt", tmp_path / "runs"
    names.write_text(f"Nobody\n{NAME}\n")
    (folder / f"of_{NAME}").mkdir(parents=True)
    (folder / "clean.txt").write_text("nothing")
    assert privacy_audit.main([str(folder / "clean.txt"), "--names", str(names)]) == 0
    assert "none of 2 names was found" in capsys.readouterr().out
    (folder / f"of_{NAME}" / "a.csv").write_text(f"who\n{NAME}\n")
    assert privacy_audit.main([str(folder), "--names", str(names)]) == 1
    out, err = capsys.readouterr()
    assert f"{folder}/of_[line 2]/a.csv: byte 4: name of line 2" in out
    assert "1 of 2 names found, at 2 places" in err
    assert NAME not in out + err
    assert privacy_audit.main([str(folder / "none"), "--names", str(names)]) == 1
    assert privacy_audit.main([str(folder), "--names", str(tmp_path / "none.txt")]) == 1
