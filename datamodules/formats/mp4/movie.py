"""Tracks of an MP4 or MOV file: codec, clock, edit list, and where their tables of samples lie."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from datamodules.formats.mp4.boxes import boxes, content, is_mp4
from datamodules.recording import RecordingError

_MOST_EDITS = 10_000
_EMPTY = -1  # the media time of an edit that shows nothing
_SAMPLE_ENTRY = 78  # bytes of a visual sample entry before its own boxes
_LONGEST_ENTRY = 1 << 20
ROUNDED_S = 0.1  # headers of one file may differ by so much
_MDIA, _MINF, _STBL = b"mdia", b"minf", b"stbl"


@dataclass(frozen=True)
class Edit:
    """An entry of an edit list: ``duration`` ticks of the movie's clock show the media from ``media_time`` on."""

    duration: int
    media_time: int
    rate: float

    @property
    def empty(self) -> bool:
        """Nothing is shown: what follows starts later."""
        return self.media_time == _EMPTY


@dataclass(frozen=True)
class Track:
    """A track.

    Attributes:
        number: the container's own number of it.
        handler: its kind: ``vide``, ``soun``, ``meta``.
        coding: four letters of its codec, e.g. ``avc1``, ``gpmd``.
        entry: the bytes that describe its codec.
        descriptions: how many codecs it has one after another; usually 1.
        time_scale, movie_scale: ticks a second of its own clock and of the edit list's durations.
        stated_s: how long it is shown by its header; None if that is not said.
        media_s: how long it is by its own clock, before edit lists; None if that is not said.
        matrix: how its pictures are turned for display: nine fixed-point numbers.
        edits: which parts of it are shown when; empty: all of it, from its own time 0.
        tables: start and end of each table of samples, by its kind.
    """

    number: int
    handler: str
    coding: str
    entry: bytes
    descriptions: int
    time_scale: int
    movie_scale: int
    stated_s: float | None
    media_s: float | None
    matrix: tuple[int, ...]
    edits: tuple[Edit, ...]
    tables: dict[bytes, tuple[int, int]]

    @property
    def zero_s(self) -> float:
        """When its own time 0 is on the container's clock; before 0 where an edit list cuts off its start."""
        late = 0
        for edit in self.edits:
            if not edit.empty:
                return late / self.movie_scale - edit.media_time / self.time_scale
            late += edit.duration
        return late / self.movie_scale

    @property
    def end_s(self) -> float | None:
        """When it ends on the container's clock, by its headers; None if they do not say.

        ffmpeg writes edit lists that go on after all pictures, where it cuts beside a pause; the track's own clock is
        right then. So it has the last word, unless the headers contradict each other.
        """
        if self.stated_s is None or self.media_s is None or not self.edits:
            return self.stated_s
        shown = sum(edit.duration for edit in self.edits) / self.movie_scale
        agree = abs(shown - self.stated_s) < ROUNDED_S
        return min(self.stated_s, self.zero_s + self.media_s) if agree else self.stated_s

    def part_of_entry(self, kind: bytes) -> bytes:
        """Content of a box in a video codec's description, e.g. ``avcC``; empty if it isn't there."""
        at = _SAMPLE_ENTRY
        while at + 8 <= len(self.entry):
            length, found = struct.unpack_from(">I4s", self.entry, at)
            if found == kind:
                return self.entry[at + 8 : at + length]
            at += max(8, length)
        return b""


@dataclass(frozen=True)
class Movie:
    """The tracks of a file; ``fragmented``: its samples are listed in fragments, not in the tracks' tables."""

    tracks: tuple[Track, ...]
    fragmented: bool

    def videos(self) -> list[Track]:
        """Tracks with pictures."""
        return [track for track in self.tracks if track.handler == "vide"]


