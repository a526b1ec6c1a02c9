"""Video features in an object store.

The large files of a feature cache are fetched in pieces of neighbouring windows, each checked against the digests of
its blocks.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xxhash
from numpy.typing import NDArray

from core.digest import digest_of
from datamodules.features.cache import BLOCK, META, POOLED, RAW, ClipReader, FeatureCache, check_meta
from datamodules.io.local_cache import LocalCache
from datamodules.io.prefetch import Piece
from datamodules.io.store import Part, RemoteFolder, StorageError
from datamodules.shards.remote import in_order

PIECE_BYTES = 8 << 20  # about a shard's share: larger pieces would be fetched for several of them


def open_features(
    where: str | Path, shards: ClipReader, encoder_fingerprint: str, cache: LocalCache | None = None
) -> FeatureCache:
    """Open a finished feature cache in a folder of this machine, or in a store.

    Args:
        where: a folder, or a URL such as ``s3://bucket/prefix``.
        shards: what the features belong to.
        encoder_fingerprint: digest of the encoder.
        cache: for a store: where pieces are kept while they are needed.

    Raises:
        FeatureCacheError: it is missing, unfinished, or belongs to another encoder or other shards.
        StorageError: the store can't be read.
        ValueError: a URL is given without a cache.
    """
    if not str(where).partition("://")[1]:
        return FeatureCache.open(Path(where), shards, encoder_fingerprint)
    if cache is None:
        raise ValueError(f"{where}: reading from a store needs a cache")
    return RemoteFeatureCache.open_folder(RemoteFolder(str(where)), cache, shards, encoder_fingerprint)


@dataclass(frozen=True)
class Stretches:
    """A file of rows, some a window, cut into pieces of whole blocks.

    Attributes:
        folder: where it lies.
        name: of the file.
        shape: (N, V, ...), of halves.
        digests: xxh3 of each block.
        blocks: in a piece.
    """

    folder: RemoteFolder
    name: str
    shape: tuple[int, ...]
    digests: tuple[str, ...]
    blocks: int

    @classmethod
    def of(cls, folder: RemoteFolder, name: str, meta: dict[str, Any], piece_bytes: int) -> Stretches:
        """The file that ``meta`` describes, in pieces of at most so many bytes, or of one block."""
        shape = tuple(int(side) for side in meta["shape"])
        blocks = max(1, piece_bytes // (BLOCK * 2 * math.prod(shape[1:])))
        return cls(folder, name, shape, tuple(meta["xxh3"]), blocks)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the pieces."""
        contents = (self.digests[first : first + self.blocks] for first in range(0, len(self.digests), self.blocks))
        return tuple(f"features-{digest_of(content)}" for content in contents)

    @property
    def windows(self) -> int:
        """In a piece, except for the last one."""
        return self.blocks * BLOCK

    @property
    def pieces(self) -> int:
        """How many there are."""
        return -(-self.shape[0] // self.windows)

    def rows(self, number: int) -> int:
        """Windows in a piece."""
        return min((number + 1) * self.windows, self.shape[0]) - number * self.windows

    def piece(self, number: int) -> Piece:
        """A piece, named after its content."""
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

    def take(
        self, cache: LocalCache, indices: NDArray[np.int64], views: NDArray[np.int64] | None, out: NDArray[np.float16]
    ) -> None:
        """Fill ``out`` (B, ...) from these windows' views; they are read piece by piece, so room for one is enough."""
        at_piece = indices // self.windows
        numbers = [int(number) for number in np.unique(at_piece)]
        pieces = [self.piece(number) for number in numbers]
        cache.hurry(pieces)
        v = self.shape[1]
        for number, piece in zip(numbers, pieces, strict=True):
            at = np.flatnonzero(at_piece == number)
            rows = (indices[at] - number * self.windows) * v + (0 if views is None else views[at])
            with cache.pinned(piece) as mapped:
                array = mapped.array("<f2", (self.rows(number) * v, *self.shape[2:]))
                if len(numbers) == 1:
                    np.take(array, rows, axis=0, out=out, mode="clip")
                else:
                    out[at] = array[rows]
                del array  # it would keep the piece in the cache


class RemoteFeatureCache(FeatureCache):
    """As :class:`FeatureCache`; pieces of about 8 MB are fetched into a local cache when they are needed."""

    readers = 1  # each keeps a piece in the cache, and there may be room for one only

    def __init__(
        self,
        folder: RemoteFolder,
        cache: LocalCache,
        shards: ClipReader,
        meta: dict[str, Any],
        piece_bytes: int = PIECE_BYTES,
    ) -> None:
        """Use ``open_features``."""
        super().__init__(Path(), shards, meta)
        self.directory = folder.url
        self.cache = cache
        self._tokens = Stretches.of(folder, RAW, meta, piece_bytes)
        self._pooled = Stretches.of(folder, POOLED, meta["pooled"], piece_bytes) if "pooled" in meta else None

    @classmethod
    def open_folder(
        cls,
        folder: RemoteFolder,
        cache: LocalCache,
        shards: ClipReader,
        encoder_fingerprint: str,
        piece_bytes: int = PIECE_BYTES,
    ) -> RemoteFeatureCache:
        """As :func:`open_features`."""
        try:
            meta = json.loads(folder.read(META))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise StorageError(f"{folder}/{META}: not JSON: {error}") from error
        check_meta(meta, f"{folder}/{META}", shards, encoder_fingerprint)
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
        """All features, (N, V, F, D), in memory; mind their size."""
        n, v, f, d = self.shape
        out = np.empty((n * v, f, d), np.float16)
        self._tokens.take(self.cache, np.repeat(np.arange(n), v), np.tile(np.arange(v), n), out)
        return out.reshape(self.shape)

    def pooled(self, indices: NDArray[np.int64], views: NDArray[np.int64] | None = None) -> NDArray[np.float16]:
        """As :meth:`FeatureCache.pooled`."""
        if self._pooled is None:
            return super().pooled(indices, views)  # which says that there are none
        out = np.empty((len(indices), *self._pooled.shape[2:]), np.float16)
        self._pooled.take(self.cache, indices, views, out)
        return out

    def expect(self, windows: NDArray[np.int64] | None) -> None:
        """Fetch what these windows need ahead of the batches that hold them."""
        if windows is None:
            self.cache.prefetch.forget()
        else:
            numbers = in_order(np.asarray(windows) // self._tokens.windows)
            self.cache.prefetch.expect(self._tokens.piece(number) for number in numbers)

    def verify(self) -> list[str]:
        """Fetch every piece that isn't in the cache, which checks it; the problems found."""
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

    def _all(self) -> list[Stretches]:
        return [self._tokens] if self._pooled is None else [self._tokens, self._pooled]
