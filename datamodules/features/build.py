"""Resumable computation of a feature cache, block by block.

A block is written, then synced, then entered into a journal with its checksum. So every block in the journal is on the
disk. A resumed run compares these blocks with their checksums, and computes wrong or missing blocks again.
``features.json`` is written last.

Shape legend: N windows, V views, F frames, D feature width, P pooled width, B batch, H height, W width.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.bounds import parse_json
from core.digest import sealed
from core.durable import append_line, write_json, write_text
from core.room import reserve
from datamodules.features.cache import FeatureCache
from datamodules.features.meta import (
    BLOCK,
    FORMAT,
    META,
    POOLED,
    RAW,
    VERSION,
    ClipReader,
    FeatureCacheError,
    damaged_blocks,
    digest,
)

_FILES = {"features": RAW, "pooled": POOLED}
_CHUNK = 32  # clips zoomed and shifted at a time: as floats they take four times their memory

Encode = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Blocks = dict[str, NDArray[np.float16]]


@dataclass(frozen=True)
class ViewSettings:
    """Settings of a clip's views, which differ by one shift and one zoom per view and window."""

    count: int = 1
    shift: float = 0.06  # largest shift, as a share of the frame's side
    zoom: float = 0.1  # zooms range from 1 - this to 1 + this
    seed: int = 0


def build_features(
    directory: Path,
    shards: ClipReader,
    encode: Encode,
    encoder_fingerprint: str,
    views: ViewSettings,
    progress: Callable[[int, int], None] = lambda done, total: None,
    device: torch.device | str = "cpu",
    computed: str = "",
) -> FeatureCache:
    """Compute the missing features of all windows, and open the cache.

    A thread reads and decodes the clips of the next block while a block is encoded.

    Args:
        directory: folder of the cache.
        shards: source of the clips.
        encode: (B, F, 3, H, W) uint8 and (B, F) bool on ``device`` -> features (B, F, D) and pooled (B, P).
        encoder_fingerprint: digest of the encoder's architecture, weights and preprocessing.
        views: number of views, and their differences.
        progress: called with (finished windows, all windows).
        device: device that makes views and encodes clips.
        computed: note for ``features.json``: precision and hardware of the computation.

    Raises:
        FeatureCacheError: a feature is NaN, infinite or too large for float16; or the folder holds another cache.
    """
    job = {
        "format": FORMAT,
        "version": VERSION,
        "encoder": encoder_fingerprint,
        "shards": shards.fingerprint,
        "views": vars(views),
    }
    if (directory / META).is_file():
        cache = FeatureCache.open(directory, shards, encoder_fingerprint)
        if cache.view_settings != job["views"]:
            raise FeatureCacheError(f"{directory}: views are {cache.view_settings}, expected {job['views']}")
        return cache
    directory.mkdir(parents=True, exist_ok=True)
    run = _Run(directory, job, shards.n_windows)
    starts = range(run.blocks_done * BLOCK, shards.n_windows, BLOCK)
    blocks = [np.arange(first, min(first + BLOCK, shards.n_windows)) for first in starts]
    with ThreadPoolExecutor(1, thread_name_prefix="clips") as pool:
        coming = pool.submit(_clips, shards, blocks[0]) if blocks else None
        for number, indices in enumerate(blocks):
            assert coming is not None
            frames, mask = coming.result()
            coming = pool.submit(_clips, shards, blocks[number + 1]) if number + 1 < len(blocks) else None
            encoded = _encode_block(frames.to(device), mask.to(device), indices, encode, views)
            if not all(np.isfinite(block).all() for block in encoded.values()):
                raise FeatureCacheError(
                    f"{directory}: windows {indices[0]} to {indices[-1]}: a feature is not finite in float16"
                )
            run.add(encoded, indices)
            progress(int(indices[-1]) + 1, shards.n_windows)
    run.finish(computed)
    return FeatureCache.open(directory, shards, encoder_fingerprint)


