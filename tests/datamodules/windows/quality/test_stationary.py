"""Rest, non-wear and auto-calibration of made recordings whose truth is known, and next to actipy's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers.made_long import lying_about, nights
from numpy.typing import NDArray

from datamodules.recording import ImuStream
from datamodules.signal import G
from datamodules.windows.quality.calibration import calibrated, find_calibration
from datamodules.windows.quality.stationary import RestFinder, non_wear, rest_windows

GAIN, OFFSET = np.array([1.03, 0.98, 1.01]), np.array([0.020, -0.030, 0.015])


def raw_of(true: NDArray[np.float64]) -> NDArray[np.float64]:
    """m/s^2 as a device reads that needs gain and offset."""
    return (true - OFFSET) / GAIN * G


@pytest.mark.parametrize(("noise", "off"), [(0.0, 1e-9), (0.003, 5e-4)])
def test_gain_and_offset_are_found(noise: float, off: float) -> None:
    times, true = lying_about(orientations=80, noise=noise)
    found = find_calibration(rest_windows(times, raw_of(true)))
    assert not found.refused
    # Without noise the fit is exact to rounding; with it, a window's mean is off by 3 mg / sqrt(200).
    np.testing.assert_allclose(found.gain, GAIN, atol=off)
    np.testing.assert_allclose(found.offset, OFFSET, atol=off)
    assert found.before > 0.015
    assert found.after < max(1e-9, 0.1 * noise)
    stream = ImuStream(times, np.hstack([raw_of(true), np.full_like(true, np.nan)]), "wrist", acceleration_range=8 * G)
    done = calibrated(stream, found)
    np.testing.assert_allclose(done.values[:, :3] / G, true, atol=10 * off)
    assert np.isnan(done.values[:, 3:]).all()
    assert done.acceleration_range == pytest.approx((0.98 * 8 - 0.030) * G, rel=1e-3)


def test_windows_that_rest_but_are_wrong_count_for_little() -> None:
    times, true = lying_about(orientations=100)
    raw = raw_of(true)
    for k in range(0, 100, 20):  # in a lift, or on a motor
        raw[times // 10 % 100 == k] *= 1.2
    found = find_calibration(rest_windows(times, raw))
    np.testing.assert_allclose(found.gain, GAIN, atol=0.002)
    np.testing.assert_allclose(found.offset, OFFSET, atol=0.002)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda true: np.abs(true), "too few orientations: x from .* expected every axis beyond"),
        (lambda true: true[: 30 * 200], "windows of rest, 10 s each; expected at least 50"),
        (lambda true: 1.5 * true, "a gain of 0.667 is no calibration: is the unit right"),
        (lambda true: true * (1 + 0.1 * np.sin(np.arange(len(true)) // 200))[:, None], "no less than .* mg from 1 g"),
    ],
)
def test_what_can_t_be_told_is_said(change: object, says: str) -> None:
    times, true = lying_about(orientations=80)
    assert callable(change)
    changed = change(true)
    found = find_calibration(rest_windows(times[: len(changed)], G * changed))
    assert pytest.approx(found.windows, abs=1) == min(80, len(changed) // 200)
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(found.refused)
    stream = ImuStream(times[: len(changed)], np.hstack([changed, changed]), "wrist")
    assert calibrated(stream, found) is stream


def test_non_wear_is_rest_of_more_than_90_minutes() -> None:
    # Worn 1 h, on a table 2 h, worn 1 h, on a table 80 min, worn 10 min.
    times, values = nights([(60, True), (120, False), (60, True), (80, False), (10, True)])
    assert non_wear(rest_windows(times, values)) == [(3600.0, 10800.0)]
    assert non_wear(rest_windows(times, values), 60 * 60) == [(3600.0, 10800.0), (14400.0, 19200.0)]


def test_lost_samples_are_no_movement_and_gaps_are_no_rest() -> None:
    times, values = nights([(10, True), (120, False), (10, True)])
    values[::7] = np.nan
    assert non_wear(rest_windows(times, values)) == [(600.0, 7800.0)]
    there = (times < 4000) | (times > 4030)
    # Two rests of 57 and 63 minutes with a gap between them: neither is long enough.
    assert non_wear(rest_windows(times[there], values[there])) == []


def test_dates_as_times_change_nothing() -> None:
    times, values = nights([(10, True), (120, False), (10, True)])
    assert non_wear(rest_windows(times + 1.7e9, values)) == [(1.7e9 + 600.0, 1.7e9 + 7800.0)]


def frame_of(times: NDArray[np.float64], values: NDArray[np.float64]) -> pd.DataFrame:
    index = pd.DatetimeIndex((times * 1e9).astype("datetime64[ns]"), name="time")
    return pd.DataFrame(values / G, index=index, columns=["x", "y", "z"])


def test_actipy_finds_the_same_gain_and_offset() -> None:
    processing = pytest.importorskip("actipy.processing", reason="needs actipy")
    times, true = lying_about(orientations=200, noise=0.003)
    raw = raw_of(true)
    _, theirs = processing.calibrate_gravity(frame_of(times, raw))
    ours = find_calibration(rest_windows(times, raw, still_g=0.015))
    assert theirs["CalibOK"] == 1
    assert theirs["CalibNumSamples"] == ours.windows
    assert theirs["CalibErrorBefore(mg)"] == pytest.approx(1000 * ours.before, rel=0.01)  # distances to the sphere
    # Their steps end at an improvement of 1e-4 of the error, ours at the optimum.
    np.testing.assert_allclose([theirs[f"Calib{a}Slope"] for a in "xyz"], ours.gain, atol=0.002)
    np.testing.assert_allclose([theirs[f"Calib{a}Intercept"] for a in "xyz"], ours.offset, atol=0.002)
    assert 1000 * ours.after <= theirs["CalibErrorAfter(mg)"] + 0.05


def test_actipy_finds_the_same_non_wear() -> None:
    processing = pytest.importorskip("actipy.processing", reason="needs actipy")
    times, values = nights([(60, True), (120, False), (60, True), (100, False), (10, True)])
    theirs = processing.find_nonwear_segments(frame_of(times, values))
    ours = non_wear(rest_windows(times, values, still_g=0.015))
    assert [begin for begin, _ in ours] == [stamp.timestamp() for stamp in theirs.index]
    # Theirs end at the begin of the last window.
    assert [end - begin - 10 for begin, end in ours] == [length.total_seconds() for length in theirs]


def test_stretch_by_stretch_rest_is_that_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.02, 0.06, 30_000))
    values = rng.normal([0, 0, G], np.where(rng.random((30, 1)) < 0.5, 0.02, 1.0).repeat(1000, axis=0), (30_000, 3))
    values[5000:5300] = np.nan
    finder = RestFinder()
    for part in np.array_split(np.arange(30_000), 7):
        finder.add(times[part], values[part])
    whole, found = rest_windows(times, values), finder.found()
    assert np.array_equal(found.still, whole.still)
    assert 0.2 < whole.still.mean() < 0.8
    np.testing.assert_allclose(found.means, whole.means, rtol=1e-9)  # sums are added up in another order
