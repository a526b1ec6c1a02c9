"""Reader of a feature cache in an object store.

The large files are fetched in pieces of neighbouring windows. Each piece is checked against the digests of its blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xxhash
from numpy.typing import NDArray

from core.digest import digest_of
from datamodules.features.cache import FeatureCache
from datamodules.features.meta import BLOCK, META, POOLED, RAW, ClipReader, FeatureCacheError, parse_meta
from datamodules.io.local_cache import LocalCache, Mapped
from datamodules.io.prefetch import Piece
from datamodules.io.store import Part, RemoteFolder, StorageError
from datamodules.shards.remote import distinct_in_order

PIECE_BYTES = 8 << 20  # about the features of one shard; a larger piece would cover windows of several shards


def open_features(
    where: str | Path, shards: ClipReader, encoder_fingerprint: str, cache: LocalCache | None = None
) -> FeatureCache:
    """Open a finished feature cache in a local folder or in a store.

    Args:
        where: a folder, or a URL such as ``s3://bucket/prefix``.
        shards: shards of the features.
        encoder_fingerprint: digest of the encoder.
        cache: local cache of pieces; required for a store.

    Raises:
        FeatureCacheError: the features are missing or unfinished, or belong to another encoder or other shards.
        StorageError: the store can't be read.
        ValueError: a URL is given without a cache.
    """
    if not str(where).partition("://")[1]:
        return FeatureCache.open(Path(where), shards, encoder_fingerprint)
    if cache is None:
        raise ValueError(f"{where}: reading from a store needs a cache")
    return RemoteFeatureCache.open_folder(RemoteFolder(str(where)), cache, shards, encoder_fingerprint)


@dataclass(frozen=True)
class PiecewiseFile:
    """A remote file of V rows per window, divided into pieces of whole blocks.

    Attributes:
        folder: folder of the file.
        name: name of the file.
        shape: (N, V, ...), float16.
        digests: xxh3 of each block.
        blocks: blocks per piece.
        compared: pieces of the local cache that this process has compared with their digests.
    """

    folder: RemoteFolder
    name: str
    shape: tuple[int, ...]
    digests: tuple[str, ...]
    blocks: int
    compared: set[int] = field(default_factory=set, compare=False)

    @classmethod
    def from_meta(cls, folder: RemoteFolder, name: str, meta: dict[str, Any], piece_bytes: int) -> PiecewiseFile:
        """Create the file that ``meta`` describes, with pieces of at most ``piece_bytes``, or of one block."""
        shape = tuple(int(side) for side in meta["shape"])
        blocks = max(1, piece_bytes // (BLOCK * 2 * math.prod(shape[1:])))
        return cls(folder, name, shape, tuple(meta["xxh3"]), blocks)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the pieces."""
        contents = (self.digests[first : first + self.blocks] for first in range(0, len(self.digests), self.blocks))
        return tuple(f"features-{digest_of(content)}" for content in contents)

    @property
    def windows(self) -> int:
        """Windows in each piece except the last."""
        return self.blocks * BLOCK

    @property
    def pieces(self) -> int:
        """Number of pieces."""
        return -(-self.shape[0] // self.windows)

    def rows(self, number: int) -> int:
        """Return the number of windows in a piece."""
        return min((number + 1) * self.windows, self.shape[0]) - number * self.windows

    def piece(self, number: int) -> Piece:
        """Return a piece; its name is a digest of its content."""
        return Piece(
            self.names[number], self.rows(number) * 2 * math.prod(self.shape[1:]), partial(self._fetch, number)
        )

    def _fetch(self, number: int, file: BinaryIO) -> None:
        row, rows = 2 * math.prod(self.shape[1:]), self.rows(number)
        parts = [
            Part((min(start + BLOCK, rows) - start) * row, xxhash.xxh3_64, expected)
            for start, expected in zip(range(0, rows, BLOCK), self.digests[number * self.blocks :], strict=False)
        ]
        self.folder.download(self.name, number * self.windows * row, file, parts)

    def _compare(self, number: int, mapped: Mapped) -> None:
        row, rows = 2 * math.prod(self.shape[1:]), self.rows(number)
        content = mapped.array("|u1", (rows * row,))
        for start, expected in zip(range(0, rows, BLOCK), self.digests[number * self.blocks :], strict=False):
            if xxhash.xxh3_64_hexdigest(content[start * row : (start + BLOCK) * row].data) != expected:
                raise FeatureCacheError(
                    f"{mapped.path}: damaged: this part of {self.folder}/{self.name} differs from its checksum;"
                    " delete it"
                )

    def take(
        self, cache: LocalCache, indices: NDArray[np.int64], views: NDArray[np.int64] | None, out: NDArray[np.float16]
    ) -> None:
        """Read these windows' views into ``out`` (B, ...), piece by piece, so that room for one piece is enough."""
        at_piece = indices // self.windows
        numbers = [int(number) for number in np.unique(at_piece)]
        pieces = [self.piece(number) for number in numbers]
        cache.hurry(pieces)
        v = self.shape[1]
        for number, piece in zip(numbers, pieces, strict=True):
            at = np.flatnonzero(at_piece == number)
            rows = (indices[at] - number * self.windows) * v + (0 if views is None else views[at])
            with cache.pinned(piece) as mapped:
                if number not in self.compared:  # when it was fetched, it was as the store has it
                    self._compare(number, mapped)
                    self.compared.add(number)
                array = mapped.array("<f2", (self.rows(number) * v, *self.shape[2:]))
                if len(numbers) == 1:
                    np.take(array, rows, axis=0, out=out, mode="clip")
                else:
                    out[at] = array[rows]
                del array  # this array would keep the piece in the cache


class RemoteFeatureCache(FeatureCache):
    """A :class:`FeatureCache` in a store; pieces of about 8 MB are fetched into a local cache when needed."""

    readers = 1  # each reader pins a piece in the cache, which may have room for one only

    def __init__(
        self,
        folder: RemoteFolder,
        cache: LocalCache,
        shards: ClipReader,
        meta: dict[str, Any],
        piece_bytes: int = PIECE_BYTES,
    ) -> None:
        """Create a cache from its description; callers use ``open_features``."""
        super().__init__(Path(), shards, meta)
        self.directory = folder.url
        self.cache = cache
        self._tokens = PiecewiseFile.from_meta(folder, RAW, meta, piece_bytes)
        self._pooled = (
            PiecewiseFile.from_meta(folder, POOLED, meta["pooled"], piece_bytes) if "pooled" in meta else None
        )

    @classmethod
    def open_folder(
        cls,
        folder: RemoteFolder,
        cache: LocalCache,
        shards: ClipReader,
        encoder_fingerprint: str,
        piece_bytes: int = PIECE_BYTES,
    ) -> RemoteFeatureCache:
        """Open a cache in a store; see :func:`open_features`."""
        meta = parse_meta(folder.read(META), f"{folder}/{META}", shards, encoder_fingerprint)
        features, there = cls(folder, cache, shards, meta, piece_bytes), folder.sizes()
        for file in features._all():
            expected, found = 2 * math.prod(file.shape), there.get(file.name, 0)
            if found != expected:
                raise StorageError(f"{folder}/{file.name}: {found} bytes, expected {expected}; upload it again")
            if file.pieces:
                cache.check_fits(file.piece(0).nbytes, f"{folder}/{file.name}: a piece of it")
        return features

    @property
    def array(self) -> NDArray[np.float16]:
        """All features, (N, V, F, D), copied into memory; they may be large."""
        n, v, f, d = self.shape
        out = np.empty((n * v, f, d), np.float16)
        self._tokens.take(self.cache, np.repeat(np.arange(n), v), np.tile(np.arange(v), n), out)
        return out.reshape(self.shape)

    def pooled(self, indices: NDArray[np.int64], views: NDArray[np.int64] | None = None) -> NDArray[np.float16]:
        """Read the encoder's own clip vectors; see :meth:`FeatureCache.pooled`."""
        if self._pooled is None:
            return super().pooled(indices, views)  # raises the error
        out = np.empty((len(indices), *self._pooled.shape[2:]), np.float16)
        self._pooled.take(self.cache, indices, views, out)
        return out

    def expect(self, windows: NDArray[np.int64] | None) -> None:
        """Fetch the pieces of these windows ahead; see :meth:`FeatureCache.expect`."""
        if windows is None:
            self.cache.prefetch.forget()
        else:
            numbers = distinct_in_order(np.asarray(windows) // self._tokens.windows)
            self.cache.prefetch.expect(self._tokens.piece(number) for number in numbers)

    def verify(self) -> list[str]:
        """Fetch every piece that is not in the cache, which checks its digests; return the problems."""
        problems = []
        for file in self._all():
            for number in range(file.pieces):
                try:
                    with self.cache.pinned(file.piece(number)):
                        pass
                except StorageError as error:
                    problems.append(str(error))
        return problems

    def _fill(self, indices: NDArray[np.int64], views: NDArray[np.int64] | None, out: NDArray[np.float16]) -> None:
        self._tokens.take(self.cache, indices, views, out)

    def _all(self) -> list[PiecewiseFile]:
        return [self._tokens] if self._pooled is None else [self._tokens, self._pooled]
