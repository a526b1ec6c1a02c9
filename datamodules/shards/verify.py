"""Verification that every byte of a directory of shards is as the build wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.digest import digest_of, file_digest, seal_holds
from datamodules.shards import layout
from datamodules.shards.checks import damaged_columns
from datamodules.shards.frames import read_frame
from datamodules.shards.index import Index, ShardEntry, read_index
from datamodules.shards.layout import ShardError
from datamodules.shards.shard_file import ShardFile, open_shard


@dataclass(frozen=True)
class Problem:
    """One problem: the file, the window (None for the whole file) and a description."""

    file: str
    window: int | None
    what: str

    def __str__(self) -> str:
        place = "" if self.window is None else f" window {self.window}:"
        return f"{self.file}:{place} {self.what}"


def verify(directory: str | Path) -> list[Problem]:
    """Check the files against the index, and every window of every file.

    Returns:
        All problems; an empty list if every shard is as the build wrote it.
    """
    path = Path(directory)
    try:
        index = read_index(path, unchanged=False)
    except ShardError as error:
        return [Problem(str(path / layout.INDEX), None, _without_path(error, path / layout.INDEX))]
    problems: list[Problem] = []
    if not seal_holds(json.loads((path / layout.INDEX).read_bytes())):
        problems.append(Problem(str(path / layout.INDEX), None, "its content differs from its digest"))
    if digest_of(index.build) != index.build_hash:
        problems.append(Problem(str(path / layout.INDEX), None, "'build' does not match its 'build_hash'"))
    listed = {entry.file for entry in index.shards}
    for unlisted in sorted({p.name for p in path.glob("windows-*.h5")} - listed):
        problems.append(Problem(str(path / unlisted), None, f"not listed in {layout.INDEX}"))
    for entry in index.shards:
        problems.extend(_verify_shard(path / entry.file, entry, index))
    return problems


def _verify_shard(path: Path, entry: ShardEntry, index: Index) -> Iterator[Problem]:
    file = str(path)
    if not path.is_file():
        yield Problem(file, None, f"not there, but listed in {layout.INDEX}")
        return
    size = path.stat().st_size
    if size != entry.bytes:
        yield Problem(file, None, f"{size} bytes; expected {entry.bytes}")
    sha256 = file_digest(path)
    if sha256 != entry.sha256:
        yield Problem(file, None, f"SHA-256 {sha256[:16]}...; expected {entry.sha256[:16]}...")
    try:
        shard = open_shard(path)
    except ShardError as error:
        yield Problem(file, None, _without_path(error, path))
        return
    if shard.n_windows != entry.windows:
        yield Problem(file, None, f"{shard.n_windows} windows; expected {entry.windows}")
    for code in layout.CODES:
        codes, table = shard.array(code), shard.tables[code]
        for window in np.flatnonzero((codes < (-1 if code == "activity" else 0)) | (codes >= len(table))):
            yield Problem(file, int(window), f"code {codes[window]} of '{code}' outside its {len(table)} names")
        unknown = sorted(set(table) - set(index.tables[code]))
        if unknown:
            yield Problem(file, None, f"'{unknown[0]}' of '{code}' is not in {layout.INDEX}")
    if stored := shard.array("frames").size * bool(index.frames_of):
        yield Problem(file, None, f"{stored} bytes of frames, which {layout.INDEX} says were left out")
    try:
        changed = damaged_columns(shard, shard.array)
    except ShardError as error:
        changed = [_without_path(error, path)]
    for name in changed:
        yield Problem(file, None, f"'{name}' differs from its digest")
    yield from _verify_windows(shard, index)


def _verify_windows(shard: ShardFile, index: Index) -> Iterator[Problem]:
    file, f, frame_size = str(shard.path), index.settings.frames, index.settings.frame_size
    arrays = [shard.array(name) for name in layout.CHECKED]
    frames, offsets, checksums = (shard.array(n) for n in ("frames", "frame_offsets", "checksum"))
    if offsets[0] != 0 or offsets[-1] != frames.size or (np.diff(offsets) < 0).any():
        yield Problem(file, None, f"frame offsets must ascend from 0 to {frames.size}: {offsets[0]} to {offsets[-1]}")
        return
    image = np.empty((frame_size, frame_size, 3), np.uint8)
    for n in range(shard.n_windows):
        bounds = offsets[n * f : n * f + f + 1]
        rows = [array[n] for array in arrays]
        found = layout.checksum(rows, frames[bounds[0] : bounds[-1]].tobytes())
        if found != int(checksums[n]):
            yield Problem(file, n, f"checksum {found:016x}; expected {int(checksums[n]):016x}")
        imu, _, _, times, frame_mask = rows
        if not np.isfinite(imu).all():
            yield Problem(file, n, f"{(~np.isfinite(imu)).sum()} IMU values are not finite")
        seen = times[frame_mask.astype(bool)]
        if not np.isfinite(times).all() or (np.diff(seen) < 0).any():
            yield Problem(file, n, f"frame times do not ascend: {times.tolist()}")
        for k in range(0 if index.frames_of else f):
            stored = frames[bounds[k] : bounds[k + 1]]
            if bool(stored.size) != bool(frame_mask[k]):
                yield Problem(file, n, f"frame {k} has {stored.size} bytes, its mask is {frame_mask[k]}")
            elif stored.size:
                try:
                    read_frame(stored, image, index.settings.jpeg_quality == 0, f"frame {k}")
                except ShardError as error:
                    yield Problem(file, n, str(error))


def _without_path(error: ShardError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