class _Run:
    """The files and the journal of a computation in progress."""

    def __init__(self, directory: Path, job: dict[str, Any], n_windows: int) -> None:
        self._directory, self._job, self._n = directory, json.loads(json.dumps(job)), n_windows
        self._journal = directory / "progress.jsonl"
        self._parts = {name: directory / f"{name}.part" for name in _FILES}
        for name, file in _FILES.items():
            if not self._parts[name].exists() and (directory / file).exists():  # killed just before the end
                (directory / file).rename(self._parts[name])
        self._shapes: dict[str, list[int]] = {}
        self._digests: list[dict[str, str]] = []
        self._arrays: dict[str, np.memmap[Any, np.dtype[np.float16]]] = {}
        self._resume()

    @property
    def blocks_done(self) -> int:
        """Number of blocks that are computed already."""
        return len(self._digests)

    def add(self, blocks: Blocks, indices: NDArray[np.int64]) -> None:
        """Write a block, then enter it into the journal."""
        if not self._arrays:
            self._shapes = {name: [self._n, *block.shape[1:]] for name, block in blocks.items()}
            self._open()
            self._enter({**self._job, "shapes": self._shapes})
        for name, block in blocks.items():
            self._arrays[name][indices] = block
            self._arrays[name].flush()
        self._digests.append({name: digest(block) for name, block in blocks.items()})
        self._enter(self._digests[-1])

    def finish(self, computed: str) -> None:
        """Rename the files, and write ``features.json``."""
        if not self._shapes:
            raise FeatureCacheError(f"{self._directory}: the shards have no windows; expected at least one")
        self._arrays.clear()
        for name, file in _FILES.items():
            self._parts[name].rename(self._directory / file)
        content = {
            **self._job,
            "shape": self._shapes["features"],
            "xxh3": [entry["features"] for entry in self._digests],
            "pooled": {"shape": self._shapes["pooled"], "xxh3": [entry["pooled"] for entry in self._digests]},
            "computed": computed,
        }
        write_json(self._directory / META, sealed(content))
        self._journal.unlink()

    def _resume(self) -> None:
        """Keep the blocks of an interrupted computation of the same job, up to the first wrong checksum."""
        there = self._journal.is_file() and all(part.is_file() for part in self._parts.values())
        entries = list(_whole_lines(self._journal)) if there else []
        if entries and self._has_shapes(entries[0]) and {key: entries[0].get(key) for key in self._job} == self._job:
            self._shapes = entries[0]["shapes"]
            sizes = {name: math.prod(shape) * 2 for name, shape in self._shapes.items()}
            if all(self._parts[name].stat().st_size == size for name, size in sizes.items()):
                self._open()
                self._digests = entries[1 : 1 + self._count_undamaged(entries[1:])]
                # Remove an incomplete last line from the journal: its block is computed again.
                kept = [entries[0], *self._digests]
                write_text(self._journal, "".join(json.dumps(entry) + "\n" for entry in kept))
                return
        for path in (self._journal, *self._parts.values()):
            path.unlink(missing_ok=True)
        self._shapes = {}

    def _has_shapes(self, entry: dict[str, Any]) -> bool:
        shapes = entry.get("shapes")
        return (
            isinstance(shapes, dict)
            and shapes.keys() == _FILES.keys()
            and all(isinstance(shape, list) and all(type(side) is int for side in shape) for shape in shapes.values())
        )

    def _count_undamaged(self, entries: list[dict[str, str]]) -> int:
        """Count the blocks before the first one with a wrong checksum."""
        for number, entry in enumerate(entries):
            rows = slice(number * BLOCK, (number + 1) * BLOCK)
            if any(damaged_blocks(array[rows], [entry.get(name, "")], "") for name, array in self._arrays.items()):
                return number
        return len(entries)

    def _open(self) -> None:
        """Map the files; their room on the disk is taken first, because a map can't answer that there is none.

        Raises:
            NoSpaceError: there is less room; the message says how much all features need.
        """
        for name, shape in self._shapes.items():
            file = os.open(self._parts[name], os.O_RDWR | os.O_CREAT, 0o666)
            try:
                reserve(file, math.prod(shape) * 2, self._parts[name])
            finally:
                os.close(file)
        self._arrays = {
            name: np.memmap(self._parts[name], dtype=np.float16, mode="r+", shape=tuple(shape))
            for name, shape in self._shapes.items()
        }

    def _enter(self, entry: dict[str, Any]) -> None:
        append_line(self._journal, json.dumps(entry))


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = parse_json(line)
        except json.JSONDecodeError:  # the process was killed while it wrote this line, or it is damaged
            return
        if not isinstance(entry, dict):
            return
        yield entry


def _clips(shards: ClipReader, indices: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    frames = torch.from_numpy(shards.frames(indices)).permute(0, 1, 4, 2, 3)
    return frames, torch.from_numpy(shards.frame_times(indices)[1])


def _encode_block(
    frames: Tensor, mask: Tensor, indices: NDArray[np.int64], encode: Encode, views: ViewSettings
) -> Blocks:
    features, pooled = [], []
    for view in range(views.count):
        seen = frames if view == 0 else _zoomed_and_shifted(frames, indices, view, views)
        of_frames, of_clips = encode(seen, mask)
        features.append(torch.where(mask[..., None], of_frames.float(), 0.0))
        pooled.append(of_clips.float())
    # float16 ends at 65504; the caller checks for infinity.
    both = {"features": features, "pooled": pooled}
    return {name: torch.stack(parts, dim=1).to(torch.float16).cpu().numpy() for name, parts in both.items()}


def _zoomed_and_shifted(frames: Tensor, indices: NDArray[np.int64], view: int, views: ViewSettings) -> Tensor:
    """Zoom and shift clips; the zoom and shift of a window depend on (seed, view, window) alone."""
    draws = np.stack([np.random.default_rng([views.seed, view, int(i)]).uniform(-1, 1, 3) for i in indices])
    theta = torch.zeros(len(indices), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / (1 + views.zoom * torch.from_numpy(draws[:, 0]).float())
    theta[:, :, 2] = 2 * views.shift * torch.from_numpy(draws[:, 1:]).float()
    clips, crops = torch.split(frames, _CHUNK), torch.split(theta.to(frames.device), _CHUNK)
    return torch.cat([_cropped(some, crop) for some, crop in zip(clips, crops, strict=True)])


def _cropped(frames: Tensor, theta: Tensor) -> Tensor:
    B, n_frames, channels, height, width = frames.shape
    stacked = frames.reshape(B, n_frames * channels, height, width).float()
    grid = F.affine_grid(theta, [B, n_frames * channels, height, width], align_corners=False)
    seen = F.grid_sample(stacked, grid, padding_mode="border", align_corners=False)
    return seen.round().clamp(0, 255).to(torch.uint8).view(frames.shape)
