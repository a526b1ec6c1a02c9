"""Is an MP4 file whole, and how long does it say that its video is?

Decoders find out late, or not at all, that the end of a file is missing. The boxes of ISO 14496-12 state
their own lengths, so a cut-off copy is known before a decoder sees it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from datamodules.recording import RecordingError

_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"}


def video_duration(path: Path) -> float | None:
    """Duration of the video track in seconds, as the container states it.

    Returns:
        None if the file is no MP4 (nor MOV), or states no duration (fragmented files).

    Raises:
        RecordingError: a box reaches beyond the end of the file, or there is no ``moov`` box.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(8)[4:] not in _FIRST_BOXES:
            return None
        boxes = list(_boxes(file, 0, size, path))
        movie = [(start, end) for kind, start, end in boxes if kind == b"moov"]
        if not movie:
            raise RecordingError(
                f"{path}: the MP4 has no 'moov' box in its {size} bytes: its end is missing, "
                "or the camera did not finish it"
            )
        return _duration(file, *movie[0], path)


def _boxes(file: BinaryIO, start: int, end: int, path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box between two offsets."""
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


def _duration(file: BinaryIO, start: int, end: int, path: Path) -> float | None:
    scale = 0
    tracks: list[tuple[int, int]] = []
    for kind, first, last in _boxes(file, start, end, path):
        if kind == b"mvhd":
            scale, _ = _times(file, first, scale_at=(12, 20), duration_at=(16, 24))
        elif kind == b"trak":
            tracks.append((first, last))
    for first, last in tracks:
        header = handler = None
        for kind, inner, inner_end in _boxes(file, first, last, path):
            if kind == b"tkhd":
                _, header = _times(file, inner, scale_at=None, duration_at=(20, 28))
            elif kind == b"mdia":
                for media_kind, media, _ in _boxes(file, inner, inner_end, path):
                    if media_kind == b"hdlr":
                        file.seek(media + 8)
                        handler = file.read(4)
        if handler == b"vide" and header and scale:
            return header / scale
    return None


def _times(
    file: BinaryIO, start: int, scale_at: tuple[int, int] | None, duration_at: tuple[int, int]
) -> tuple[int, int]:
    """Time scale and duration of a header box; offsets for version 0 (32 bit) and 1 (64 bit)."""
    file.seek(start)
    content = file.read(40)
    wide = content[0] == 1
    scale = struct.unpack_from(">I", content, scale_at[wide])[0] if scale_at else 0
    form, unknown = (">Q", 2**64 - 1) if wide else (">I", 2**32 - 1)
    duration = struct.unpack_from(form, content, duration_at[wide])[0]
    return scale, 0 if duration == unknown else duration
