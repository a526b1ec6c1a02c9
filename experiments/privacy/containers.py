"""Content of files: members of archives, compressed streams, values of HDF5 and Parquet, texts of PNG, data URIs.

Only what a plain look at a file's bytes does not show is opened here. Everything is bounded: streams are read piece by
piece, and members within members end at a depth.
"""

from __future__ import annotations

import base64
import bz2
import contextlib
import gzip
import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

PNG = b"\x89PNG\r\n\x1a\n"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_DATA_URI = re.compile(rb"base64,([A-Za-z0-9+/=\s]{16,})")
_LARGEST_TEXT = 16 << 20  # bytes of one text of a PNG, once it is not compressed any more
_LARGEST_CHUNK = 64 << 20
_ROWS = 1 << 16

Part = tuple[str, IO[bytes]]


def parts_of(file: IO[bytes], head: bytes) -> Iterator[Part]:
    """Yield what a file holds in a form that hides its bytes: the place within it, and a stream.

    Args:
        file: can be sought in.
        head: its first bytes.

    Raises:
        Exception: the file is not what its first bytes say, or is damaged.
    """
    file.seek(0)
    if head.startswith(b"PK\x03\x04"):
        yield from _zip(file)
    elif head.startswith(b"\x1f\x8b"):
        with gzip.open(file) as stream:
            yield "(gzip)", _stream(stream)
    elif head.startswith(b"BZh"):
        with bz2.open(file) as stream:
            yield "(bzip2)", _stream(stream)
    elif head.startswith(b"\xfd7zXZ\x00"):
        with lzma.open(file) as stream:
            yield "(xz)", _stream(stream)
    elif head.startswith(_HDF5):
        yield from _hdf5(file)
    elif head.startswith(b"PAR1"):
        yield from _parquet(file)
    elif head[257:262] == b"ustar":
        yield from _tar(file)


def texts_of_pngs(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the compressed texts of all PNG pictures within some bytes, e.g. of a TensorBoard event file."""
    start = content.find(PNG)
    while start >= 0:
        place = start + len(PNG)
        while place + 8 <= len(content):
            length, kind = struct.unpack(">I4s", content[place : place + 8])
            if length > _LARGEST_CHUNK or not kind.isalpha():
                break
            if kind in (b"zTXt", b"iTXt"):
                data = content[place + 8 : place + 8 + length]
                with contextlib.suppress(zlib.error, ValueError):
                    yield f"PNG text at byte {place}", _png_text(kind, data)
            place += 12 + length
            if kind == b"IEND":
                break
        start = content.find(PNG, start + 1)


def embedded(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what data URIs of a page hold."""
    for match in _DATA_URI.finditer(content):
        text = re.sub(rb"\s", b"", match.group(1))
        with contextlib.suppress(ValueError):
            yield f"data URI at byte {match.start()}", base64.b64decode(text[: len(text) // 4 * 4])


def _stream(stream: Any) -> IO[bytes]:
    found: IO[bytes] = stream
    return found


def _zip(file: IO[bytes]) -> Iterator[Part]:
    with zipfile.ZipFile(file) as archive:
        yield "(comment)", io.BytesIO(archive.comment)
        for info in archive.infolist():
            yield f"{info.filename}, name", io.BytesIO(info.filename.encode("utf-8", "surrogateescape") + info.comment)
            # What is stored as it is was seen in the archive's own bytes, but it may be a container itself.
            with archive.open(info) as member:
                yield info.filename, member


def _tar(file: IO[bytes]) -> Iterator[Part]:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for info in archive:
            if info.isfile() and (member := archive.extractfile(info)) is not None:
                yield info.name, member


def _hdf5(file: IO[bytes]) -> Iterator[Part]:
    """Yield texts and attributes by the paths of their data sets, and numbers that are compressed."""
    import h5py

    with h5py.File(file, "r") as opened:
        names: list[str] = []
        opened.visit(names.append)
        for name in ["/", *names]:
            yield f"{name}, name", io.BytesIO(name.encode("utf-8", "surrogateescape"))
            item = opened[name]
            for key in item.attrs:
                yield f"{name}, attribute {key}", io.BytesIO(f"{key}\n".encode() + _bytes_of(item.attrs[key]))
            if isinstance(item, h5py.Dataset) and item.size and (item.dtype.kind in "OSU" or item.chunks is not None):
                step = max(1, _ROWS // max(1, int(item.size) // max(1, item.shape[0] if item.shape else 1)))
                for first in range(0, item.shape[0] if item.shape else 1, step):
                    values = item[first : first + step] if item.shape else item[()]
                    yield name, io.BytesIO(_bytes_of(values))


def _bytes_of(value: Any) -> bytes:
    """Join the bytes of an array's texts, one a line, or of its numbers."""
    import numpy as np

    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    array = np.asarray(value)
    if array.dtype.kind not in "OSU":
        return array.tobytes()
    return b"\n".join(_bytes_of(each) if isinstance(each, bytes | str) else str(each).encode() for each in array.flat)


def _parquet(file: IO[bytes]) -> Iterator[Part]:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(file)
    schema = table.schema_arrow
    metadata = [text for key, value in (schema.metadata or {}).items() for text in (key, value)]
    yield "(schema)", io.BytesIO("\n".join(schema.names).encode() + b"\n" + b"\n".join(metadata))
    for batch in table.iter_batches(_ROWS):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            texts = "\n".join(str(value) for value in column.to_pylist())
            yield f"column {name}", io.BytesIO(texts.encode("utf-8", "surrogateescape"))


def _png_text(kind: bytes, data: bytes) -> bytes:
    keyword, _, rest = data.partition(b"\0")
    if kind == b"zTXt":
        return keyword + b"\n" + _inflated(rest[1:])
    compressed, _, rest = rest[:1] == b"\1", rest[:2], rest[2:]
    _language, _, rest = rest.partition(b"\0")
    translated, _, text = rest.partition(b"\0")
    return keyword + b"\n" + translated + b"\n" + (_inflated(text) if compressed else text)


def _inflated(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, _LARGEST_TEXT)
