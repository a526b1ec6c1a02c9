"""The order of the training windows, by its name in the settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.pretraining.split import stream_seed
from datamodules.sampling.mixture import MixtureOrder, shares_of
from datamodules.sampling.order import BlockOrder, Order, SpreadOrder, WindowOrder
from datamodules.sampling.shard_order import ShardOrder
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet


def order_of(
    name: str,
    shards: ShardSet | MixedShards,
    windows: NDArray[np.int64],
    seed: int,
    batch_size: int,
    weights: Sequence[float],
) -> Order:
    """Create the order of the training windows, of one set or of several.

    Args:
        name: see :func:`make_order`.
        shards: one set, or several.
        windows: training windows, ascending.
        seed: seed of the order.
        batch_size: global batch.
        weights: shares of several sets in a batch, in proportion; empty gives each the same.

    Raises:
        ValueError: there is no such order, or a set has too few windows for its share of a batch.
    """
    if not isinstance(shards, MixedShards):
        return make_order(name, windows, seed, batch_size, [entry.windows for entry in shards.index.shards])
    names = [part for part, _ in shards.parts]
    shares = shares_of(weights or [1.0] * len(names), batch_size)
    orders: list[Order] = []
    first = 0
    for number, (part, own) in enumerate(shards.parts):
        mine = windows[shards.part_of[windows] == number] - first
        if len(mine) < shares[number]:
            raise ValueError(
                f"pretraining.datasets: '{part}' has {len(mine)} training windows, but a batch of {batch_size} takes"
                f" {shares[number]} of them; lower its weight, or pretraining.batch_size"
            )
        sizes = [entry.windows for entry in own.index.shards]
        orders.append(make_order(name, mine, stream_seed(seed, number, 0x5E7), shares[number], sizes))
        first += own.n_windows
    together = tuple(int(own.settings.frames > 0) for _, own in shards.parts)
    return MixtureOrder(tuple(orders), shares, len(windows) // batch_size, together)


def make_order(name: str, windows: NDArray[np.int64], seed: int, batch_size: int, shard_sizes: Sequence[int]) -> Order:
    """Create the order with this name.

    Args:
        name: "shuffle", "blocks", "spread" or "shards".
        windows: windows to order, ascending.
        seed: seed of the order.
        batch_size: global batch.
        shard_sizes: number of windows in each shard, unused windows included.

    Raises:
        ValueError: there is no order with this name.
    """
    n = len(windows)
    if name == "shuffle":
        return WindowOrder(n, seed)
    if name == "blocks":
        return BlockOrder(n, seed)
    if name == "spread":
        return SpreadOrder(n, seed, batch_size)
    if name == "shards":
        used = np.diff(np.searchsorted(windows, np.cumsum([0, *shard_sizes])))
        return ShardOrder(tuple(int(size) for size in used if size), seed)
    raise ValueError(f"unknown order '{name}' of windows; expected shuffle, blocks, spread or shards")
