"""An order over several sets of windows: every batch has the same number of windows of each set.

Each set is shuffled by an order of its own, pass after pass. In a pass no window comes twice. A batch takes the next
windows of each set, so a small set with a large share is passed through several times while a large one is passed
through once. Like every order, this one is a pure function of (seed, epoch, position): it stores nothing.

A pass is cut into whole shares of batches. So no batch holds a window twice; the remaining windows of a pass are other
ones in each pass.

Shape legend: S sets, B windows in a global batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from datamodules.sampling.order import Ints, Order, checked


@dataclass(frozen=True)
class MixtureOrder:
    """Batches with fixed shares of several sets.

    The windows of all sets are numbered one set after the other, from 0 to :attr:`windows`. A window may come several
    times in an epoch. Therefore :meth:`at` returns numbers of *draws*, which :meth:`split` takes apart.

    Attributes:
        orders: of each set's windows, S.
        shares: windows of each set in a batch, S; see :func:`shares_of`.
        steps: batches in an epoch.
        together: sets with the same number are laid out as one, S; see :func:`layout`.

    Raises:
        ValueError: a set has fewer windows than its share.
    """

    orders: tuple[Order, ...]
    shares: tuple[int, ...]
    steps: int
    together: tuple[int, ...]

    def __post_init__(self) -> None:
        for order, share in zip(self.orders, self.shares, strict=True):
            if not 1 <= share <= order.n:
                raise ValueError(f"a set of {order.n} windows can't give {share} to each batch")

    @property
    def batch_size(self) -> int:
        """Windows in a global batch, B."""
        return sum(self.shares)

    @property
    def n(self) -> int:
        """Number of positions in an epoch."""
        return self.steps * self.batch_size

    @property
    def windows(self) -> int:
        """Number of windows of all sets."""
        return sum(order.n for order in self.orders)

    @cached_property
    def slots(self) -> Ints:
        """The set of each place in a batch, (B,)."""
        return layout(self.shares, self.together)

    def at(self, epoch: int, positions: Ints) -> Ints:
        """Return the draws at these positions of an epoch: ``pass * windows + window``.

        Raises:
            IndexError: a position is outside [0, n).
        """
        positions = checked(positions, self.n)
        step, slot = np.divmod(positions, self.batch_size)
        of_set, rank = self.slots[slot], self._ranks[slot]
        drawn = np.empty_like(positions)
        first = 0
        for number, (order, share) in enumerate(zip(self.orders, self.shares, strict=True)):
            mine = np.flatnonzero(of_set == number)
            passes, step_of_pass = np.divmod(epoch * self.steps + step[mine], order.n // share)
            places = step_of_pass * share + rank[mine]
            for each in np.unique(passes).tolist():
                during = passes == each
                drawn[mine[during]] = each * self.windows + first + order.at(each, places[during])
            first += order.n
        return drawn

    def split(self, draws: Ints) -> tuple[Ints, Ints]:
        """Take draws apart: the pass of the window's own set, and the window, among those of all sets."""
        passes, windows = np.divmod(draws, self.windows)
        return passes, windows

    @cached_property
    def _ranks(self) -> Ints:
        """The number of each place among those of its set, (B,)."""
        ranks = np.empty_like(self.slots)
        for number, share in enumerate(self.shares):
            ranks[self.slots == number] = np.arange(share)
        return ranks


def shares_of(weights: Sequence[float], batch_size: int) -> tuple[int, ...]:
    """Divide a batch among sets in proportion to their weights, by the largest remainders, and at least one to each.

    Args:
        weights: of each set, above 0.
        batch_size: windows in a global batch.

    Raises:
        ValueError: a weight is not above 0, or there are more sets than windows.
    """
    if not weights or min(weights) <= 0:
        raise ValueError(f"the weights of sets are {list(weights)}; expected numbers above 0")
    if len(weights) > batch_size:
        raise ValueError(f"a batch of {batch_size} windows can't hold windows of {len(weights)} sets")
    exact = batch_size * np.asarray(weights, np.float64) / np.sum(weights)
    shares = np.floor(exact).astype(np.int64)
    largest = np.argsort(shares - exact, kind="stable")  # the largest remainders first; of equal ones, the first set
    shares[largest[: batch_size - int(shares.sum())]] += 1
    while (shares == 0).any():
        shares[shares.argmax()] -= 1
        shares[shares.argmin()] += 1
    return tuple(int(share) for share in shares)


def layout(shares: Sequence[int], together: Sequence[int]) -> Ints:
    """Spread the sets evenly over the places of a batch; returns the set of each place, (B,).

    Each of W processes takes one of W equal stretches of the batch. A stretch has equally many windows of a set, if W
    divides the set's share; and of sets that are laid out together, if W divides the sum of their shares.

    Args:
        shares: windows of each set in a batch, S.
        together: sets with the same number are laid out as one, S; e.g. all sets with video.
    """
    counts, of = np.asarray(shares), np.asarray(together)
    members = [np.flatnonzero(of == group) for group in np.unique(of)]
    of_group = _interleaved([int(counts[mine].sum()) for mine in members])
    slots = np.empty_like(of_group)
    for number, mine in enumerate(members):
        slots[of_group == number] = mine[_interleaved(counts[mine].tolist())]
    return slots


def _interleaved(counts: Sequence[int]) -> Ints:
    """Place ``counts[i]`` entries i at equal distances, and merge them in the order of their places."""
    number = np.repeat(np.arange(len(counts)), counts)
    place = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
    return number[np.lexsort((number, place))]
