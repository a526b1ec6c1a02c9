"""Random numbers that belong to a window, not to a batch: the same in a batch of any size, on any number of processes.

A number is a hash of the window's key, which draw it is and its place in that draw; nothing is drawn in sequence
(counter-based, as in Salmon et al. 2011, with the finaliser of SplitMix64, Steele et al. 2014, for the hash). All
windows are done at once on their device: integers agree to the bit on every device, logarithms and cosines to their
rounding.

Shape legend: B windows.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# SplitMix64's constants as the signed integers that torch has; its products wrap around as unsigned ones do.
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)


class Draws:
    """Random numbers for a batch of windows; each call draws anew.

    Args:
        keys: (B,) int64, see :func:`window_keys`; equal keys draw equal numbers.
        view: draws of another view of the same windows are other ones.
    """

    def __init__(self, keys: Tensor, view: int = 0) -> None:
        self._keys = _mixed(keys + _wrapped((view + 1) * _FIRST))
        self._calls = 0

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def device(self) -> torch.device:
        """Where the numbers are made."""
        return self._keys.device

    def uniform(self, *shape: int) -> Tensor:
        """(B, *shape) float32, uniform over the 2^24 multiples of 2^-24 in [0, 1)."""
        bits = self._hashes(math.prod(shape))
        return ((bits >> 40) & 0xFFFFFF).float().mul_(2.0**-24).view(-1, *shape)

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape) float32, standard normal, at most 6.6 from zero (Box and Muller 1958)."""
        count = math.prod(shape)
        halves = self._hashes((count + 1) // 2).view(torch.int32)
        # An odd number is never zero, whose logarithm would be infinite.
        radius = halves[:, 0::2].bitwise_or(1).float().abs_().mul_(2.0**-31).log_().mul_(-2).sqrt_()
        angle = halves[:, 1::2].float().mul_(math.pi * 2.0**-31)
        return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :count].reshape(-1, *shape)

    def _hashes(self, count: int) -> Tensor:
        """(B, count) int64, all bits random."""
        self._calls += 1
        keys = _mixed(self._keys + _wrapped(self._calls * _GOLDEN))
        places = _mixed(torch.arange(1, count + 1, device=keys.device) * _GOLDEN)
        return _mixed(keys[:, None] ^ places)


def window_keys(seed: int, epoch: int, windows: NDArray[np.int64]) -> Tensor:
    """Keys for :class:`Draws`, a function of (seed, epoch, window's number) alone, (B,) int64."""
    keys = _base(seed, epoch) + windows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return _mixed(torch.from_numpy(keys.view(np.int64)))


@functools.lru_cache(maxsize=16)
def _base(seed: int, epoch: int) -> np.uint64:
    return np.uint64(np.random.SeedSequence([seed, epoch, 0xD0A5]).generate_state(1, np.uint64)[0])


def _mixed(values: Tensor) -> Tensor:
    """SplitMix64's finaliser, in place: each bit of the result depends on all bits of the value."""
    for shift, factor in ((30, _FIRST), (27, _SECOND)):
        # torch shifts signs in; the mask takes them off.
        values.bitwise_xor_((values >> shift).bitwise_and_((1 << (64 - shift)) - 1)).mul_(factor)
    return values.bitwise_xor_((values >> 31).bitwise_and_((1 << 33) - 1))


def _wrapped(value: int) -> int:
    """A Python integer modulo 2^64, signed."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)
