"""Reader of a feature cache: the features of every window's frames from a frozen video encoder.

A cache is a folder of three files. ``features.f16`` is a raw float16 array (N, V, F, D). ``pooled.f16`` is a raw
float16 array (N, V, P). ``features.json``, written last, has the shapes, the fingerprints of encoder and shards, and
a checksum per block. View 0 is the unchanged clip; the other views have a small shift and zoom, the same for all
frames of a clip. :mod:`datamodules.features.build` computes the cache.

The cache is in float16, even if the encoder computes in bfloat16. Features lie well within the range of float16, which
rounds them eight times as finely and holds values from bfloat16 exactly (measured in ``docs/guides/features.md``).

Shape legend: N windows, V views, F frames, D feature width, P pooled width, B batch, H height, W width.
"""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from datamodules.features.meta import (
    BLOCK,
    META,
    POOLED,
    RAW,
    ClipReader,
    FeatureCacheError,
    damaged_blocks,
    parse_meta,
)
from datamodules.io.row_reader import RowReader

STATISTICS_WINDOWS = 1 << 14


class FeatureCache:
    """Features of all windows of a set of shards.

    Safe to use from several threads.
    """

    readers = 2  # threads that can read at the same time with profit

    def __init__(self, directory: Path, shards: ClipReader, meta: dict[str, Any]) -> None:
        self.directory: Path | str = directory  # a str is a URL
        self._shards = shards
        self._meta = meta
        self._reader = RowReader([directory / RAW, directory / POOLED])
        # Blocks of either file that this process has compared with their checksums.
        self._digests = [list(meta["xxh3"]), list(meta["pooled"]["xxh3"] if "pooled" in meta else ())]
        self._compared = [np.zeros(len(digests), bool) for digests in self._digests]

    @classmethod
    def open(cls, directory: Path, shards: ClipReader, encoder_fingerprint: str) -> FeatureCache:
        """Open a finished cache.

        Raises:
            FeatureCacheError: the cache is missing or unfinished, or belongs to another encoder or other shards.
        """
        path = directory / META
        if not path.is_file():
            raise FeatureCacheError(f"{directory}: no finished feature cache (features.json is missing)")
        meta = parse_meta(path.read_bytes(), str(path), shards, encoder_fingerprint)
        shapes = {RAW: meta["shape"]} | ({POOLED: meta["pooled"]["shape"]} if "pooled" in meta else {})
        for name, shape in shapes.items():
            size = math.prod(shape) * 2
            found = (directory / name).stat().st_size if (directory / name).is_file() else 0
            if found != size:
                raise FeatureCacheError(
                    f"{directory / name}: {found} bytes, expected {size} by {META}; delete the folder"
                )
        return cls(directory, shards, meta)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the features, (N, V, F, D)."""
        n, v, f, d = self._meta["shape"]
        return n, v, f, d

    @property
    def encoder_fingerprint(self) -> str:
        """Digest of the features' encoder."""
        return str(self._meta["encoder"])

    @property
    def view_settings(self) -> dict[str, Any]:
        """Settings of the views."""
        return dict(self._meta.get("views", {}))

    @property
    def computed(self) -> str:
        """Precision and hardware of the computation; empty if not noted."""
        return str(self._meta.get("computed", ""))

    @property
    def nbytes(self) -> int:
        """Bytes of all features, pooled ones included."""
        shapes = [self._meta["shape"], *([self._meta["pooled"]["shape"]] if "pooled" in self._meta else [])]
        return sum(2 * math.prod(shape) for shape in shapes)

    @property
    def views(self) -> int:
        """Number of views, V."""
        return self.shape[1]

    @property
    def width(self) -> int:
        """Width of the features, D."""
        return self.shape[3]

    @property
    def array(self) -> NDArray[np.float16]:
        """All features, (N, V, F, D), copied into memory; they may be large."""
        n, v = self.shape[:2]
        windows, views = np.repeat(np.arange(n), v), np.tile(np.arange(v), n)
        return self.take(windows, views).reshape(self.shape)

    def pooled(self, indices: NDArray[np.int64], views: NDArray[np.int64] | None = None) -> NDArray[np.float16]:
        """Read the encoder's own clip vectors of windows, (B, P), from view 0 or the given views (B,).

        Depending on the encoder, such a vector may differ from the mean of the frames' features.

        Raises:
            FeatureCacheError: the cache has no pooled features.
        """
        if "pooled" not in self._meta:
            raise FeatureCacheError(f"{self.directory}: no pooled features; delete the folder and compute it again")
        self._check(indices, views)
        out = np.empty((len(indices), self._meta["pooled"]["shape"][2]), np.float16)
        self._rows(1, indices, views, out)
        return out

    def expect(self, windows: NDArray[np.int64] | None) -> None:
        """Announce the windows that will be read; see :meth:`datamodules.shards.reader.ShardSet.expect`."""

    def take(
        self,
        indices: NDArray[np.int64],
        views: NDArray[np.int64] | None = None,
        out: NDArray[np.float16] | None = None,
    ) -> NDArray[np.float16]:
        """Read the features of windows, (B, F, D), from view 0 or the given views (B,), into ``out`` if given.

        Raises:
            IndexError: there is no such window or view.
            FeatureCacheError: a block of windows differs from its checksum, when this process reads it first.
            ValueError: ``out`` has another shape or type, or isn't contiguous.
        """
        self._check(indices, views)
        shape = (len(indices), *self.shape[2:])
        if out is None:
            out = np.empty(shape, np.float16)
        elif out.shape != shape or out.dtype != np.float16 or not out.flags.c_contiguous:
            raise ValueError(f"out is {out.dtype} {out.shape}; expected contiguous float16 {shape}")
        self._fill(indices, views, out)
        return out

    def _fill(self, indices: NDArray[np.int64], views: NDArray[np.int64] | None, out: NDArray[np.float16]) -> None:
        self._rows(0, indices, views, out)

    def _rows(
        self, file: int, indices: NDArray[np.int64], views: NDArray[np.int64] | None, out: NDArray[np.float16]
    ) -> None:
        """Read rows of a float16 file (N, V, ...) into ``out``."""
        if len(out):
            self._compare(file, indices)
            rows = indices.astype(np.int64) * self.views + (0 if views is None else views)
            self._reader.rows(np.full(len(out), file), rows * (out.nbytes // len(out)), out)

    def _compare(self, file: int, indices: NDArray[np.int64]) -> None:
        """Compare the blocks of these windows with their checksums, where this process has not done so yet."""
        compared = self._compared[file]
        blocks = indices // BLOCK
        if compared[blocks].all():
            return
        shape = self._meta["shape"] if file == 0 else self._meta["pooled"]["shape"]
        row = 2 * math.prod(shape[1:])
        for number in np.unique(blocks[~compared[blocks]]).tolist():
            first, last = number * BLOCK, min((number + 1) * BLOCK, shape[0]) - 1
            content = _memory((last + 1 - first) * row)
            self._reader.read(file, first * row, content)
            if xxhash.xxh3_64_hexdigest(content.data) != self._digests[file][number]:
                raise FeatureCacheError(
                    f"{Path(self.directory) / (POOLED if file else RAW)}: damaged: windows {first} to {last} differ"
                    f" from their checksum in {META}; delete the folder, and the same command makes it again"
                )
            compared[number] = True

    def _check(self, indices: NDArray[np.int64], views: NDArray[np.int64] | None) -> None:
        n, v = self.shape[:2]
        outside = views is not None and views.size and not 0 <= views.min() <= views.max() < v
        if outside or (indices.size and not 0 <= indices.min() <= indices.max() < n):
            raise IndexError(
                f"{self.directory}: a window or view is out of range; expected windows 0 to {n - 1}, views 0 to {v - 1}"
            )

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Read features of view 0 as float32 (B, F, D), frames' times (B, F) in seconds, and their mask (B, F)."""
        times, mask = self._shards.frame_times(indices)
        return self.take(indices).astype(np.float32), times, mask

    def statistics(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compute mean and standard deviation per feature over the valid frames of windows, (D,) each.

        Of more than ``STATISTICS_WINDOWS`` windows, this many evenly spread ones are read: a large set would take long
        and change the statistics little.
        """
        if len(indices) > STATISTICS_WINDOWS:
            indices = indices[np.linspace(0, len(indices) - 1, STATISTICS_WINDOWS).astype(np.int64)]
        total = np.zeros(self.width)
        squares = np.zeros(self.width)
        count = 0
        for start in range(0, len(indices), BLOCK):
            features, _, mask = self.read(indices[start : start + BLOCK])
            valid = features[mask].astype(np.float64)
            total += valid.sum(axis=0)
            squares += (valid**2).sum(axis=0)
            count += len(valid)
        if count == 0:
            raise FeatureCacheError(f"{self.directory}: none of the {len(indices)} windows has a valid frame")
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        return mean.astype(np.float32), deviation.astype(np.float32)

    def verify(self) -> list[str]:
        """Compare every block with its checksum; return the problems, each with file and windows."""
        problems = []
        for name, meta in ((RAW, self._meta), (POOLED, self._meta.get("pooled"))):
            if meta is not None and 0 not in meta["shape"]:
                path = Path(self.directory) / name
                array = np.memmap(path, "<f2", "r", shape=tuple(meta["shape"]))
                problems += damaged_blocks(array, meta["xxh3"], str(path))
        return problems


_thread = threading.local()


def _memory(nbytes: int) -> NDArray[np.uint8]:
    """Return memory that this thread uses again and again: the system would clear new memory page by page."""
    memory: NDArray[np.uint8] | None = getattr(_thread, "memory", None)
    if memory is None or memory.size < nbytes:
        memory = _thread.memory = np.empty(nbytes, np.uint8)
    return memory[:nbytes]
