"""VRS, the container in which Project Aria's recordings come: which records of a stream are where in the file.

After https://github.com/facebookresearch/vrs (``FileFormat.h``, ``IndexRecord.cpp``, ``DescriptionRecord.cpp``; Apache
2.0): a header of 80 bytes, a description (texts by stream and for the file), an index, and the records, each behind a
header of 32 bytes. All numbers are little-endian. What is read here: files in one piece with a finished index, as the
data sets publish them; payloads plain, or packed by Zstandard or LZ4.

Shape legend: N records, B bytes of a record.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datamodules.recording import FloatArray, RecordingError

StreamId = tuple[int, int]  # what kind of device, and which one of them from 1: (1202, 1)

STATE, CONFIGURATION, DATA = 1, 2, 3
FILE_HEADER = struct.Struct("<IIQIIqqqQQQII")
RECORD_HEADER = struct.Struct("<IIiIdHBBI")
RECORD_HEADER_FIELDS = np.dtype(
    [("size", "<u4"), ("previous", "<u4"), ("type", "<i4"), ("version", "<u4"), ("time", "<f8"), ("instance", "<u2"),
     ("kind", "u1"), ("compression", "u1"), ("unpacked", "<u4")]
)  # fmt: skip
INDEX_ENTRY = np.dtype([("time", "<f8"), ("size", "<u4"), ("kind", "u1"), ("type", "<i4"), ("instance", "<u2")])
_STREAM_ID = struct.Struct("<iH")
_MAGIC = (b"Visi", b"onRe", b"cord")
_CODECS = {1: "lz4", 2: "zstd"}
_INDEX, _DESCRIPTION = 1, 2  # types of the records that are no stream's
_CLASSIC_INDEX = 2
_INDEX_BLOCK = 1 << 16  # entries looked at in one go
_RECORD_BLOCK = 1 << 10  # records read in one go
_SKIP = 1 << 16  # records that lie further apart, bytes, are read one by one
_LARGEST_PAYLOAD = 1 << 30
_LARGEST_DESCRIPTION = 1 << 26


@dataclass(frozen=True)
class Record:
    """One record: who wrote it, when, and its payload, unpacked."""

    version: int
    time: float
    payload: bytes


@dataclass(frozen=True)
class Records:
    """Records of one stream and kind in the order of the file: their times (N,) s, and where they start (N,)."""

    times: FloatArray
    offsets: NDArray[np.int64]


class VrsFile:
    """An open VRS file.

    Attributes:
        path: the file.
        tags: texts about the file.
        stream_tags: texts about each stream, among them the layouts of its records.
    """

    def __init__(self, path: Path) -> None:
        """Reads header and description; the file stays closed between reads.

        Raises:
            RecordingError: it is missing, no VRS file, cut off, or of a version that isn't read here.
        """
        self.path = path
        if not path.is_file():
            raise RecordingError(f"{path}: not there")
        self._size = path.stat().st_size
        with path.open("rb") as file:
            header = FILE_HEADER.unpack(self._bytes(file, 0, FILE_HEADER.size, "its header"))
            magic = tuple(struct.pack("<I", header[i]) for i in (0, 1, 11))
            if magic != _MAGIC:
                raise RecordingError(f"{path}: no VRS file: it begins with {magic[0] + magic[1]!r}, not b'VisionRe'")
            if header[4] != RECORD_HEADER.size:
                raise RecordingError(
                    f"{path}: its records have headers of {header[4]} bytes; expected {RECORD_HEADER.size}"
                )
            self._index, description, first = header[5:8]
            self.stream_tags, self.tags = self._read_description(file, description)
            if self._index <= 0:
                raise RecordingError(
                    f"{path}: it has no index, so its recording was not finished; 'vrs fix-index' (of the vrs tools) "
                    "can make one"
                )
            index = self._record_header(file, self._index, "its index")
            # The index may stand in front; the first record of a stream follows it then.
            self._first = first or description + self._record_header(file, description, "its description")[0]
            if first == 0 and self._index == self._first:
                self._first += index[0]

    def records(self, wanted: set[StreamId], kind: int = DATA) -> dict[StreamId, Records]:
        """Where the records of some streams are; those without any are left out.

        Memory: 16 bytes a record.

        Raises:
            RecordingError: the index is damaged, or the end of the file is missing.
        """
        times: dict[StreamId, list[FloatArray]] = {stream: [] for stream in wanted}
        offsets: dict[StreamId, list[NDArray[np.int64]]] = {stream: [] for stream in wanted}
        end = self._first
        for entries in self._index_entries():
            ends = end + np.cumsum(entries["size"], dtype=np.int64)
            starts = ends - entries["size"]
            end = int(ends[-1])
            if int(entries["size"].min()) < RECORD_HEADER.size:
                raise RecordingError(f"{self.path}: its index is damaged: a record of {entries['size'].min()} bytes")
            for stream in wanted:
                mine = (entries["type"] == stream[0]) & (entries["instance"] == stream[1]) & (entries["kind"] == kind)
                if mine.any():
                    times[stream].append(entries["time"][mine].astype(np.float64))
                    offsets[stream].append(starts[mine])
        if end > self._size:
            raise RecordingError(
                f"{self.path}: by its index its records end at byte {end}, but it has {self._size}: its end is missing"
            )
        return {s: Records(np.concatenate(times[s]), np.concatenate(offsets[s])) for s in sorted(wanted) if times[s]}

    def record(self, offset: int) -> Record:
        """One record, whatever its size.

        Raises:
            RecordingError: it is damaged; the message says where.
        """
        with self.path.open("rb") as file:
            size, _, _, version, time, _, _, compression, unpacked = self._record_header(file, offset, "a record")
            packed = self._bytes(file, offset + RECORD_HEADER.size, size - RECORD_HEADER.size, "a record")
        return Record(version, time, self._unpack(packed, compression, unpacked, offset))

    def blocks(self, offsets: NDArray[np.int64], size: int) -> Iterator[NDArray[np.uint8]]:
        """Records of ``size`` bytes with their headers, (n, B) at a time; what lies between them is not read.

        Raises:
            RecordingError: a record lies outside the file.
        """
        with self.path.open("rb") as file:
            for first in range(0, offsets.size, _RECORD_BLOCK):
                block = offsets[first : first + _RECORD_BLOCK]
                rows = np.empty((block.size, size), np.uint8)
                bounds = [0, *(np.flatnonzero(np.diff(block) > _SKIP) + 1).tolist(), block.size]
                for a, b in itertools.pairwise(bounds):
                    start, stop = int(block[a]), int(block[b - 1]) + size
                    data = np.frombuffer(self._bytes(file, start, stop - start, "records"), np.uint8)
                    rows[a:b] = np.lib.stride_tricks.sliding_window_view(data, size)[block[a:b] - start]
                yield rows

    def _index_entries(self) -> Iterator[NDArray[np.void]]:
        with self.path.open("rb") as file:
            size, _, kind, version, _, _, _, _, unpacked = self._record_header(file, self._index, "its index")
            if kind != _INDEX or version != _CLASSIC_INDEX:
                raise RecordingError(
                    f"{self.path}: an index of type {kind}, version {version}; expected {_INDEX}, {_CLASSIC_INDEX} "
                    "(a recording in several files: 'vrs copy' of the vrs tools makes one of them)"
                )
            stop = self._index + size
            if stop > self._size:
                raise RecordingError(f"{self.path}: its index should end at byte {stop} of {self._size}: it is cut off")
            at = self._index + RECORD_HEADER.size
            (streams,) = struct.unpack("<I", self._bytes(file, at, 4, "its index"))
            at += 4 + streams * _STREAM_ID.size
            (count,) = struct.unpack("<I", self._bytes(file, at, 4, "its index"))
            at += 4
            if not unpacked and count * INDEX_ENTRY.itemsize > stop - at:
                raise RecordingError(f"{self.path}: its index should have {count} entries, more than fit in it")
            source: BinaryIO = file
            file.seek(at)
            if unpacked:
                # Room that was set aside may follow what is packed: no more is taken than was announced.
                source = pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")
            for first in range(0, count, _INDEX_BLOCK):
                n = min(_INDEX_BLOCK, count - first) * INDEX_ENTRY.itemsize
                try:
                    data = source.read(n)
                except OSError as error:
                    raise RecordingError(f"{self.path}: its index can't be unpacked: {error}") from error
                if len(data) != n:
                    raise RecordingError(f"{self.path}: its index ends after {first} of {count} entries")
                yield np.frombuffer(data, INDEX_ENTRY)

    def _read_description(self, file: BinaryIO, offset: int) -> tuple[dict[StreamId, dict[str, str]], dict[str, str]]:
        size, _, kind, version, _, _, _, compression, _ = self._record_header(file, offset, "its description")
        if kind != _DESCRIPTION or version != 2 or compression or size > _LARGEST_DESCRIPTION:
            raise RecordingError(
                f"{self.path}: a description of type {kind}, version {version}, packing {compression}, {size} bytes; "
                f"expected {_DESCRIPTION}, 2, none"
            )
        data = self._bytes(file, offset + RECORD_HEADER.size, size - RECORD_HEADER.size, "its description")
        at = 4
        streams: dict[StreamId, dict[str, str]] = {}
        try:
            for _ in range(struct.unpack_from("<I", data)[0]):
                stream: StreamId = _STREAM_ID.unpack_from(data, at)
                mine, at = _texts(data, at + _STREAM_ID.size)
                theirs, at = _texts(data, at)
                streams[stream] = mine | theirs
            tags, at = _texts(data, at)
        except (struct.error, UnicodeDecodeError) as error:
            raise RecordingError(f"{self.path}: its description is damaged at byte {at}: {error}") from error
        return streams, tags

    def _record_header(
        self, file: BinaryIO, offset: int, what: str
    ) -> tuple[int, int, int, int, float, int, int, int, int]:
        header = RECORD_HEADER.unpack(self._bytes(file, offset, RECORD_HEADER.size, what))
        if header[0] < RECORD_HEADER.size:
            raise RecordingError(
                f"{self.path}: {what} at byte {offset} is damaged: it says that it has {header[0]} bytes"
            )
        return header

    def _bytes(self, file: BinaryIO, offset: int, count: int, what: str) -> bytes:
        if not 0 <= offset <= offset + count <= self._size:
            raise RecordingError(
                f"{self.path}: {what} should reach from byte {offset} to {offset + count}, but the file has "
                f"{self._size}: its end is missing, or it is damaged"
            )
        file.seek(offset)
        data = file.read(count)
        if len(data) != count:
            raise RecordingError(f"{self.path}: {len(data)} of {count} bytes at {offset} could be read ({what})")
        return data

    def _unpack(self, packed: bytes, compression: int, unpacked: int, offset: int) -> bytes:
        if compression == 0:
            return packed
        if compression not in _CODECS or unpacked > _LARGEST_PAYLOAD:
            raise RecordingError(
                f"{self.path}: the record at byte {offset} is packed by method {compression} to {unpacked} bytes; "
                "expected LZ4 (1) or Zstandard (2)"
            )
        try:
            data = bytes(pa.CompressedInputStream(pa.BufferReader(packed), _CODECS[compression]).read(unpacked))
        except OSError as error:
            raise RecordingError(f"{self.path}: the record at byte {offset} can't be unpacked: {error}") from error
        if len(data) != unpacked:
            raise RecordingError(f"{self.path}: the record at byte {offset} has {len(data)} bytes; expected {unpacked}")
        return data


def _texts(data: bytes, at: int) -> tuple[dict[str, str], int]:
    """A map of texts, and where it ends."""
    (count,) = struct.unpack_from("<I", data, at)
    at += 4
    texts: dict[str, str] = {}
    for _ in range(count):
        pair = []
        for _ in range(2):
            (length,) = struct.unpack_from("<I", data, at)
            if at + 4 + length > len(data):
                raise struct.error(f"a text of {length} bytes reaches beyond its end")
            pair.append(data[at + 4 : at + 4 + length].decode("utf-8"))
            at += 4 + length
        texts[pair[0]] = pair[1]
    return texts, at
