"""Resampling with a memory gives what resampling gives."""

from __future__ import annotations

import numpy as np
import pytest

from datamodules.resampling import RememberedResampling
from datamodules.signal import resample


def signal_at(times: np.ndarray, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    waves = np.sin(2 * np.pi * np.outer(times - times[0], rng.uniform(0.3, 8, 6)) + rng.uniform(0, 6, 6))
    return 10 * waves + rng.normal(0, 0.1, (len(times), 6))


@pytest.mark.parametrize("epoch", [0.0, 1_714_953_600.0])
@pytest.mark.parametrize("rate", [50.0, 100.0, 64.0, 31.25])
def test_windows_of_a_steady_clock(epoch: float, rate: float) -> None:
    times = epoch + np.arange(round(130 * rate)) / rate
    values = signal_at(times)
    remembered = RememberedResampling(after=3)
    matrices = 0
    for window in range(24):
        at = epoch + 2 + 5 * window + np.arange(250) / 50
        expected, valid = resample(times, values, at, 50.0, 0.1)
        found, also_valid = remembered(times, values, at, 50.0, 0.1)
        # In ``resample`` rounding decides whether the fine grid has a point more, which moves results by up to 0.01 %
        # of the amplitude. Times at 64 Hz have no rounding.
        np.testing.assert_allclose(found, expected, atol=1e-9 if (rate, epoch) == (64.0, 0.0) else 2e-3)
        assert np.array_equal(valid, also_valid)
        matrices = max(matrices, len(remembered._matrices))
    assert matrices >= 1


def test_gaps_lost_samples_and_ends_take_the_long_way() -> None:
    times = np.arange(4000) / 100
    values = signal_at(times)
    values[1700] = np.nan
    kept = np.r_[0:2600, 2650:4000]
    remembered = RememberedResampling(after=0)
    for start in (0.0, 2.0, 7.0, 15.0, 24.0, 30.0, 37.0, 50.0):
        at = start + np.arange(250) / 50
        expected, valid = resample(times[kept], values[kept], at, 50.0, 0.1)
        found, also_valid = remembered(times[kept], values[kept], at, 50.0, 0.1)
        assert np.array_equal(valid, also_valid)
        np.testing.assert_allclose(found, expected, atol=2e-3)  # as above


def test_an_unsteady_clock_never_makes_a_matrix() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.008, 0.012, 12000))
    values = signal_at(times)
    remembered = RememberedResampling(after=1)
    for start in np.arange(2, 100, 5.0):
        at = start + np.arange(250) / 50
        assert np.array_equal(remembered(times, values, at, 50.0, 0.1)[0], resample(times, values, at, 50.0, 0.1)[0])
    assert not remembered._matrices
    assert len(remembered._counts) <= 64
