"""Orders of windows as pure functions of (seed, epoch, position).

An order stores no state and draws nothing in sequence. So a run can resume in mid-epoch on another number of ranks
without repeating or losing a window: the global batches depend on the seed alone, and each rank takes its slice.

This module has three orders, all in constant memory for any number of windows; ``shard_order`` has one more:

- :class:`WindowOrder`, a shuffle of all windows;
- :class:`BlockOrder`, for storage that is slow at single reads: neighbours are drawn close in time;
- :class:`SpreadOrder`, for losses that need batches without two windows of one recording.

All orders use one permutation, a Feistel network over the smallest power of four that holds N, with cycle
walking (Black and Rogaway 2002). ``datamodules.sampling.mixing`` measures how well an order mixes recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_ROUNDS = 8
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)  # splitmix64's multipliers (Steele et al. 2014)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_COLUMNS = 4  # columns of SpreadOrder


class Order(Protocol):
    """A permutation of ``range(n)`` for every epoch."""

    @property
    def n(self) -> int:
        """Number of windows."""

    def at(self, epoch: int, positions: Ints) -> Ints:
        """Return the windows at these positions of an epoch, in [0, n)."""


@dataclass(frozen=True)
class WindowOrder:
    """All windows shuffled, or in the order of storage."""

    n: int
    seed: int
    shuffle: bool = True

    def at(self, epoch: int, positions: Ints) -> Ints:
        """Return the windows at these positions of an epoch.

        Args:
            epoch: 0, 1, ...
            positions: integers in [0, n).

        Raises:
            IndexError: a position is outside [0, n).
        """
        positions = checked(positions, self.n)
        return permute(positions, self.n, epoch_keys(self.seed, epoch, 0)) if self.shuffle else positions


@dataclass(frozen=True)
class BlockOrder:
    """Blocks of neighbouring windows in random order, shuffled within pools of several blocks.

    All reads of one pool stay within its blocks, so a disk or a network delivers them in large pieces. The begin of
    the blocks is drawn anew in each epoch.

    Attributes:
        n: number of windows.
        seed: seed of the shuffle.
        block: windows per block.
        pool: blocks per pool; batches are mixed well if a pool holds many blocks.
    """

    n: int
    seed: int
    block: int = 64
    pool: int = 256

    def __post_init__(self) -> None:
        if self.block < 1 or self.pool < 1:
            raise ValueError(
                f"blocks of {self.block} windows in pools of {self.pool} blocks; expected at least 1 of both"
            )

    def at(self, epoch: int, positions: Ints) -> Ints:
        """Return the windows at these positions; see :meth:`WindowOrder.at`."""
        positions = checked(positions, self.n)
        whole = self.n // self.block  # number of blocks; the remaining windows form no block and come last
        size = self.block * self.pool
        pools, keys = self.n // size, epoch_keys(self.seed, epoch, 1)
        drawn = positions.copy()
        full = positions < pools * size
        pool = positions[full] // size
        drawn[full] = pool * size + permute(positions[full] % size, size, keys, tweak=pool)
        rest = positions[~full] - pools * size
        drawn[~full] = pools * size + permute(rest, self.n - pools * size, keys, tweak=np.full_like(rest, pools))
        blocked = drawn < whole * self.block
        at_block = permute(drawn[blocked] // self.block, whole, epoch_keys(self.seed, epoch, 2))
        drawn[blocked] = at_block * self.block + drawn[blocked] % self.block
        # Without this rotation, the same windows would come last, and miss the last batch, in every epoch.
        return (drawn + _offset(self.seed, epoch, self.n)) % self.n


@dataclass(frozen=True)
class SpreadOrder:
    """Batches of windows that lie far apart in storage, and so are never neighbours in one recording.

    The windows form ``batch_size`` stripes. A stripe has as many windows as there are batches, and each batch takes one
    window of every stripe. Stripes are divided into columns, and a batch stays in one column. So any two windows of a
    batch are at least :attr:`distance` apart, and a batch holds at most one window of a shorter recording.

    Attributes:
        n: number of windows; the windows of one recording are consecutive.
        seed: seed of the shuffle.
        batch_size: windows in a global batch.
    """

    n: int
    seed: int
    batch_size: int

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= self.n:
            raise ValueError(f"the batch size is {self.batch_size} windows; expected 1 to {self.n}")

    @property
    def distance(self) -> int:
        """Smallest distance in storage between two windows of a batch, in windows."""
        batches = self.n // self.batch_size
        return batches - -(-batches // min(_COLUMNS, batches)) + 1

    def at(self, epoch: int, positions: Ints) -> Ints:
        """Return the windows at these positions; see :meth:`WindowOrder.at`."""
        positions = checked(positions, self.n)
        batches = self.n // self.batch_size
        columns = min(_COLUMNS, batches)
        drawn = positions.copy()
        whole = positions < batches * self.batch_size  # the other windows form no full batch
        batch, stripe = np.divmod(positions[whole], self.batch_size)
        place = permute(batch, batches, epoch_keys(self.seed, epoch, 3))  # equal in all stripes
        first = (np.arange(columns + 1) * batches) // columns
        column = np.searchsorted(first, place, side="right") - 1
        start, length = first[column], np.diff(first)[column]
        within = place - start
        keys = epoch_keys(self.seed, epoch, 4)
        for size in np.unique(length):  # at most two sizes, which differ by one window
            of_size = length == size
            tweak = stripe[of_size] * columns + column[of_size]
            within[of_size] = permute(within[of_size], int(size), keys, tweak=tweak)
        drawn[whole] = stripe * batches + start + within
        return (drawn + _offset(self.seed, epoch, self.n)) % self.n


def checked(positions: Ints, n: int) -> Ints:
    """Return the positions as int64.

    Raises:
        IndexError: a position is outside [0, n).
    """
    positions = np.asarray(positions, dtype=np.int64)
    if positions.size and (positions.min() < 0 or positions.max() >= n):
        raise IndexError(f"positions must be in [0, {n}), found {positions.min()} to {positions.max()}")
    return positions


def epoch_keys(seed: int, epoch: int, purpose: int) -> NDArray[np.uint64]:
    """Derive keys for :func:`permute`; they differ for each epoch and purpose."""
    key = [seed, epoch, purpose] if purpose else [seed, epoch]
    return np.random.SeedSequence(key).generate_state(_ROUNDS, np.uint64).astype(np.uint64)


def _offset(seed: int, epoch: int, n: int) -> int:
    return int(epoch_keys(seed, epoch, 5)[0] % np.uint64(n))


def permute(values: Ints, n: int, keys: NDArray[np.uint64], tweak: Ints | None = None) -> Ints:
    """Apply a permutation of ``range(n)`` to each value; each value of ``tweak`` selects another permutation."""
    if n < 2 or not values.size:
        return values
    half = max(1, ((n - 1).bit_length() + 1) // 2)
    # The odd multiplier maps neighbouring tweaks to keys that are far apart.
    shift = np.zeros(1, np.uint64) if tweak is None else tweak.astype(np.uint64) * _GOLDEN
    found = _feistel(values.astype(np.uint64), half, keys, shift)
    outside = np.flatnonzero(found >= n)
    while outside.size:  # the domain is smaller than 4 n, so a value needs under 3 more rounds on average
        found[outside] = _feistel(found[outside], half, keys, shift if shift.size == 1 else shift[outside])
        outside = outside[found[outside] >= n]
    return found.astype(np.int64)


def _feistel(
    values: NDArray[np.uint64], half: int, keys: NDArray[np.uint64], shift: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> bits, values & mask
    for key in keys:
        mixed = right + (key + shift)  # wraps around, as uint64 does
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
        left, right = right, left ^ ((mixed ^ (mixed >> np.uint64(31))) & mask)
    return (left << bits) | right


@dataclass(frozen=True)
class BatchPlan:
    """Global batches of an epoch, and each rank's part of these batches.

    Attributes:
        order: order of the windows.
        batch_size: windows in a global batch.
        rank: number of this process.
        world_size: number of processes.
        keep_last: True keeps the last, incomplete batch. This needs a single process: all ranks must take the same
            number of steps.
    """

    order: Order
    batch_size: int
    rank: int = 0
    world_size: int = 1
    keep_last: bool = False

    def __post_init__(self) -> None:
        if self.keep_last:
            if self.world_size != 1:
                raise ValueError(f"{self.world_size} processes can't share an incomplete batch; expected 1 process")
            return
        if self.batch_size % self.world_size:
            raise ValueError(
                f"{self.world_size} processes can't share the global batch of {self.batch_size} windows evenly;"
                f" take a multiple of {self.world_size}"
            )
        if self.batch_size > self.order.n:
            raise ValueError(f"the global batch has {self.batch_size} windows, but there are only {self.order.n}")

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return -(-self.order.n // self.batch_size) if self.keep_last else self.order.n // self.batch_size

    @property
    def local_slice(self) -> slice:
        """This rank's part of a global batch."""
        share = self.batch_size // self.world_size
        return slice(self.rank * share, (self.rank + 1) * share)

    def batch(self, epoch: int, step: int) -> Ints:
        """Return this rank's windows of one global batch, (batch_size / world_size,)."""
        return self.batches(epoch, step, 1)[0]

    def batches(self, epoch: int, first: int, count: int) -> list[Ints]:
        """Return this rank's windows of ``count`` batches; many batches cost little more than one.

        Raises:
            IndexError: a batch is not in the epoch.
        """
        if not 0 <= first <= first + count <= len(self):
            raise IndexError(f"batches {first} to {first + count - 1}; expected a part of 0 to {len(self) - 1}")
        steps = np.arange(first, first + count, dtype=np.int64)
        local = np.arange(self.batch_size, dtype=np.int64)[self.local_slice]
        positions = (steps[:, None] * self.batch_size + local).reshape(-1)
        windows = self.order.at(epoch, positions[positions < self.order.n])
        return [windows[start : start + len(local)] for start in range(0, len(windows), len(local))]
