"""Video features in an object store.

The one large file of a feature cache is fetched in pieces of neighbouring windows, each checked against the digests
of its blocks.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xxhash
from numpy.typing import NDArray

from datamodules.shards import layout
from datamodules.shards.feature_cache import BLOCK, META, RAW, ClipReader, FeatureCache, check_meta
from datamodules.shards.storage.local_cache import LocalCache
from datamodules.shards.storage.prefetch import Piece
from datamodules.shards.storage.remote_folder import Part, RemoteFolder, StorageError
from datamodules.shards.storage.remote_shards import in_order

PIECE_BYTES = 64 << 20


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


class RemoteFeatureCache(FeatureCache):
    """As :class:`FeatureCache`; pieces of about 64 MB are fetched into a local cache when they are needed."""

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
        self.folder = folder
        self.cache = cache
        self._row = int(np.prod(self.shape[1:])) * 2  # bytes a window
        self._blocks = max(1, piece_bytes // (BLOCK * self._row))  # a piece
        self._identity = layout.digest_of(meta)

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
        expected, found = int(np.prod(meta["shape"])) * 2, folder.sizes().get(RAW)
        if found != expected:
            raise StorageError(f"{folder}/{RAW}: {found or 0} bytes, expected {expected}; upload the features again")
        features = cls(folder, cache, shards, meta, piece_bytes)
        cache.check_fits(features._piece(0).nbytes, f"{folder}: a piece of its features")
        return features

    @property
    def array(self) -> NDArray[np.float16]:
        """All features, (N, V, F, D), in memory; mind their size."""
        n, _, f, d = self.shape
        windows = np.arange(n)
        return np.stack([self.take(windows, np.full(n, view)) for view in range(self.views)], axis=1).reshape(
            n, self.views, f, d
        )

    def expect(self, windows: NDArray[np.int64] | None) -> None:
        """Fetch what these windows need ahead of the batches that hold them."""
        if windows is None:
            self.cache.prefetch.forget()
        else:
            pieces = in_order(np.asarray(windows) // (self._blocks * BLOCK))
            self.cache.prefetch.expect(self._piece(number) for number in pieces)

    def verify(self) -> list[str]:
        """Fetch every piece that isn't in the cache, which checks it; the problems found."""
        problems = []
        for number in range(-(-self.shape[0] // (self._blocks * BLOCK))):
            try:
                with self.cache.pinned(self._piece(number)):
                    pass
            except StorageError as error:
                problems.append(str(error))
        return problems

    def _fill(self, indices: NDArray[np.int64], views: NDArray[np.int64] | None, out: NDArray[np.float16]) -> None:
        size = self._blocks * BLOCK
        pieces = indices // size
        numbers = np.unique(pieces)
        if len(numbers) > 1:
            self.cache.prefetch.expect([self._piece(int(number)) for number in numbers], next_up=True)
        n, v, f, d = self.shape
        for number in numbers:
            with self.cache.pinned(self._piece(int(number))) as mapped:
                at = np.flatnonzero(pieces == number)
                rows = (indices[at] - number * size) * v + (0 if views is None else views[at])
                array = mapped.array("<f2", ((min(n, (number + 1) * size) - number * size) * v, f, d))
                if len(numbers) == 1:
                    np.take(array, rows, axis=0, out=out, mode="clip")
                else:
                    out[at] = array[rows]
                del array  # it would keep the piece in the cache

    def _piece(self, number: int) -> Piece:
        size = self._blocks * BLOCK
        first, last = number * size, min((number + 1) * size, self.shape[0])
        name = f"features-{self._identity}-{self._blocks}-{number}"
        return Piece(name, (last - first) * self._row, partial(self._fetch, first, last))

    def _fetch(self, first: int, last: int, file: BinaryIO) -> None:
        parts = [
            Part((min(start + BLOCK, last) - start) * self._row, xxhash.xxh3_64, self._meta["xxh3"][start // BLOCK])
            for start in range(first, last, BLOCK)
        ]
        self.folder.download(RAW, first * self._row, file, parts)
