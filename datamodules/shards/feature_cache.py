"""What a frozen video encoder made of every window's frames, computed once and read at memory speed.

A cache is a folder: ``features.f16``, a raw float16 array (N, V, F, D), and ``features.json``, written last, with
its shape, the fingerprints of encoder and shards that it belongs to, and a checksum per block. View 0 is the plain
clip; the others are seen through small shifts and zooms, the same for all frames of a clip.

Shape legend: N windows, V views, F frames, D feature width, B batch, H height, W width.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import xxhash
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from datamodules.shards.mapping import MappedFiles

FORMAT = "imu-video-har features"
VERSION = 1
META, RAW = "features.json", "features.f16"
BLOCK = 128  # windows; the unit of resuming and of checksums


class FeatureCacheError(ValueError):
    """A cache that can't be used; the message names the folder, what was found and what is expected."""


class ClipReader(Protocol):
    """What is needed of a set of shards."""

    @property
    def n_windows(self) -> int:
        """N."""

    @property
    def fingerprint(self) -> str:
        """Digest of the shards' content."""

    def frames(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Clips, (B, F, H, W, 3)."""

    def frame_times(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Frames' times in seconds since the window's start and their mask, each (B, F)."""


@dataclass(frozen=True)
class ViewSettings:
    """How the views of a clip differ: one shift and one zoom per view and window."""

    count: int = 1
    shift: float = 0.06  # of the frame's side, at most
    zoom: float = 0.1  # 1 +- this, at most
    seed: int = 0


class FeatureCache:
    """Features of all windows of a set of shards."""

    def __init__(self, directory: Path, shards: ClipReader, meta: dict[str, Any]) -> None:
        self.directory: Path | str = directory  # a str is a URL
        self._shards = shards
        self._meta = meta
        self._files = MappedFiles()
        self._array: NDArray[np.float16] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": MappedFiles(), "_array": None}  # maps are made anew in every process

    @classmethod
    def open(cls, directory: Path, shards: ClipReader, encoder_fingerprint: str) -> FeatureCache:
        """Open a finished cache.

        Raises:
            FeatureCacheError: it is missing, unfinished, or belongs to another encoder or other shards.
        """
        path = directory / META
        if not path.is_file():
            raise FeatureCacheError(f"{directory}: no finished feature cache (features.json is missing)")
        meta: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        check_meta(meta, str(path), shards, encoder_fingerprint)
        size = int(np.prod(meta["shape"])) * 2
        found = (directory / RAW).stat().st_size
        if found != size:
            raise FeatureCacheError(f"{directory / RAW}: {found} bytes, expected {size}")
        return cls(directory, shards, meta)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, V, F, D)."""
        n, v, f, d = self._meta["shape"]
        return n, v, f, d

    @property
    def encoder_fingerprint(self) -> str:
        """Digest of the encoder that the features came from."""
        return str(self._meta["encoder"])

    @property
    def views(self) -> int:
        """V."""
        return self.shape[1]

    @property
    def width(self) -> int:
        """D."""
        return self.shape[3]

    @property
    def array(self) -> NDArray[np.float16]:
        """All features, (N, V, F, D), mapped into memory; opened in each process on first use."""
        if self._array is None:
            self._array = self._files.array(Path(self.directory) / RAW, "<f2", self.shape)
        return self._array

    def expect(self, windows: NDArray[np.int64] | None) -> None:
        """As :meth:`datamodules.shards.reader.ShardSet.expect`."""

    def take(
        self,
        indices: NDArray[np.int64],
        views: NDArray[np.int64] | None = None,
        out: NDArray[np.float16] | None = None,
    ) -> NDArray[np.float16]:
        """Features of these windows, (B, F, D), from view 0 or the views given, (B,), put into ``out`` if given.

        Raises:
            IndexError: there is no such window or view.
        """
        n, v, f, d = self.shape
        outside = views is not None and views.size and not 0 <= views.min() <= views.max() < v
        if outside or (indices.size and not 0 <= indices.min() <= indices.max() < n):
            raise IndexError(
                f"{self.directory}: windows 0 to {n - 1} and views 0 to {v - 1} are there, others asked for"
            )
        if out is None:
            out = np.empty((len(indices), f, d), np.float16)
        self._fill(indices, views, out)
        return out

    def _fill(self, indices: NDArray[np.int64], views: NDArray[np.int64] | None, out: NDArray[np.float16]) -> None:
        n, v, f, d = self.shape
        rows = indices * v if views is None else indices * v + views
        # Without mode="clip", whose bounds never come into play here, NumPy fills a copy of ``out`` first.
        np.take(self.array.reshape(n * v, f, d), rows, axis=0, out=out, mode="clip")
        self._files.touched(len(rows), out.nbytes)

    def read(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Plain features as float32 (B, F, D), frames' times (B, F) in seconds, and their mask (B, F)."""
        times, mask = self._shards.frame_times(indices)
        return self.take(indices).astype(np.float32), times, mask

    def statistics(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation per feature over the valid frames of these windows, each (D,)."""
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
            raise FeatureCacheError(f"{self.directory}: none of {len(indices)} windows has a valid frame")
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        return mean.astype(np.float32), deviation.astype(np.float32)

    def verify(self) -> list[str]:
        """Compare every block with its checksum; the problems found, each naming file and windows."""
        problems = []
        for start, expected in enumerate(self._meta["xxh3"]):
            first = start * BLOCK
            if _digest(self.array[first : first + BLOCK]) != expected:
                last = min(first + BLOCK, self.shape[0]) - 1
                problems.append(f"{self.directory}/{RAW}: windows {first} to {last}: checksum differs")
        return problems


def check_meta(meta: dict[str, Any], where: str, shards: ClipReader, encoder_fingerprint: str) -> None:
    """Compare what ``features.json``, at ``where``, says with what the features are to belong to.

    Raises:
        FeatureCacheError: it is another encoder, other shards, or another version.
    """
    expected = {
        "format": FORMAT,
        "version": VERSION,
        "encoder": encoder_fingerprint,
        "shards": shards.fingerprint,
    }
    for key, value in expected.items():
        if meta.get(key) != value:
            raise FeatureCacheError(f"{where}: {key} is {meta.get(key)!r}, expected {value!r}")


def build_features(
    directory: Path,
    shards: ClipReader,
    encode: Callable[[Tensor, Tensor], Tensor],
    encoder_fingerprint: str,
    views: ViewSettings,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FeatureCache:
    """Compute the features of all windows, or what is missing of them, and open the cache.

    Args:
        directory: the cache's folder.
        shards: where the clips come from.
        encode: (B, F, 3, H, W) uint8 and (B, F) bool -> (B, F, D).
        encoder_fingerprint: digest of the encoder's architecture, weights and preprocessing.
        views: how many views, and how they differ.
        progress: called with (windows done, all windows).

    Raises:
        FeatureCacheError: a feature came out NaN or infinite, or does not fit float16.
    """
    if (directory / META).is_file():
        return FeatureCache.open(directory, shards, encoder_fingerprint)
    directory.mkdir(parents=True, exist_ok=True)
    job = {
        "format": FORMAT,
        "version": VERSION,
        "encoder": encoder_fingerprint,
        "shards": shards.fingerprint,
        "views": vars(views),
    }
    part, log = directory / "features.part", directory / "progress.jsonl"
    shape, digests = _resume(part, log, job)
    array: np.memmap[Any, np.dtype[np.float16]] | None = None
    if shape is not None:
        array = np.memmap(part, dtype=np.float16, mode="r+", shape=shape)
    with log.open("a", encoding="utf-8") as journal:
        for first in range(len(digests) * BLOCK, shards.n_windows, BLOCK):
            indices = np.arange(first, min(first + BLOCK, shards.n_windows))
            block = _encode_block(shards, indices, encode, views)
            if not np.isfinite(block).all():
                raise FeatureCacheError(f"{directory}: windows {first} to {indices[-1]}: a feature is not finite")
            if array is None:
                shape = (shards.n_windows, *block.shape[1:])
                array = np.memmap(part, dtype=np.float16, mode="w+", shape=shape)
                _append(journal, {**job, "shape": shape})
            array[indices] = block
            array.flush()
            digests.append(_digest(block))
            _append(journal, {"xxh3": digests[-1]})
            progress(int(indices[-1]) + 1, shards.n_windows)
    del array
    part.rename(directory / RAW)
    _write_json(directory / META, {**job, "shape": shape, "xxh3": digests})
    log.unlink()
    return FeatureCache.open(directory, shards, encoder_fingerprint)


def _resume(part: Path, log: Path, job: dict[str, Any]) -> tuple[tuple[int, ...] | None, list[str]]:
    """Shape and finished blocks of an interrupted build of the same job; otherwise a clean start."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() and part.is_file() else []
    entries = list(_whole_lines(lines))
    same = bool(entries) and {k: entries[0].get(k) for k in job} == json.loads(json.dumps(job))
    if same:
        shape = tuple(entries[0]["shape"])
        if part.stat().st_size == int(np.prod(shape)) * 2:
            digests = [entry["xxh3"] for entry in entries[1:]]
            # What a torn last line stood for is done again, so the journal must not keep it.
            log.write_text("".join(json.dumps(e) + "\n" for e in entries), encoding="utf-8")
            return shape, digests
    part.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    return None, []


def _whole_lines(lines: list[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:  # the process was killed while it wrote this line
            return


def _encode_block(
    shards: ClipReader,
    indices: NDArray[np.int64],
    encode: Callable[[Tensor, Tensor], Tensor],
    views: ViewSettings,
) -> NDArray[np.float16]:
    frames = torch.from_numpy(shards.frames(indices)).permute(0, 1, 4, 2, 3)
    mask = torch.from_numpy(shards.frame_times(indices)[1])
    encoded = []
    for view in range(views.count):
        seen = frames if view == 0 else _zoom_and_shift(frames, indices, view, views)
        features = encode(seen, mask).float().cpu()
        encoded.append(torch.where(mask[..., None], features, 0.0))
    # Halves go up to 65504; infinity is caught by the caller.
    return torch.stack(encoded, dim=1).to(torch.float16).numpy()


def _zoom_and_shift(frames: Tensor, indices: NDArray[np.int64], view: int, views: ViewSettings) -> Tensor:
    """The same clips through other crops; a window's crop depends on (seed, view, window) alone."""
    draws = np.stack([np.random.default_rng([views.seed, view, int(i)]).uniform(-1, 1, 3) for i in indices])
    zoom = 1 / (1 + views.zoom * torch.from_numpy(draws[:, 0]).float())
    theta = torch.zeros(len(indices), 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = zoom
    theta[:, :, 2] = 2 * views.shift * torch.from_numpy(draws[:, 1:]).float()
    B, n_frames, channels, height, width = frames.shape
    stacked = frames.reshape(B, n_frames * channels, height, width).float()
    grid = F.affine_grid(theta, [B, n_frames * channels, height, width], align_corners=False)
    seen = F.grid_sample(stacked, grid, padding_mode="border", align_corners=False)
    return seen.round().clamp(0, 255).to(torch.uint8).view(frames.shape)


def _digest(block: NDArray[np.float16]) -> str:
    return xxhash.xxh3_64_hexdigest(np.ascontiguousarray(block).view(np.uint8).data)


def _append(journal: Any, entry: dict[str, Any]) -> None:
    journal.write(json.dumps(entry) + "\n")
    journal.flush()
    os.fsync(journal.fileno())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
