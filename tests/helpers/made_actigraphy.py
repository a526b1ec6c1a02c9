"""Files as actigraphs write them, with known values; none of them is a real recording.

Axivity's and GENEActiv's formats are described by their makers; ActiGraph's by https://github.com/actigraph/GT3X-File-Format.
"""

from __future__ import annotations

import datetime
import shutil
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

BEGIN = datetime.datetime(2024, 5, 1, 10, 0, 0)
BEGIN_S = BEGIN.replace(tzinfo=datetime.timezone.utc).timestamp()
needs_actipy = pytest.mark.skipif(
    find_spec("actipy") is None or shutil.which("java") is None, reason="needs actipy and Java"
)
CWA_PER_G, GYRO_PER_DEG_S = 4096, 16.384  # an AX6 at 8 g and 2000 deg/s


def write_cwa(
    path: Path, acceleration: NDArray[np.float64], gyroscope: NDArray[np.float64] | None = None, packed: bool = False
) -> NDArray[np.float64]:
    """At 100 Hz from ``BEGIN`` on; whole packets only. Returns the values (N, 3 or 6) in g and deg/s as rounded.

    Args:
        path: of the file.
        acceleration: (N, 3) g.
        gyroscope: (N, 3) deg/s, for an AX6.
        packed: 10 bits and an exponent a value, as an AX3 has by default, in 1/256 g.
    """
    per_g = 256 if packed else CWA_PER_G
    if gyroscope is None:
        per_packet = 120 if packed else 80
        raw = np.round(acceleration * per_g).astype(np.int64)
    else:
        per_packet = 40
        raw = np.hstack([np.round(gyroscope * GYRO_PER_DEG_S), np.round(acceleration * per_g)]).astype(np.int64)
    packets = len(raw) // per_packet
    raw = raw[: packets * per_packet]
    blocks = np.zeros((packets, 512), np.uint8)
    blocks[:, :4] = np.frombuffer(b"AX\xfc\x01", np.uint8)
    _put(blocks, 10, np.arange(packets).astype("<u4"))
    # The stamp is of a whole second; the offset says which sample was taken at it.
    first = np.arange(packets) * per_packet
    _put(blocks, 14, np.array([_cwa_stamp(BEGIN + datetime.timedelta(seconds=int(s))) for s in first // 100], "<u4"))
    scale = (int(np.log2(per_g)) - 8) << 13
    _put(blocks, 18, np.full(packets, scale | (2 << 10) | 300, "<u2"))
    _put(blocks, 20, np.full(packets, 300, "<u2"))
    blocks[:, 24] = 0x4A
    blocks[:, 25] = 0x62 if gyroscope is not None else (0x30 if packed else 0x32)
    _put(blocks, 26, (-(first % 100)).astype("<i2"))
    _put(blocks, 28, np.full(packets, per_packet, "<u2"))
    if packed:
        raw >>= 3  # an exponent of 3 leaves steps of 8
        words = (3 << 30) | ((raw[:, 2] & 0x3FF) << 20) | ((raw[:, 1] & 0x3FF) << 10) | (raw[:, 0] & 0x3FF)
        blocks[:, 30:510] = words.astype("<u4").reshape(packets, -1).view(np.uint8)
        raw <<= 3
    else:
        blocks[:, 30:510] = raw.astype("<i2").reshape(packets, -1).view(np.uint8)
    total = blocks.view("<u2").sum(axis=1, dtype=np.int64)
    _put(blocks, 510, (-total & 0xFFFF).astype("<u2"))
    header = bytearray(1024)
    header[:4] = b"MD\xfc\x03"
    header[5:7] = (1234).to_bytes(2, "little")
    path.write_bytes(bytes(header) + blocks.tobytes())
    if gyroscope is None:
        return raw / per_g
    return np.hstack([raw[:, 3:] / per_g, raw[:, :3] / GYRO_PER_DEG_S])


def _put(blocks: NDArray[np.uint8], at: int, values: NDArray[np.generic]) -> None:
    size = values.dtype.itemsize
    blocks[:, at : at + size] = values.view(np.uint8).reshape(-1, size)


def _cwa_stamp(when: datetime.datetime) -> int:
    date = (when.year - 2000) << 26 | when.month << 22 | when.day << 17
    return date | when.hour << 12 | when.minute << 6 | when.second


def write_gt3x(path: Path, acceleration: NDArray[np.float64], packed: bool = False) -> NDArray[np.float64]:
    """At 100 Hz from ``BEGIN`` on, a record a second; whole seconds only. Returns the values in g as rounded.

    Args:
        path: of the file.
        acceleration: (N, 3) g.
        packed: 12 bits a value, as older devices have.
    """
    per_g = 341 if packed else 256
    seconds = len(acceleration) // 100
    raw = np.round(acceleration[: seconds * 100] * per_g).astype(np.int64)
    log = bytearray()
    for second in range(seconds):
        part = raw[100 * second : 100 * second + 100]
        if packed:  # y, x, z
            digits = "".join(f"{int(v) & 0xFFF:03x}" for v in part[:, [1, 0, 2]].ravel())
            payload = bytes.fromhex(digits)
        else:
            payload = part.astype("<i2").tobytes()
        head = bytes([0x1E, 0 if packed else 26])
        head += int(BEGIN_S + second).to_bytes(4, "little") + len(payload).to_bytes(2, "little")
        check = 0
        for byte in head + payload:
            check ^= byte
        log += head + payload + bytes([~check & 0xFF])
    ticks = round(BEGIN_S * 10**7) + 621355968000000000
    info = {
        "Serial Number": "NEO1F00000001" if packed else "MOS2A00000001",
        "Sample Rate": "100",
        "Start Date": str(ticks),
        "Acceleration Scale": f"{per_g}.0",
        "Acceleration Min": "-6.0" if packed else "-8.0",
        "Acceleration Max": "6.0" if packed else "8.0",
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("info.txt", "\r\n".join(f"{key}: {value}" for key, value in info.items()))
        archive.writestr("log.bin", bytes(log))
    return raw / per_g


def write_geneactiv(path: Path, acceleration: NDArray[np.float64]) -> NDArray[np.float64]:
    """At 100 Hz from ``BEGIN`` on, 300 samples a page; whole pages only. Returns the values in g as rounded."""
    gains, offsets = (25600, 25500, 25400), (100, -200, 300)
    pages = len(acceleration) // 300
    raw = np.round((acceleration[: pages * 300] * gains + offsets) / 100).astype(np.int64)
    lines = ["Device Identity", "Device Unique Serial Code:012345", *["-"] * 45]
    for axis, gain, offset in zip("xyz", gains, offsets, strict=True):
        lines += [f"{axis} gain:{gain}", f"{axis} offset:{offset}"]
    lines += ["Volts:300", "Lux:800", "", "Memory Status", f"Number of Pages:{pages}", ""]
    for page in range(pages):
        when = BEGIN + datetime.timedelta(seconds=3 * page)
        part = raw[300 * page : 300 * page + 300]
        lines += [
            "Recorded Data",
            "Device Unique Serial Code:012345",
            f"Sequence Number:{page}",
            f"Page Time:{when:%Y-%m-%d %H:%M:%S}:000",
            "Unassigned:",
            "Temperature:25.0",
            "Battery voltage:4.1",
            "Device Status:Recording",
            "Measurement Frequency:100.0",
            "".join("".join(f"{int(v) & 0xFFF:03X}" for v in row) + "000" for row in part),
        ]
    path.write_text("\r\n".join(lines) + "\r\n", encoding="ascii")
    return (raw * 100.0 - offsets) / gains
