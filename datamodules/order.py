"""Which window comes when: a pure function of (seed, epoch, position).

Nothing is stored and nothing is drawn in sequence, so a run resumes in mid-epoch on another number of ranks
without repeating or losing a window: the global batches depend on the seed alone, a rank only takes its slice.

The permutation is a Feistel network over the smallest power of four that holds N, with cycle walking (Black and
Rogaway 2002): constant memory, any N.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 8
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)  # splitmix64's multipliers (Steele et al. 2014)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class WindowOrder:
    """A permutation of ``range(n)`` for every epoch."""

    n: int
    seed: int
    shuffle: bool = True

    def at(self, epoch: int, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Windows at these positions of an epoch.

        Args:
            epoch: 0, 1, ...
            positions: integers in [0, n).

        Raises:
            IndexError: a position is outside [0, n).
        """
        positions = np.asarray(positions, dtype=np.int64)
        if positions.size and (positions.min() < 0 or positions.max() >= self.n):
            raise IndexError(f"positions must be in [0, {self.n}), found {positions.min()} to {positions.max()}")
        if not self.shuffle or self.n < 2:
            return positions
        half = max(1, ((self.n - 1).bit_length() + 1) // 2)
        keys = self._keys(epoch)
        values = _feistel(positions.astype(np.uint64), half, keys)
        outside = values >= self.n
        while outside.any():  # the domain is less than 4 n: on average under 3 more walks
            values[outside] = _feistel(values[outside], half, keys)
            outside = values >= self.n
        return values.astype(np.int64)

    def _keys(self, epoch: int) -> NDArray[np.uint64]:
        state = np.random.SeedSequence([self.seed, epoch]).generate_state(_ROUNDS, np.uint64)
        return state.astype(np.uint64)


def _feistel(values: NDArray[np.uint64], half: int, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> bits, values & mask
    for key in keys:
        mixed = right + key  # wraps around, as uint64 does
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
        left, right = right, left ^ ((mixed ^ (mixed >> np.uint64(31))) & mask)
    return (left << bits) | right


@dataclass(frozen=True)
class BatchPlan:
    """Global batches of an epoch and each rank's part of them; the last, incomplete batch is left out.

    Attributes:
        order: the windows' order.
        batch_size: windows in a global batch.
        rank: this process.
        world_size: number of processes.
    """

    order: WindowOrder
    batch_size: int
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % self.world_size:
            raise ValueError(
                f"the global batch of {self.batch_size} windows can't be shared evenly by {self.world_size} processes;"
                f" take a multiple of {self.world_size}"
            )
        if self.batch_size > self.order.n:
            raise ValueError(f"the global batch has {self.batch_size} windows, but there are only {self.order.n}")

    def __len__(self) -> int:
        """Batches an epoch."""
        return self.order.n // self.batch_size

    @property
    def local_slice(self) -> slice:
        """This rank's part of a global batch."""
        share = self.batch_size // self.world_size
        return slice(self.rank * share, (self.rank + 1) * share)

    def batch(self, epoch: int, step: int) -> NDArray[np.int64]:
        """This rank's windows of one global batch, (batch_size / world_size,)."""
        if not 0 <= step < len(self):
            raise IndexError(f"batch {step} of an epoch of {len(self)}")
        positions = np.arange(step * self.batch_size, (step + 1) * self.batch_size, dtype=np.int64)
        return self.order.at(epoch, positions[self.local_slice])
