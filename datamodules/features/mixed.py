"""The feature caches of several sets of shards, read as one.

Shape legend: B requested windows, V views, F frames, D feature width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.features.cache import FeatureCache
from datamodules.features.meta import FeatureCacheError
from datamodules.shards.mixed import MixedShards


class MixedFeatures:
    """Features of the windows that have video; the windows are numbered as those of the shards.

    Args:
        shards: the sets.
        caches: the features of each set, None for a set without video.

    Raises:
        FeatureCacheError: two caches differ in the shape of a window, or there is none.
    """

    def __init__(self, shards: MixedShards, caches: Sequence[FeatureCache | None]) -> None:
        self.shards = shards
        self.caches = list(caches)
        self.parts: list[FeatureCache] = [cache for cache in caches if cache is not None]
        if not self.parts:
            raise FeatureCacheError(f"{shards.directory}: none of these sets has features")
        for cache in self.parts[1:]:
            if cache.shape[1:] != self.parts[0].shape[1:]:
                raise FeatureCacheError(
                    f"{cache.directory}: views, frames and width are {cache.shape[1:]}, those of"
                    f" {self.parts[0].directory} {self.parts[0].shape[1:]}; expected the same"
                )

    @property
    def readers(self) -> int:
        """Threads that can read at the same time with profit."""
        return min(cache.readers for cache in self.parts)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, V, F, D), N of all sets."""
        return (self.shards.n_windows, *self.parts[0].shape[1:])

    @property
    def views(self) -> int:
        """Number of views, V."""
        return self.parts[0].views

    def expect(self, windows: NDArray[np.int64] | None) -> None:
        """Announce windows that will be read; see :meth:`datamodules.shards.reader.ShardSet.expect`."""
        if windows is None:
            for each in self.parts:
                each.expect(None)
            return
        for part, _, local in self.shards.by_part(windows):
            if (cache := self.caches[part]) is not None:
                cache.expect(local)

    def take(
        self,
        indices: NDArray[np.int64],
        views: NDArray[np.int64] | None = None,
        out: NDArray[np.float16] | None = None,
    ) -> NDArray[np.float16]:
        """Read the features of windows with video; see :meth:`datamodules.features.cache.FeatureCache.take`.

        Raises:
            ValueError: a window belongs to a set without video.
        """
        if out is None:
            out = np.empty((len(indices), *self.shape[2:]), np.float16)
        for part, at, local in self.shards.by_part(indices):
            cache = self.caches[part]
            if cache is None:
                raise ValueError(f"data set '{self.shards.parts[part][0]}' has no video, and so no features")
            out[at] = cache.take(local, None if views is None else views[at])
        return out

    def statistics(self, indices: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Compute mean and deviation per feature, (D,) each, of windows with video; every set counts by its windows."""
        count, first, second = 0, np.zeros(self.shape[3]), np.zeros(self.shape[3])
        for part, _, local in self.shards.by_part(indices):
            if (cache := self.caches[part]) is not None:
                mean, deviation = (each.astype(np.float64) for each in cache.statistics(local))
                count += len(local)
                first += len(local) * mean
                second += len(local) * (deviation**2 + mean**2)
        mean = first / max(count, 1)
        deviation = np.sqrt(np.maximum(second / max(count, 1) - mean**2, 0))
        return mean.astype(np.float32), deviation.astype(np.float32)