def read_movie(path: Path) -> Movie | None:
    """Read the headers of an MP4 or MOV file, but none of its samples.

    Returns:
        None if the file is neither.

    Raises:
        RecordingError: a box reaches beyond the end of the file, is too short, or there is no ``moov`` box.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if not is_mp4(file):
            return None
        found = [(start, end) for kind, start, end in boxes(file, 0, size, path) if kind == b"moov"]
        if not found:
            raise RecordingError(
                f"{path}: the MP4 has no 'moov' box in its {size} bytes: its end is missing, "
                "or the camera did not finish it"
            )
        scale, fragmented, tracks = 0, False, []
        for kind, start, end in boxes(file, *found[0], path):
            if kind == b"mvhd":
                scale, _ = _clock(content(file, start, end, path, kind, 20), scale_at=(12, 20), duration_at=(16, 24))
            elif kind == b"mvex":
                fragmented = True
            elif kind == b"trak":
                tracks.append((start, end))
        return Movie(tuple(_track(file, *place, scale, path) for place in tracks), fragmented)


def video_duration(path: Path) -> float | None:
    """Duration of the first video track in seconds, as the container states it.

    Returns:
        None if the file is no MP4 (nor MOV), or states no duration (fragmented files).

    Raises:
        RecordingError: as for :func:`read_movie`.
    """
    movie = read_movie(path)
    return next((track.stated_s for track in movie.videos() if track.stated_s), None) if movie else None


def _track(file: BinaryIO, start: int, end: int, movie_scale: int, path: Path) -> Track:
    number, stated, media, matrix = 0, 0, 0, (0,) * 9
    handler = coding = ""
    entry, descriptions, time_scale = b"", 0, 0
    edits: tuple[Edit, ...] = ()
    tables: dict[bytes, tuple[int, int]] = {}
    for kind, first, last in _inside(file, start, end, path):
        if kind == b"tkhd":
            header = content(file, first, last, path, kind, 84)
            wide = header[0] == 1
            number = struct.unpack_from(">I", header, 20 if wide else 12)[0]
            _, stated = _clock(header, scale_at=None, duration_at=(20, 28))
            matrix = struct.unpack_from(">9i", header, 52 if wide and len(header) >= 96 else 40)
        elif kind == b"mdhd":
            header = content(file, first, last, path, kind, 20)
            time_scale, media = _clock(header, scale_at=(12, 20), duration_at=(16, 24))
        elif kind == b"hdlr":
            handler = content(file, first, last, path, kind, 12)[8:12].decode("latin-1")
        elif kind == b"elst":
            edits = _edits(content(file, first, last, path, kind, 8), path)
        elif kind == b"stsd":
            descriptions, coding, entry = _description(file, first, last, path)
        else:
            tables[kind] = first, last
    if not time_scale or not movie_scale:
        raise RecordingError(f"{path}: damaged MP4: track {number} has no clock (0 ticks a second)")
    return Track(
        number=number,
        handler=handler,
        coding=coding,
        entry=entry,
        descriptions=descriptions,
        time_scale=time_scale,
        movie_scale=movie_scale,
        stated_s=stated / movie_scale if stated else None,
        media_s=media / time_scale if media else None,
        matrix=matrix,
        edits=edits,
        tables=tables,
    )


def _inside(file: BinaryIO, start: int, end: int, path: Path) -> list[tuple[bytes, int, int]]:
    """The boxes of a track that say something, from whatever depth."""
    found = []
    for kind, first, last in boxes(file, start, end, path):
        if kind in (b"edts", _MDIA):
            inner = list(boxes(file, first, last, path))
            found += inner
            for minf in (box for box in inner if box[0] == _MINF):
                for stbl in (box for box in boxes(file, *minf[1:], path) if box[0] == _STBL):
                    found += list(boxes(file, *stbl[1:], path))
        else:
            found.append((kind, first, last))
    return found


def _description(file: BinaryIO, start: int, end: int, path: Path) -> tuple[int, str, bytes]:
    header = content(file, start, min(end, start + _LONGEST_ENTRY), path, b"stsd", 8)
    (count,) = struct.unpack_from(">I", header, 4)
    if not count or len(header) < 16:
        return count, "", b""
    length, coding = struct.unpack_from(">I4s", header, 8)
    return count, coding.decode("latin-1"), header[16 : 8 + length]


def _edits(table: bytes, path: Path) -> tuple[Edit, ...]:
    wide = table[0] == 1
    (count,) = struct.unpack_from(">I", table, 4)
    form = ">Qqi" if wide else ">Iii"
    entry = struct.calcsize(form)
    if count > _MOST_EDITS or 8 + count * entry > len(table):
        raise RecordingError(
            f"{path}: damaged MP4: its edit list counts {count:,} entries in {len(table):,} bytes; "
            f"expected at most {min(_MOST_EDITS, (len(table) - 8) // entry):,}"
        )
    rows = (struct.unpack_from(form, table, 8 + i * entry) for i in range(count))
    return tuple(Edit(duration, media_time, rate / 65536) for duration, media_time, rate in rows)


def _clock(header: bytes, scale_at: tuple[int, int] | None, duration_at: tuple[int, int]) -> tuple[int, int]:
    """Ticks a second and duration of a header box; offsets for version 0 (32 bit) and 1 (64 bit)."""
    wide = header[0] == 1 and len(header) >= duration_at[1] + 8
    scale = struct.unpack_from(">I", header, scale_at[wide])[0] if scale_at else 0
    form, unknown = (">Q", 2**64 - 1) if wide else (">I", 2**32 - 1)
    duration = struct.unpack_from(form, header, duration_at[wide])[0]
    return scale, 0 if duration == unknown else duration
