import numpy as np
import pytest
from helpers.made_motion import DURATION_S, RATE_HZ, SAMPLES, Motion, make_motion, make_track
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.signal import resample
from experiments.evaluation.audit.duplicates import Duplicate, find_duplicates, find_landmarks, window_digests

MOTION = make_motion()


def _find(motion: Motion) -> list[Duplicate]:
    return find_duplicates(motion.read, motion.windows, motion.people, RATE_HZ)


def _with_window(imu: np.ndarray, samples: np.ndarray | None = None) -> Motion:
    """``MOTION`` with the last person's last window replaced."""
    values, masks = MOTION.imu.copy(), MOTION.samples.copy()
    values[-1] = imu
    if samples is not None:
        masks[-1] = samples
    return MOTION.but(imu=values, samples=masks)


def test_different_movements_are_no_duplicates() -> None:
    assert _find(MOTION) == []


def test_a_whole_copy_is_found_under_another_name_only() -> None:
    copied = _with_window(MOTION.imu[3])
    (duplicate,) = _find(copied)
    assert (duplicate.first, duplicate.second) == (3, len(MOTION.imu) - 1)
    assert duplicate.shift == pytest.approx(0, abs=1e-6)
    one_person = copied.with_columns(subject=np.full(len(MOTION.imu), "p0"))
    assert _find(one_person) == []


def test_noise_of_another_order_of_rounding_hides_no_copy() -> None:
    as_g = (MOTION.imu[3] / np.float32(9.80665)).astype(np.float16)  # 3 digits: far more than float noise
    assert len(_find(_with_window(as_g.astype(np.float32) * np.float32(9.80665)))) == 1


@given(shift_s=st.floats(0.02, 3.3), seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_duplicates_on_another_grid_are_found_at_any_shift(shift_s: float, seed: int) -> None:
    """Raw at 200 Hz, cut twice: the second grid lies between the samples of the first."""
    track = make_track(seed, 10, rate_hz=200.0)
    times = np.arange(len(track)) / 200.0
    grid = np.arange(SAMPLES) / RATE_HZ
    one, other = (resample(times, track, start + grid, RATE_HZ, 0.1)[0] for start in (0.5, 0.5 + shift_s))
    imu = MOTION.imu.copy()
    imu[0], imu[-1] = one, other
    (duplicate,) = _find(MOTION.but(imu=imu))
    assert (duplicate.first, duplicate.second) == (0, len(imu) - 1)
    # A moment of the first lies earlier in the window that starts later; to 1/20 of a sample.
    assert duplicate.shift == pytest.approx(-shift_s * RATE_HZ, abs=0.05)


def test_a_second_in_common_is_not_enough() -> None:
    imu = make_track(99, DURATION_S).astype(np.float32)
    imu[:50] = MOTION.imu[3, -50:]
    assert _find(_with_window(imu)) == []


def test_a_short_copy_is_found_whole() -> None:
    """Windows of which only one second was measured have no landmark far enough from their ends."""
    imu, samples = MOTION.imu.copy(), MOTION.samples.copy()
    imu[-1] = imu[0]
    for window in (0, -1):
        samples[window, 50:] = False
        imu[window, 50:] = 0
    short = MOTION.but(imu=imu, samples=samples)
    marks = find_landmarks(short.read, short.windows, RATE_HZ)
    assert not np.isin([0, len(imu) - 1], marks.window).any()
    assert [(duplicate.first, duplicate.second) for duplicate in _find(short)] == [(0, len(imu) - 1)]


@pytest.mark.parametrize("what", ["constant", "zero", "one_blip", "nothing_valid"])
def test_sensors_that_hang_are_no_duplicates(what: str) -> None:
    still = np.zeros((SAMPLES, 6), np.float32)
    if what != "zero":
        still[:, 2] = 9.8
    if what == "one_blip":
        still[120, 1] = 0.04
    imu, samples = MOTION.imu.copy(), MOTION.samples.copy()
    imu[::7] = still
    if what == "nothing_valid":
        samples[::7] = False
    motion = MOTION.but(imu=imu, samples=samples)
    assert _find(motion) == []
    assert (window_digests(motion.read, motion.windows)[::7] == 0).all()


def test_digests_look_at_valid_samples_only_and_at_all_of_them() -> None:
    digests = window_digests(MOTION.read, MOTION.windows)
    assert digests.dtype == np.uint64
    assert len(np.unique(digests)) == len(digests)
    imu, samples = MOTION.imu.copy(), MOTION.samples.copy()
    samples[:, 200:] = False
    masked = window_digests(MOTION.but(samples=samples).read, MOTION.windows)
    imu[:, 200:] = 5
    np.testing.assert_array_equal(window_digests(MOTION.but(imu=imu, samples=samples).read, MOTION.windows), masked)
    imu = MOTION.imu.copy()
    imu[:, 77, 4] += 0.1
    assert not np.isin(window_digests(MOTION.but(imu=imu).read, MOTION.windows), digests).any()


def test_without_windows_there_are_no_duplicates() -> None:
    assert find_duplicates(MOTION.read, np.empty(0, np.int64), np.empty(0, np.int64), RATE_HZ) == []
