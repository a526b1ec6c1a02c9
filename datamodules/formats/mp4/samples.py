"""Samples of a track: when each is decoded and shown, which are key frames, and what those begin with.

Tables of a damaged or hostile file may count billions of samples; a decoder makes room for them all. So counts are
held against the bytes that are there (:func:`check_counts`) before anything else reads the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from datamodules.formats.mp4.boxes import boxes
from datamodules.formats.mp4.movie import ROUNDED_S, Movie, Track
from datamodules.recording import RecordingError

_SPARE = 1024  # entries that some muxers write for samples that never came
_PER_SAMPLE = (0x100, 0x200, 0x400, 0x800)  # flags of a fragment's run: 4 bytes a sample for each


@dataclass(frozen=True)
class Samples:
    """The samples of a track, N in the order of the file, in ticks of its own clock.

    Attributes:
        decoded: (N,) when each is decoded.
        shown: (N,) when each is shown; edit lists are not applied.
        keys: (K,) the key frames among them, ascending.
        sizes: (N,) bytes.
    """

    decoded: NDArray[np.int64]
    shown: NDArray[np.int64]
    keys: NDArray[np.int64]
    sizes: NDArray[np.int64]


def check_counts(path: Path, movie: Movie) -> None:
    """Refuse a file whose tables count more samples than its bytes can hold, or a sample that is larger than it.

    Raises:
        RecordingError: the message names the table, what it says and the most that is possible.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        for track in movie.tracks:
            each, count = _sizes_head(file, track, path)
            _at_most(path, "stsz", count, size // max(1, each))
            if not each and b"stsz" in track.tables:
                _check_sizes(path, _sizes(file, track, path), size)
            for kind in (b"stts", b"ctts"):
                # A run of 2^31 samples takes 8 bytes here, but as much room as it says in a decoder.
                total = int(_rows(file, track, path, kind, 2)[:, 0].sum())
                _at_most(path, kind.decode(), total, count + _SPARE)
        if movie.fragmented:
            for kind, start, end in boxes(file, 0, size, path):
                if kind == b"moof":
                    _check_fragment(file, start, end, path, size)


def read_samples(path: Path, track: Track) -> Samples:
    """Read the tables of a track; their counts are known to be possible (:func:`check_counts`).

    Raises:
        RecordingError: the tables contradict each other.
    """
    with path.open("rb") as file:
        sizes = _sizes(file, track, path)
        count = sizes.size
        durations = _spread(_rows(file, track, path, b"stts", 2))
        if durations.size < count:
            raise RecordingError(f"{path}: damaged MP4: {durations.size} times for {count} samples of its video")
        decoded = np.concatenate([[0], np.cumsum(durations[:count])])[:count].astype(np.int64)
        # Version 0 should have no offset below 0, but muxers write them there too.
        later = _spread(_rows(file, track, path, b"ctts", 2)).astype(np.uint32).view(np.int32).astype(np.int64)
        shown = decoded + np.pad(later[:count], (0, max(0, count - later.size)))
        keys = np.arange(count)
        if b"stss" in track.tables:
            keys = np.unique(_rows(file, track, path, b"stss", 1)[:, 0] - 1)
            if keys.size and keys[-1] >= count:
                raise RecordingError(
                    f"{path}: damaged MP4: sample {keys[-1] + 1} is to be a key frame, there are {count}"
                )
        return Samples(decoded, shown, keys, sizes)


def end_to_reach(path: Path, track: Track) -> float | None:
    """When a track ends by its headers, where its samples end before; None where they reach it, or none is said.

    Raises:
        RecordingError: a table is damaged.
    """
    if track.end_s is None:
        return None
    with path.open("rb") as file:
        runs = _rows(file, track, path, b"stts", 2)
    listed = track.zero_s + int((runs[:, 0] * runs[:, 1]).sum()) / track.time_scale
    return track.end_s if listed < track.end_s - ROUNDED_S else None


def first_units(path: Path, track: Track, samples: Samples, length_bytes: int) -> Iterator[Iterator[int]]:
    """First byte of each unit (NAL) of every key frame, of codecs that write units with their lengths.

    Args:
        path: the file.
        track: its video.
        samples: of the track.
        length_bytes: how many bytes a unit's length takes.
    """
    with path.open("rb") as file:
        for offset, size in zip(_offsets(file, track, samples, path), samples.sizes[samples.keys], strict=True):
            yield _units(file, int(offset), int(offset + size), length_bytes)


def _units(file: BinaryIO, start: int, end: int, length_bytes: int) -> Iterator[int]:
    while start + length_bytes < end:
        file.seek(start)
        head = file.read(length_bytes + 1)
        if len(head) <= length_bytes:
            return
        yield head[-1]
        start += length_bytes + int.from_bytes(head[:-1], "big")


def _offsets(file: BinaryIO, track: Track, samples: Samples, path: Path) -> NDArray[np.int64]:
    """Where each key frame begins in the file."""
    wide = b"co64" in track.tables
    chunks = _rows(file, track, path, b"co64", 1, ">i8")[:, 0] if wide else _rows(file, track, path, b"stco", 1)[:, 0]
    runs = _rows(file, track, path, b"stsc", 3)
    firsts = np.minimum(runs[:, 0] - 1, chunks.size)
    if not runs.size or firsts[0] != 0 or (np.diff(firsts) < 0).any():
        raise RecordingError(f"{path}: damaged MP4: its chunks are not in order")
    in_chunk = np.repeat(np.minimum(runs[:, 1], samples.sizes.size), np.diff(np.append(firsts, chunks.size)))
    ends = np.cumsum(in_chunk)
    if not ends.size or ends[-1] < samples.sizes.size:
        raise RecordingError(
            f"{path}: damaged MP4: its {chunks.size} chunks hold {ends[-1] if ends.size else 0} samples of its video; "
            f"expected {samples.sizes.size}"
        )
    before = np.concatenate([[0], np.cumsum(samples.sizes)])
    chunk = np.searchsorted(ends, samples.keys, side="right")
    result: NDArray[np.int64] = chunks[chunk] + before[samples.keys] - before[(ends - in_chunk)[chunk]]
    return result


def _check_fragment(file: BinaryIO, start: int, end: int, path: Path, size: int) -> None:
    for kind, first, last in boxes(file, start, end, path):
        if kind != b"traf":
            continue
        for inner, at, stop in boxes(file, first, last, path):
            if inner == b"trun":
                file.seek(at)
                flags, count = struct.unpack(">II", file.read(8)) if stop - at >= 8 else (0, 0)
                each = 4 * sum(bool(flags & flag) for flag in _PER_SAMPLE)
                _at_most(path, "trun", count, (stop - at) // each if each else size)


def _check_sizes(path: Path, sizes: NDArray[np.int64], size: int) -> None:
    # Each alone, not their sum: of a file that was cut, the first samples can be read.
    if sizes.size and (largest := int(sizes.max())) > size:
        raise RecordingError(
            f"{path}: damaged MP4: sample {int(sizes.argmax()) + 1} of a track has {largest:,} bytes by the table "
            f"'stsz'; the file has {size:,}"
        )


def _at_most(path: Path, kind: str, count: int, most: int) -> None:
    if count > most:
        raise RecordingError(
            f"{path}: damaged MP4: its table '{kind}' counts {count:,} samples; there can be {most:,} at most"
        )


def _sizes_head(file: BinaryIO, track: Track, path: Path) -> tuple[int, int]:
    """Bytes of each sample (0: they differ), and how many samples."""
    for kind in (b"stsz", b"stz2"):
        if kind in track.tables:
            start, end = track.tables[kind]
            if end - start < 12:
                break
            file.seek(start + 4)
            each, count = struct.unpack(">II", file.read(8))
            if kind == b"stsz" and each:
                return each, count
            bits = 32 if kind == b"stsz" else each & 0xFF
            _at_most(path, kind.decode(), count, (end - start - 12) * 8 // max(1, bits))
            return 0, count
    return 0, 0


def _sizes(file: BinaryIO, track: Track, path: Path) -> NDArray[np.int64]:
    each, count = _sizes_head(file, track, path)
    if each:
        return np.full(count, each, np.int64)
    if b"stsz" not in track.tables:
        raise RecordingError(f"{path}: its video has no table 'stsz'")
    file.seek(track.tables[b"stsz"][0] + 12)
    return np.frombuffer(file.read(4 * count), ">u4").astype(np.int64)


def _rows(file: BinaryIO, track: Track, path: Path, kind: bytes, columns: int, form: str = ">u4") -> NDArray[np.int64]:
    """A table, (rows, columns); no row where there is no such table."""
    if kind not in track.tables:
        return np.zeros((0, columns), np.int64)
    start, end = track.tables[kind]
    file.seek(start + 4)
    (count,) = struct.unpack(">I", file.read(4)) if end - start >= 8 else (0,)
    width = columns * np.dtype(form).itemsize
    if count * width > end - start - 8:
        raise RecordingError(
            f"{path}: damaged MP4: its table '{kind.decode()}' counts {count:,} entries; "
            f"there is room for {max(0, end - start - 8) // width:,}"
        )
    return np.frombuffer(file.read(count * width), form).astype(np.int64).reshape(count, columns)


def _spread(runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Runs of (count, value), one value a sample."""
    result: NDArray[np.int64] = np.repeat(runs[:, 1], runs[:, 0])
    return result
