"""Small VRS files as Project Aria's glasses write them: written from the format's description, not by its library."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import simplejpeg
from numpy.typing import NDArray

from datamodules.formats.vrs import DATA, FILE_HEADER, INDEX_ENTRY, RECORD_HEADER, RECORD_HEADER_FIELDS

Stream = tuple[int, int]
SAMPLE = np.dtype(
    {
        "names": ["accelerometer_valid", "gyroscope_valid", "capture_timestamp_ns", "accelerometer", "gyroscope"],
        "formats": ["?", "?", "<i8", ("<f4", 3), ("<f4", 3)],
        "offsets": [0, 1, 11, 43, 55],
        "itemsize": 79,
    }
)
_VRS_TYPES = {"?": "Bool", "<i8": "int64_t", "<f4": "float"}
_CODES = {"": 0, "lz4": 1, "zstd": 2}
MATRIX = [[1.0, 0.01, 0.0], [0.0, 0.99, 0.02], [0.0, 0.0, 1.02]]
BIAS = [0.1, -0.2, 0.3]


def layout_text(dtype: np.dtype[Any]) -> str:
    fields = []
    for name, (kind, offset, *_) in (dtype.fields or {}).items():
        base, shape = kind.subdtype or (kind, ())
        text = _VRS_TYPES[{"bool": "?", "int64": "<i8", "float32": "<f4"}[base.name]]
        piece = {"name": name, "type": f"DataPiece{'Array' if shape else 'Value'}<{text}>", "offset": offset}
        fields.append(piece | ({"size": shape[0]} if shape else {}))
    return json.dumps({"data_layout": fields})


def calibration(labels: Sequence[str] = ("imu-left", "imu-right")) -> str:
    part = {"Model": {"RectificationMatrix": MATRIX}, "Bias": {"Offset": BIAS}}
    return json.dumps({"ImuCalibrations": [{"Label": n, "Accelerometer": part, "Gyroscope": part} for n in labels]})


def samples(stamps: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.void]:
    """Samples of one sensor that are all valid."""
    rows = np.zeros(len(stamps), SAMPLE)
    rows["accelerometer_valid"] = rows["gyroscope_valid"] = True
    rows["capture_timestamp_ns"] = stamps
    rows["accelerometer"], rows["gyroscope"] = values[:, :3], values[:, 3:]
    return rows


def frame_payload(stamp: int, pixels: NDArray[np.uint8]) -> bytes:
    return bytes(44) + struct.pack("<q", stamp) + bytes(32) + simplejpeg.encode_jpeg(pixels, 95)


def make_vrs(
    path: Path,
    motion: Mapping[Stream, NDArray[np.void]],
    frames: Mapping[Stream, Sequence[tuple[int, bytes]]] | None = None,
    packing: str = "",
    packed_index: bool = True,
    index_in_front: bool = True,
    tags: Mapping[str, str] | None = None,
    stream_tags: Mapping[str, str] | None = None,
) -> None:
    """Write a file; records of all streams are mixed by their times, as a recorder does.

    Args:
        path: the file.
        motion: stream -> samples.
        frames: stream -> (stamp in ns, payload).
        packing: how frames are packed: "", "lz4" or "zstd".
        packed_index: whether the index is packed, and has room to spare behind it.
        index_in_front: or behind all records.
        tags: texts about the file; the default has a calibration.
        stream_tags: texts that replace those of every stream.
    """
    frames = frames or {}
    parts: list[tuple[int, Stream, bytes]] = []
    for stream, rows in motion.items():
        blob, size = rows.tobytes(), SAMPLE.itemsize
        stamps = rows["capture_timestamp_ns"].tolist()
        parts += [(t, stream, blob[i * size : (i + 1) * size]) for i, t in enumerate(stamps)]
    parts += [(stamp, stream, payload) for stream, shots in frames.items() for stamp, payload in shots]
    parts.sort(key=lambda part: part[0])
    entries, body = np.zeros(len(parts), INDEX_ENTRY), bytearray()
    for i, (stamp, stream, payload) in enumerate(parts):
        codec = packing if stream in frames else ""
        stored = _packed(payload, codec) if codec else payload
        unpacked = len(payload) if codec else 0
        size = RECORD_HEADER.size + len(stored)
        body += RECORD_HEADER.pack(size, 0, stream[0], 2, stamp * 1e-9, stream[1], DATA, _CODES[codec], unpacked)
        body += stored
        entries[i] = (stamp * 1e-9, size, DATA, *stream)
    description = _description([*motion, *frames], set(motion), tags, stream_tags)
    index = _index(sorted({*motion, *frames}), entries, packed_index)
    start = FILE_HEADER.size + len(description)
    index_at, first = (start, start + len(index)) if index_in_front else (start + len(body), start)
    with path.open("wb") as file:
        file.write(_file_header(index_at, first))
        file.write(description)
        file.write(index + body if index_in_front else body + index)


def make_long_vrs(path: Path, n: int, rate: int) -> None:
    """``n`` samples of the left IMU at rest, written at once: records one by one would take minutes."""
    whole = np.zeros(n, np.dtype([("header", RECORD_HEADER_FIELDS), ("sample", SAMPLE)]))
    stamps = np.arange(n, dtype=np.int64) * 1_000_000_000 // rate
    for name, value in (
        ("size", whole.dtype.itemsize),
        ("version", 2),
        ("type", 1202),
        ("instance", 2),
        ("kind", DATA),
    ):
        whole["header"][name] = value
    whole["sample"]["accelerometer_valid"] = whole["sample"]["gyroscope_valid"] = True
    whole["sample"]["capture_timestamp_ns"] = stamps
    whole["sample"]["accelerometer"][:, 2] = 9.81
    entries = np.zeros(n, INDEX_ENTRY)
    entries["time"], entries["size"], entries["kind"] = stamps * 1e-9, whole.dtype.itemsize, DATA
    entries["type"], entries["instance"] = 1202, 2
    description = _description([(1202, 2)], {(1202, 2)}, None, None)
    index = _index([(1202, 2)], entries, packed=True)
    start = FILE_HEADER.size + len(description)
    with path.open("wb") as file:
        file.write(_file_header(start, start + len(index)) + description + index)
        whole.tofile(file)


def _file_header(index_at: int, first: int) -> bytes:
    words = [int.from_bytes(word, "little") for word in (b"Visi", b"onRe", b"cord", b"VRS2")]
    return FILE_HEADER.pack(*words[:2], 1, FILE_HEADER.size, 32, index_at, FILE_HEADER.size, first, 0, 0, 0, *words[2:])


def _packed(data: bytes, codec: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def _texts(texts: Mapping[str, str]) -> bytes:
    result = struct.pack("<I", len(texts))
    for text in (text for pair in texts.items() for text in pair):
        result += struct.pack("<I", len(text.encode())) + text.encode()
    return result


def _description(
    streams: Sequence[Stream],
    motion: set[Stream],
    tags: Mapping[str, str] | None,
    stream_tags: Mapping[str, str] | None,
) -> bytes:
    stamp = np.dtype({"names": ["capture_timestamp_ns"], "formats": ["<i8"], "offsets": [44], "itemsize": 84})
    payload = struct.pack("<I", len(streams))
    for stream in streams:
        mine = stream in motion
        texts = {
            "DL:Data:2:0": layout_text(SAMPLE if mine else stamp),
            "RF:Data:2": "data_layout/size=79" if mine else "data_layout/size=84+image/jpg",
        }
        payload += struct.pack("<iH", *stream) + _texts({"device_type": "Aria"})
        payload += _texts({**texts, **(stream_tags or {})})
    payload += _texts({"calib_json": calibration()} if tags is None else tags)
    return RECORD_HEADER.pack(32 + len(payload), 0, 2, 2, 0.0, 0, 3, 0, 0) + payload


def _index(streams: Sequence[Stream], entries: NDArray[np.void], packed: bool) -> bytes:
    payload = struct.pack("<I", len(streams)) + b"".join(struct.pack("<iH", *stream) for stream in streams)
    payload += struct.pack("<I", len(entries))
    unpacked = len(payload) + entries.nbytes if packed else 0
    payload += _packed(entries.tobytes(), "zstd") + b"\xff" * 50 if packed else entries.tobytes()
    return RECORD_HEADER.pack(32 + len(payload), 0, 1, 2, 0.0, 0, 3, 2 if packed else 0, unpacked) + payload
