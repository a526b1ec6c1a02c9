"""Values that stand for lost samples, told from measured ones."""

from __future__ import annotations

import numpy as np

from datamodules.recording import FloatArray
from datamodules.windows.quality.placeholders import find_placeholders, zero_holes


def smooth(n: int = 2000) -> FloatArray:
    """(n, 3) signals that cross 0, with noise."""
    times = np.arange(n)[:, None] / 100
    waves = np.sin(2 * np.pi * times * [0.5, 0.7, 1.1]) * 3
    return np.asarray(waves + np.random.default_rng(0).normal(0, 0.01, (n, 3)))


def test_single_ones_and_runs_of_them_are_counted() -> None:
    values = smooth()
    values[5::40] = -1.5
    values[200:230] = -1.5
    (found,) = find_placeholders(values)
    assert (found.channels, found.value, found.together) == ((0, 1, 2), -1.5, True)
    assert found.samples == int((values == -1.5).all(axis=1).sum())


def test_one_channel_alone() -> None:
    values = smooth()
    values[5::40, 1] = 0
    (found,) = find_placeholders(values)
    assert (found.channels, found.value, found.together) == ((1,), 0, False)


def test_signals_noise_coarse_values_and_clipped_spikes_have_none() -> None:
    rng = np.random.default_rng(1)
    coarse = np.round(smooth() * 4) / 4
    clipped = smooth()
    at = rng.choice(1990, 40, replace=False) + 3
    clipped[at] = np.clip(rng.normal(0, 40, (40, 3)), -16, 16)  # blows, of which many reach the end of the range
    for values in (smooth(), rng.normal(size=(2000, 3)), coarse, clipped, np.zeros((2000, 3)), smooth(2)):
        assert find_placeholders(values) == []


def test_zeros_in_movement_are_holes_and_zeros_at_rest_are_none() -> None:
    values = smooth()
    values[:500] = 0
    lost = np.arange(700, 2000, 37)
    lost = lost[np.linalg.norm(values[lost], axis=1) > 2]  # where zeros are far from what is around them
    values[lost] = 0
    assert np.flatnonzero(zero_holes(values)).tolist() == lost.tolist()
