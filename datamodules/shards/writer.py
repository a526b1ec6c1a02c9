"""Writer of one shard; see ``layout`` for its content."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from core.durable import write_atomically
from core.room import check_room
from datamodules.shards import layout
from datamodules.shards.checks import column_digests
from datamodules.windows.cut import FAULTS, Exclusion, Window, WindowSettings
from datamodules.windows.quality.facts import RecordingFacts

# Arrays begin on a page of 4 KiB, so that reading one touches no page of its neighbours.
_PAGE = 4096
_STRUCTURE = 1 << 17  # bytes of a shard beside its windows: pages that are not full, tables
_CHUNK = 64  # windows whose frames are written at a time


@dataclass(frozen=True)
class ShardHeader:
    """The attributes of a shard, except its sizes.

    Attributes:
        settings: settings that the windows were cut with.
        source: name of the source.
        simulated: True if any recording is simulated.
        build_hash: digest of all inputs of the build; a resumed build keeps shards with the same digest.
        group, part: number of the group of recordings, and of the shard within the group.
        last: True for the last part of its group.
        frames_stored: False for a copy without frames; times and masks of frames stay.
    """

    settings: WindowSettings
    source: str
    simulated: bool
    build_hash: str
    group: int
    part: int
    last: bool
    frames_stored: bool = True


@dataclass(frozen=True)
class EncodedWindow:
    """A window and the JPEG of each of its F frames; empty for a missing frame."""

    window: Window
    jpegs: tuple[bytes, ...]

    @property
    def nbytes(self) -> int:
        """Approximate bytes of the window in a shard."""
        return int(self.window.imu.nbytes) + sum(map(len, self.jpegs)) + 512


def write_shard(
    path: Path,
    header: ShardHeader,
    windows: Sequence[EncodedWindow],
    exclusions: Sequence[Exclusion],
    facts: Sequence[RecordingFacts] = (),
) -> None:
    """Write a shard under a temporary name, and rename it when it is complete and on the disk.

    The bytes are a pure function of the arguments.
    """

    def write(temporary: Path) -> None:
        # Only one process writes this file, so it needs no lock, which some file systems lack.
        with h5py.File(temporary, "w", locking=False, alignment_threshold=_PAGE, alignment_interval=_PAGE) as file:
            _write(file, header, windows, exclusions, facts)

    needed = sum(window.nbytes for window in windows) + _STRUCTURE
    check_room(path, needed)  # HDF5 can't close a file on a full disk, and complains of it to the end of the process
    write_atomically(path, write, needed)


def _write(
    file: h5py.File,
    header: ShardHeader,
    windows: Sequence[EncodedWindow],
    exclusions: Sequence[Exclusion],
    facts: Sequence[RecordingFacts],
) -> None:
    settings = header.settings
    n, t, f = len(windows), settings.samples, settings.frames
    for name, value in {
        "format": layout.FORMAT,
        "version": layout.VERSION,
        "imu_rate_hz": settings.imu_rate_hz,
        "samples": t,
        "frames_per_window": f,
        "frame_size": settings.frame_size,
        "jpeg_quality": settings.jpeg_quality,
        "source": header.source,
        "simulated": header.simulated,
        "build_hash": header.build_hash,
        "group": header.group,
        "part": header.part,
        "last_part": header.last,
        **({} if header.frames_stored else {"frames_stored": False}),
    }.items():
        file.attrs[name] = value

    arrays: dict[str, NDArray[Any]] = {
        "imu": _stack([w.window.imu for w in windows], (n, t, 6), np.float32),
        "sample_mask": _stack([w.window.sample_mask for w in windows], (n, t), np.uint8),
        "channel_mask": _stack([w.window.channel_mask for w in windows], (n, 6), np.uint8),
        "frame_times": _stack([w.window.frame_times for w in windows], (n, f), np.float32),
        "frame_mask": _stack([w.window.frame_mask for w in windows], (n, f), np.uint8),
        "start_s": np.array([w.window.start_s for w in windows], np.float64),
        "faults": np.array([fault_bits(w.window) for w in windows], np.uint16),
    }
    lengths = np.array([len(jpeg) for w in windows for jpeg in w.jpegs], np.int64)
    arrays["frame_offsets"] = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    arrays["checksum"] = np.array(
        [
            layout.checksum([arrays[name][i] for name in layout.CHECKED], b"".join(w.jpegs))
            for i, w in enumerate(windows)
        ],
        np.uint64,
    )
    arrays["checksum_imu"] = np.array([layout.digest64(row) for row in arrays["imu"]], np.uint64)
    arrays["checksum_frames"] = np.array([layout.digest64(b"".join(w.jpegs)) for w in windows], np.uint64)
    tables = file.create_group("tables")
    names: dict[str, list[str]] = {}
    for code in layout.CODES:
        values = [str(getattr(w.window, code)) for w in windows]
        table = names[code] = sorted(set(values) - {""})
        position = {value: i for i, value in enumerate(table)}
        arrays[code] = np.array([position.get(value, -1) for value in values], np.int32)
        width = max((len(value.encode()) for value in table), default=1)
        text = h5py.string_dtype("utf-8", width)
        tables.create_dataset(code, data=np.array([v.encode() for v in table], dtype=text))
    rows = [exclusion_row(e) for e in exclusions]
    arrays["exclusions"] = np.frombuffer(json.dumps(rows, ensure_ascii=False).encode(), np.uint8)
    described = [_described(fact) for fact in facts]
    arrays["facts"] = np.frombuffer(json.dumps(described, ensure_ascii=False, allow_nan=False).encode(), np.uint8)

    size = int(arrays["frame_offsets"][-1])
    for name, (dtype, _) in {**layout.DATASETS, **layout.LATER}.items():
        if name == "frames":
            _write_frames(file.create_dataset(name, (size,), dtype), windows)
        else:
            arrays[name] = arrays[name].astype(dtype, copy=False)
            file.create_dataset(name, data=arrays[name])
    file.attrs[layout.DIGESTS] = json.dumps(column_digests(arrays, names))
    file.attrs[layout.COMPLETE] = np.array([n, size, len(rows)], np.int64)


def _write_frames(dataset: h5py.Dataset, windows: Sequence[EncodedWindow]) -> None:
    """Write all frames, a few windows at a time: frames are most of a shard, and a copy would double the memory."""
    begin = 0
    for first in range(0, len(windows), _CHUNK):
        block = b"".join(jpeg for w in windows[first : first + _CHUNK] for jpeg in w.jpegs)
        if block:
            dataset[begin : begin + len(block)] = np.frombuffer(block, np.uint8)
        begin += len(block)


def exclusion_row(exclusion: Exclusion) -> dict[str, str | float]:
    """Convert an exclusion to plain values."""
    return {
        "recording": exclusion.recording,
        "start_s": round(exclusion.start_s, 6),
        "reason": exclusion.reason.value,
        "detail": exclusion.detail,
    }


def fault_bits(window: Window) -> int:
    """Encode the window's faults as a bit mask, in the order of ``windows.FAULTS``."""
    return sum(1 << i for i, fault in enumerate(FAULTS) if fault in window.faults)


def _stack(rows: list[NDArray[Any]], shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    array: NDArray[Any] = np.zeros(shape, dtype)
    for i, row in enumerate(rows):
        if row.shape != shape[1:]:
            raise ValueError(f"window {i} has an array of shape {row.shape}; expected {shape[1:]}")
        array[i] = row
    return array


def _described(facts: RecordingFacts) -> dict[str, object]:
    row = dataclasses.asdict(facts)
    if not facts.decoder:  # so that shards of files that decord reads stay as they were
        del row["decoder"]
    return row
