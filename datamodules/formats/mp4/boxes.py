"""The boxes of ISO 14496-12 (MP4, MOV): each has a kind and a length.

Decoders find out late, or not at all, that the end of a file is missing. The boxes state their own lengths, so a
cut-off copy is known before a decoder sees it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from datamodules.recording import RecordingError

_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"}


def is_mp4(file: BinaryIO) -> bool:
    """Tell by its first box whether a file is an MP4 or MOV."""
    file.seek(0)
    return file.read(8)[4:] in _FIRST_BOXES


def boxes(file: BinaryIO, start: int, end: int, path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box between two offsets.

    Raises:
        RecordingError: a box reaches beyond what contains it.
    """
    while start + 8 <= end:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if length == 1:
            large = file.read(8)
            if len(large) < 8:
                raise RecordingError(f"{path}: truncated: it ends inside the header of box {kind!r}")
            (length,) = struct.unpack(">Q", large)
            header = 16
        elif length == 0:  # up to the end
            length = end - start
        if length < header:
            raise RecordingError(f"{path}: damaged MP4: box {kind!r} at byte {start} has length {length}")
        if start + length > end:
            raise RecordingError(
                f"{path}: truncated: box '{kind.decode('latin-1')}' should reach byte {start + length}, "
                f"but the file (or the box around it) ends at byte {end}"
            )
        yield kind, start + header, start + length
        start += length
    if start < end and start + 8 > end:
        # Fewer bytes than a header: harmless zeros of some muxers, or what is left of a box.
        file.seek(start)
        if any(file.read(end - start)):
            raise RecordingError(f"{path}: truncated: {end - start} bytes after the last box are no box")


def content(file: BinaryIO, start: int, end: int, path: Path, kind: bytes, least: int) -> bytes:
    """All bytes of a box.

    Raises:
        RecordingError: the box has fewer than ``least`` bytes.
    """
    if end - start < least:
        name = kind.decode("latin-1")
        raise RecordingError(
            f"{path}: damaged MP4: box '{name}' at byte {start} has {end - start} bytes; expected at least {least}"
        )
    file.seek(start)
    return file.read(end - start)
