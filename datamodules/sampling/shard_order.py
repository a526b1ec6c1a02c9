"""An order for shards in a store that don't all fit into the local cache: a few whole shards at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datamodules.sampling.order import Ints, checked, epoch_keys, permute

POOL = 1 << 14  # windows


@dataclass(frozen=True)
class ShardOrder:
    """Shards in random order, their windows shuffled within pools of several shards.

    Each shard belongs to one pool. If the pool fits into the cache, each shard is fetched once per epoch;
    :class:`~datamodules.sampling.order.BlockOrder` would fetch a shard once for each of its blocks. Memory
    grows by a few bytes per shard, and not with the number of windows.

    Attributes:
        sizes: windows of each shard, in the order of storage.
        seed: seed of the shuffle.
        pool: windows per pool, to within one shard. The more shards a pool holds, the better batches are mixed.
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
        """Return the windows at these positions; see :meth:`datamodules.sampling.order.WindowOrder.at`."""
        positions = checked(positions, self.n)
        sizes = np.asarray(self.sizes, np.int64)
        stored = np.cumsum(sizes) - sizes  # each shard's first window
        shards = permute(np.arange(len(sizes)), len(sizes), epoch_keys(self.seed, epoch, 6))
        start = np.cumsum(sizes[shards]) - sizes[shards]  # first position of each shard, in shuffled order
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
