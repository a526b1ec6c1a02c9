"""MP4 files with a GoPro's telemetry: a track ``gpmd`` of GPMF payloads, written key by key, beside a video's track.

GPMF (https://github.com/gopro/gpmf-parser) is nested entries of key, type, size of a sample, number of samples, and
data padded to four bytes. Raw samples are integers; ``SCAL`` is what they are divided by.

Shape legend: N samples of a payload.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ACCL_SCALE, GYRO_SCALE = 418, 3755  # counts in one m/s^2 and one rad/s, as a HERO5 has them
_SCALE = 1000  # ticks a second of the track's clock


@dataclass(frozen=True)
class Payload:
    """Telemetry of about a second, as the sensors measured it, in the order in which the file has its axes.

    Attributes:
        acceleration: (N, 3) m/s^2.
        gyroscope: (M, 3) rad/s; M may differ from N.
        duration_s: of the payload.
    """

    acceleration: np.ndarray
    gyroscope: np.ndarray
    duration_s: float


def entry(key: str, kind: str, size: int, count: int, data: bytes) -> bytes:
    """One entry of GPMF; ``kind`` is its letter, or a zero byte for one that holds others."""
    header = key.encode("latin-1") + struct.pack(">BBH", ord(kind), size, count)
    return header + data + b"\0" * (-len(data) % 4)


def nested(key: str, *entries: bytes) -> bytes:
    """An entry of entries."""
    data = b"".join(entries)
    return entry(key, "\0", 1, len(data), data)


def text(key: str, value: str) -> bytes:
    """An entry of text."""
    data = value.encode("latin-1")
    return entry(key, "c", 1, len(data), data)


def gpmf(payload: Payload, before: tuple[int, int]) -> bytes:
    """The bytes of a payload; ``before`` is how many samples of each sensor were in earlier ones (``TSMP``)."""
    streams = [
        _stream("ACCL", "Accelerometer", "m/s\xb2", ACCL_SCALE, payload.acceleration, before[0]),
        _stream("GYRO", "Gyroscope", "rad/s", GYRO_SCALE, payload.gyroscope, before[1]),
    ]
    return nested("DEVC", entry("DVID", "L", 4, 1, struct.pack(">I", 1)), text("DVNM", "Camera"), *streams)


def _stream(key: str, name: str, unit: str, scale: int, values: np.ndarray, before: int) -> bytes:
    raw = np.round(values * scale).astype(">i2")
    return nested(
        "STRM",
        entry("TSMP", "L", 4, 1, struct.pack(">I", before + len(values))),
        text("STNM", name),
        entry("SCAL", "s", 2, 1, struct.pack(">h", scale)),
        text("SIUN", unit),
        entry(key, "s", 6, len(values), raw.tobytes()),
    )


def add_telemetry(video: Path, path: Path, payloads: Sequence[Payload], late_s: float = 0.0) -> Path:
    """Write a copy of a video (MP4, as ffmpeg writes it) with a track of telemetry.

    Args:
        video: of any length.
        path: of the copy.
        payloads: one behind the other.
        late_s: the track begins so long after the movie, by an empty edit.
    """
    data = video.read_bytes()
    moov = data.rindex(b"moov") - 4
    assert moov + int.from_bytes(data[moov : moov + 4], "big") == len(data), "moov must come last"
    samples, counts = [], (0, 0)
    for payload in payloads:
        counts = (counts[0] + len(payload.acceleration), counts[1] + len(payload.gyroscope))
        samples.append(gpmf(payload, (counts[0] - len(payload.acceleration), counts[1] - len(payload.gyroscope))))
    media = _box("mdat", *samples)
    offsets = moov + 8 + np.cumsum([0, *map(len, samples[:-1])])
    (movie_scale,) = struct.unpack_from(">I", data, data.index(b"mvhd", moov) + 16)
    ticks = [round(_SCALE * payload.duration_s) for payload in payloads]
    track = _track([len(s) for s in samples], offsets.tolist(), ticks, movie_scale, late_s)
    path.write_bytes(data[:moov] + media + _box("moov", data[moov + 8 :], track))
    return path


def _track(
    sizes: Sequence[int], offsets: Sequence[int], ticks: Sequence[int], movie_scale: int, late_s: float
) -> bytes:
    total = sum(ticks)
    shown = round(total / _SCALE * movie_scale)
    late = round(late_s * movie_scale)
    matrix = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    header = _full(
        "tkhd", struct.pack(">IIIII8xhhhxx", 0, 0, 99, 0, shown + late, 0, 0, 0) + matrix + bytes(8), flags=7
    )
    edits = [(late, -1)] * bool(late) + [(shown, 0)]
    edit_list = _box("edts", _full("elst", _table([struct.pack(">IiHH", *e, 1, 0) for e in edits])))
    media_header = _full("mdhd", struct.pack(">IIIIHH", 0, 0, _SCALE, total, 0x55C4, 0))
    handler = _full("hdlr", struct.pack(">I", 0) + b"meta" + bytes(12) + b"GoPro MET\0")
    coding = _box("gpmd", bytes(6), struct.pack(">HI", 1, 0))
    data_reference = _box("dinf", _full("dref", _table([_full("url ", flags=1)])))
    tables = _box(
        "stbl",
        _full("stsd", _table([coding])),
        _full("stts", _table([struct.pack(">II", 1, t) for t in ticks])),
        _full("stsc", _table([struct.pack(">III", 1, 1, 1)])),
        _full("stsz", struct.pack(">II", 0, len(sizes)) + struct.pack(f">{len(sizes)}I", *sizes)),
        _full("stco", _table([struct.pack(">I", offset) for offset in offsets])),
    )
    information = _box("minf", _full("nmhd"), data_reference, tables)
    return _box("trak", header, edit_list, _box("mdia", media_header, handler, information))


def _box(kind: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind.encode("ascii") + body


def _full(kind: str, body: bytes = b"", flags: int = 0) -> bytes:
    """A box that begins with a version (0) and flags."""
    return _box(kind, struct.pack(">I", flags), body)


def _table(entries: Sequence[bytes]) -> bytes:
    return struct.pack(">I", len(entries)) + b"".join(entries)
