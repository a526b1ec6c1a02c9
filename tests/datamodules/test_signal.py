from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datamodules import signal


def sine(times: NDArray[np.float64], hz: float) -> NDArray[np.float64]:
    return np.sin(2 * np.pi * hz * times)[:, None]


@pytest.mark.parametrize("rate", [198.0, 200.0, 1000.0])
def test_nothing_folds_back_from_above_the_new_nyquist_frequency(rate: float) -> None:
    times = np.arange(0, 10, 1 / rate)
    at = np.arange(2, 8, 0.02)
    for hz in (27.0, 40.0, 45.0, 55.0, 90.0):
        out, valid = signal.resample(times, sine(times, hz), at, 50.0, 0.1)
        assert valid.all()
        # 60 dB; sampled naively these sines keep their amplitude of 1.
        assert np.abs(out).max() < 1e-3, hz


@pytest.mark.parametrize("rate", [60.0, 100.0, 198.0, 200.0, 1000.0])
def test_motion_in_the_pass_band_keeps_amplitude_and_phase(rate: float) -> None:
    times = np.arange(0, 10, 1 / rate)
    at = np.arange(2, 8, 0.02)
    for hz in (0.5, 3.0, 8.0):
        out, _ = signal.resample(times, sine(times, hz), at, 50.0, 0.1)
        # A cubic spline through 7.5 samples a period (8 Hz at 60 Hz) is good to a few tenths of a percent.
        assert np.abs(out - sine(at, hz)).max() < 5e-3, hz


def test_equal_rates_and_times_give_the_samples_themselves() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(500) / 50.0
    values = rng.normal(size=(500, 6))
    out, valid = signal.resample(times, values, times, 50.0, 0.1)
    assert valid.all()
    np.testing.assert_allclose(out, values, atol=1e-12)  # a spline passes its knots up to rounding


@settings(max_examples=30, deadline=None)
@given(
    rate=st.floats(15.0, 400.0),
    jitter=st.floats(0.0, 0.4),
    slope=st.floats(-10, 10),
    level=st.floats(-10, 10),
    seed=st.integers(0, 100),
)
def test_lines_are_exact_whatever_the_rate_and_jitter(
    rate: float, jitter: float, slope: float, level: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    times = (np.arange(int(4 * rate)) + rng.uniform(-jitter, jitter, int(4 * rate))) / rate
    values = (level + slope * times)[:, None]
    at = np.arange(times[0], times[-1], 0.02)
    out, valid = signal.resample(times, values, at, 50.0, 1.0)
    assert valid.all()
    np.testing.assert_allclose(out[:, 0], level + slope * at, atol=1e-6)


def test_gaps_are_invalid_and_lost_samples_make_gaps() -> None:
    times = np.arange(500) / 50.0
    values = np.ones((500, 6))
    values[200:220, 2] = np.nan
    kept = np.r_[0:100, 140:500]
    out, valid = signal.resample(times[kept], values[kept], times, 50.0, 0.1)
    np.testing.assert_array_equal(np.flatnonzero(~valid), np.r_[100:140, 200:220])
    assert not out[~valid].any()
    np.testing.assert_allclose(out[valid], 1.0, atol=1e-9)
    np.testing.assert_allclose(signal.find_gaps(times[kept], 0.1), [[times[99], times[140]]])


def test_outside_the_samples_nothing_is_valid() -> None:
    times = np.arange(50) / 50.0
    _, valid = signal.resample(times, np.ones((50, 1)), np.arange(-50, 100) / 50.0, 50.0, 0.1)
    np.testing.assert_array_equal(np.flatnonzero(valid), np.arange(50, 100))
    _, valid = signal.resample(times, np.full((50, 1), np.nan), times, 50.0, 0.1)
    assert not valid.any()


def test_samples_that_nearly_coincide_do_not_make_the_spline_overshoot() -> None:
    times = np.sort(np.r_[np.arange(200) / 50.0, 1.0 + 1e-7, 2.0 + 1e-7])
    values = np.where(np.arange(times.size) % 2, 1.0, -1.0)[:, None]
    out, _ = signal.resample(times, values, np.arange(0.1, 3.9, 0.001), 50.0, 0.1)
    assert np.abs(out).max() < 3.0


def test_median_filter_removes_spikes_and_stays_inside_valid_stretches() -> None:
    values = np.zeros((40, 2))
    values[10, 0] = 100.0
    values[20:, 1] = 7.0
    valid = np.ones(40, bool)
    valid[18:20] = False
    out = signal.median_filter(values, valid, 5)
    assert out[10, 0] == 0.0
    np.testing.assert_array_equal(out[20:, 1], 7.0)
    np.testing.assert_array_equal(out[:18, 1], 0.0)
    np.testing.assert_array_equal(signal.median_filter(values, valid, 1), values)
    with pytest.raises(ValueError, match="odd"):
        signal.median_filter(values, valid, 4)


def masks(rng: np.random.Generator, b: int, t: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    samples = rng.uniform(size=(b, t)) < 0.8
    channels = np.ones((b, 6), bool)
    channels[0, 3:] = False
    return samples, channels


def test_physical_normalisation_keeps_gravity_and_scales_alone() -> None:
    rng = np.random.default_rng(0)
    imu = rng.normal(size=(3, 50, 6)).astype(np.float32)
    samples, channels = masks(rng, 3, 50)
    out = signal.normalise(imu, samples, channels, "physical")
    valid = samples[:, :, None] & channels[:, None, :]
    expected = np.where(valid, imu / ([9.80665] * 3 + [np.pi] * 3), 0)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, rtol=1e-6)  # float32


def test_window_normalisation_uses_valid_samples_only() -> None:
    rng = np.random.default_rng(1)
    imu = (rng.normal(size=(4, 80, 6)) * 3 + 9.8).astype(np.float32)
    samples, channels = masks(rng, 4, 80)
    dirty = np.where(samples[:, :, None], imu, np.nan)
    out = signal.normalise(dirty, samples, channels, "window")
    for b in range(4):
        seen = out[b][samples[b]][:, channels[b]]
        np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(seen.std(axis=0), 1, atol=1e-5)
    assert not out[~samples].any()
    assert not out[0, :, 3:].any()
    # A window's result does not depend on its neighbours in the batch.
    np.testing.assert_array_equal(out[2], signal.normalise(dirty[2], samples[2], channels[2], "window"))


def test_a_constant_channel_is_zero_not_noise() -> None:
    imu = np.full((1, 20, 6), 9.81, np.float32)
    out = signal.normalise(imu, np.ones((1, 20), bool), np.ones((1, 6), bool), "window")
    assert np.abs(out).max() < 1e-5


def test_unknown_normalisation_is_named() -> None:
    with pytest.raises(ValueError, match="'zscore'"):
        signal.normalise(np.zeros((1, 2, 6)), np.ones((1, 2), bool), np.ones((1, 6), bool), "zscore")


def test_faults_of_the_sensor() -> None:
    times = np.arange(200) / 50.0
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 3))
    values[50:54, 1] = -78.4
    limits = np.array([78.45, 78.45, np.nan])
    np.testing.assert_array_equal(signal.count_saturated(values, limits), [0, 4, 0])
    assert signal.longest_standstill(times, values) == 0.0
    values[100:151] = values[100]
    assert signal.longest_standstill(times, values) == pytest.approx(1.0)
    assert signal.median_acceleration(np.tile([0, 0, 9.8, 0, 0, 0], (5, 1))) == pytest.approx(9.8)
