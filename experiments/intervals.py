"""Intervals over participants: people are what a claim about new people is sampled from, windows are not."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
FEWEST = 3  # participants; two have but three different resampled means, and their interval is their range


def bootstrap_interval(values: Values, resamples: int, seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over participants.

    With few participants it is wide and still too narrow: three give ten different means, four give 35.

    Args:
        values: (P,) one value a participant.
        resamples: R.
        seed: of the draws.
        level: share of the resampled means inside.

    Returns:
        Lower and upper end; NaN for fewer than ``FEWEST`` participants.
    """
    if len(values) < FEWEST or resamples < 1:
        return math.nan, math.nan
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(
    first: Mapping[str, float], second: Mapping[str, float], resamples: int
) -> tuple[float, float, float]:
    """Mean of first minus second over the participants that both have, with its interval.

    Args:
        first: participant -> value.
        second: participant -> value.
        resamples: of the bootstrap.

    Returns:
        The difference, lower and upper end as :func:`bootstrap_interval` gives them.

    Raises:
        ValueError: they have no participant in common.
    """
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise ValueError("no participant was tested with both methods")
    differences = np.array([first[name] - second[name] for name in shared])
    return float(differences.mean()), *bootstrap_interval(differences, resamples)
