"""The order for shards in a store that don't all fit into the local cache: a few whole shards at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datamodules.sampling.order import Ints, checked, epoch_keys, permute

POOL = 1 << 14


@dataclass(frozen=True)
class ShardOrder:
    """Shards in random order, their windows shuffled within pools of several shards.

    Each shard belongs to one pool, so that in an epoch it has to be fetched once, if the pool fits into the cache.
    :class:`~datamodules.sampling.order.BlockOrder` would come back to a shard as often as it has blocks. Memory
    grows with the number of shards, a few bytes each, not with that of windows.

    Attributes:
        sizes: windows of each shard, in the order of storage.
        seed: of the shuffle.
        pool: windows in a pool, to within one shard; batches are mixed the better, the more shards that are.
    """

    sizes: tuple[int, ...]
    seed: int
    pool: int = POOL

    def __post_init__(self) -> None:
        if self.pool < 1:
            raise ValueError(f"pools of {self.pool} windows; expected at least 1")

    @property
    def n(self) -> int:
        """Number of windows."""
        return sum(self.sizes)

    def at(self, epoch: int, positions: Ints) -> Ints:
        """As :meth:`datamodules.sampling.order.WindowOrder.at`."""
        positions = checked(positions, self.n)
        sizes = np.asarray(self.sizes, np.int64)
        stored = np.cumsum(sizes) - sizes  # each shard's first window
        shards = permute(np.arange(len(sizes)), len(sizes), epoch_keys(self.seed, epoch, 6))
        start = np.cumsum(sizes[shards]) - sizes[shards]  # the position where each begins, shard by shard
        # A pool holds the shards that begin in the same stretch of ``pool`` positions.
        pool_start = np.append(start[np.unique(start // self.pool, return_index=True)[1]], self.n)
        pool_of = np.searchsorted(pool_start, positions, side="right") - 1
        keys = epoch_keys(self.seed, epoch, 7)
        drawn = positions.copy()
        for pool in np.unique(pool_of):
            inside = pool_of == pool
            first, size = pool_start[pool], int(pool_start[pool + 1] - pool_start[pool])
            local = positions[inside] - first
            drawn[inside] = first + permute(local, size, keys, tweak=np.full_like(local, pool))
        shard = np.searchsorted(start, drawn, side="right") - 1
        return np.asarray(stored[shards[shard]] + drawn - start[shard], np.int64)
