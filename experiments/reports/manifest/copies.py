"""Recordings that hold the same samples: a file copied under another name, or an export that holds the one before.

Samples are compared, not times: a copy may have been stamped anew.

Shape legend: N samples, M marks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.recording import FloatArray

Marks = NDArray[np.uint64]

_DOUBLINGS = 5  # a mark is of 32 samples
_KEPT = 2048  # marks of a recording, the smallest ones
_LEAST, _SHARE = 8, 0.2  # marks that two recordings share, and of how many
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, which spreads numbers evenly


@dataclass(frozen=True)
class Shared:
    """Two recordings with the same samples, by their numbers, and how much of the shorter one they share."""

    one: int
    other: int
    share: float


def marks_of(values: FloatArray) -> Marks:
    """(M,) hashes of 32 samples in a row, the smallest ones, each once; stretches that do not change are one mark.

    Args:
        values: (N, 6), as :class:`datamodules.recording.ImuStream` has them.
    """
    hashes: Marks = np.zeros(len(values), np.uint64)
    for axis in range(values.shape[1]):
        hashes = _mixed(hashes * _ODD + np.ascontiguousarray(values[:, axis]).view(np.uint64))
    for doubling in range(_DOUBLINGS):
        length = 1 << doubling
        if len(hashes) <= length:
            return np.empty(0, np.uint64)
        hashes = _mixed(hashes[:-length] * _ODD + hashes[length:])
    found = np.unique(hashes)
    return found[:_KEPT].copy()


def find_copies(marks: Sequence[Marks]) -> Iterator[Shared]:
    """Pairs of recordings that share samples.

    Args:
        marks: of each recording.
    """
    every = np.concatenate(marks) if marks else np.empty(0, np.uint64)
    if not every.size:
        return
    owners = np.repeat(np.arange(len(marks)), [len(m) for m in marks])
    order = np.argsort(every, kind="stable")
    every, owners = every[order], owners[order]
    pairs: Counter[tuple[int, int]] = Counter()
    # A mark of many recordings says little; of each run of equal marks, neighbours are compared.
    for at in np.flatnonzero(every[1:] == every[:-1]):
        pairs[int(owners[at]), int(owners[at + 1])] += 1
    for (one, other), count in sorted(pairs.items()):
        # Of a recording with many marks the smallest are kept: only marks up to the lower end of both compare.
        limit = min(m[-1] if len(m) == _KEPT else every[-1] for m in (marks[one], marks[other]))
        fewest = min(int(np.searchsorted(m, limit, side="right")) for m in (marks[one], marks[other]))
        if count >= _LEAST and count >= _SHARE * fewest:
            yield Shared(one, other, count / fewest)


def _mixed(hashes: Marks) -> Marks:
    hashes = (hashes ^ (hashes >> np.uint64(32))) * _ODD
    return hashes ^ (hashes >> np.uint64(29))
