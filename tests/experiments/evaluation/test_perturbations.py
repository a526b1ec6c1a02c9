import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.recording import STANDARD_GRAVITY
from experiments.evaluation.perturbations import (
    GYROSCOPE_NOISE,
    KINDS,
    Perturbation,
    PerturbationError,
    Windows,
    apply,
    parse_perturbation,
)

RATE_HZ = 50.0
SAMPLES = 100
CHANGED = [
    Perturbation("rotation", 30), Perturbation("rotation", 180), Perturbation("rate", 12.5), Perturbation("rate", 30),
    Perturbation("noise", 0.5), Perturbation("clip", 0.7), Perturbation("gyroscope", 0),
]  # fmt: skip
CLEAN = [
    Perturbation("rotation", 0), Perturbation("rate", 50), Perturbation("rate", 100), Perturbation("noise", 0),
    Perturbation("gyroscope", 1),
]  # fmt: skip
changed = pytest.mark.parametrize("perturbation", CHANGED, ids=str)
seeds = st.integers(0, 10**6)


def _windows(seed: int, n: int = 5) -> Windows:
    """Noise about gravity, with gaps anywhere and sensors that are absent or lack an axis."""
    rng = np.random.default_rng(seed)
    imu = rng.normal(scale=3, size=(n, SAMPLES, 6)) + np.array([2, 0, 9.5, 0, 0, 0])
    samples = np.repeat(rng.random((n, SAMPLES // 10)) < 0.7, 10, axis=1) & (rng.random((n, SAMPLES)) < 0.97)
    channels = rng.random((n, 6)) < 0.9
    valid = samples[:, :, None] & channels[:, None, :]
    return np.where(valid, imu, 0).astype(np.float32), samples, channels


def _full(values: np.ndarray) -> Windows:
    """Windows (N, T, 6) without gaps."""
    n, t, _ = values.shape
    return values.astype(np.float32), np.ones((n, t), bool), np.ones((n, 6), bool)


def _apply(perturbation: Perturbation, windows: Windows, numbers: np.ndarray | None = None) -> Windows:
    return apply(perturbation, np.arange(len(windows[0])) if numbers is None else numbers, *windows, RATE_HZ)


@changed
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_a_window_changes_in_the_same_way_in_any_batch(perturbation: Perturbation, seed: int) -> None:
    windows = _windows(seed)
    numbers = np.array([7, 3, 1000, 4, 12])
    together = _apply(perturbation, windows, numbers)
    order = np.random.default_rng(seed).permutation(5)[:3]
    imu, samples, channels = windows
    apart = _apply(perturbation, (imu[order], samples[order], channels[order]), numbers[order])
    for one, other in zip(apart, together, strict=True):
        np.testing.assert_array_equal(one, other[order])


@changed
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_nothing_appears_where_nothing_was_measured_and_the_input_stays(perturbation: Perturbation, seed: int) -> None:
    windows = _windows(seed)
    before = [part.copy() for part in windows]
    imu, samples, channels = _apply(perturbation, windows)
    assert imu.dtype == np.float32
    assert np.isfinite(imu).all()
    assert (imu[~(samples[:, :, None] & channels[:, None, :])] == 0).all()
    np.testing.assert_array_equal(samples, windows[1])
    for part, old in zip(windows, before, strict=True):
        np.testing.assert_array_equal(part, old)
    imu += 1
    np.testing.assert_array_equal(windows[0], before[0])  # what came out shares no memory with what went in


@pytest.mark.parametrize("perturbation", CLEAN, ids=str)
def test_clean_levels_give_the_same_bits(perturbation: Perturbation) -> None:
    windows = _windows(1)
    assert not perturbation.changes(RATE_HZ)
    for one, other in zip(_apply(perturbation, windows), windows, strict=True):
        assert one.tobytes() == other.tobytes()


@changed
def test_other_levels_change_something(perturbation: Perturbation) -> None:
    assert perturbation.changes(RATE_HZ)
    assert not np.array_equal(_apply(perturbation, _windows(1))[0], _windows(1)[0])


@given(seed=seeds, degrees=st.floats(0.1, 180))
@settings(max_examples=25, deadline=None)
def test_a_rotation_keeps_norms_gravity_and_the_angle_between_the_sensors(seed: int, degrees: float) -> None:
    windows = _full(np.random.default_rng(seed).normal(scale=5, size=(3, 20, 6)))
    turned, old = _apply(Perturbation("rotation", degrees), windows)[0], windows[0]
    # float32 has 7 digits, and values are below 30.
    for part in (slice(0, 3), slice(3, 6)):
        np.testing.assert_allclose(
            np.linalg.norm(turned[..., part], axis=2), np.linalg.norm(old[..., part], axis=2), atol=1e-5
        )
    mean, old_mean = turned[..., :3].mean(axis=1), old[..., :3].mean(axis=1)
    np.testing.assert_allclose(np.linalg.norm(mean, axis=1), np.linalg.norm(old_mean, axis=1), atol=1e-5)
    product = (turned[..., :3] * turned[..., 3:]).sum(axis=2)
    np.testing.assert_allclose(product, (old[..., :3] * old[..., 3:]).sum(axis=2), atol=1e-3)
    # Not a reflection: the triple product keeps its sign.
    triple, before = (np.linalg.det(x[:, :3, :3].astype(np.float64)) for x in (turned, old))
    np.testing.assert_allclose(triple, before, atol=1e-3 * np.abs(before).max() + 1e-3)


def _rotation_of(number: int, degrees: float) -> np.ndarray:
    """The matrix that a window's samples are turned by."""
    basis = np.concatenate([np.eye(3), np.eye(3)], axis=1)[None]
    return _apply(Perturbation("rotation", degrees), _full(basis), np.array([number]))[0][0, :, :3].T


def test_rotations_have_the_angle_that_is_asked_for_and_one_axis_along_a_curve() -> None:
    quarter, half = _rotation_of(5, 45), _rotation_of(5, 90)
    # The trace of a rotation is 1 + 2 cos(angle).
    assert np.trace(quarter) == pytest.approx(1 + np.sqrt(2), abs=1e-6)
    assert np.trace(half) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(quarter @ quarter, half, atol=1e-6)


def test_axes_are_uniform_on_the_sphere() -> None:
    turned = _apply(Perturbation("rotation", 180), _full(np.tile([0, 0, 1.0, 0, 0, 0], (4000, 1, 1))))[0][:, 0, :3]
    # Half a turn about an axis at u = cos(angle to z) takes z to 2 u^2 - 1, and u is uniform on (-1, 1).
    u = np.sqrt((turned[:, 2] + 1) / 2)
    for share in (0.25, 0.5, 0.75):
        # Standard error of a share of 4,000 is at most 0.008.
        assert (u < share).mean() == pytest.approx(share, abs=0.032)
    np.testing.assert_allclose(turned[:, :2].mean(axis=0), 0, atol=0.04)


def _sine(frequency_hz: float, samples: int = 500) -> np.ndarray:
    times = np.arange(samples) / RATE_HZ
    return np.tile(np.sin(2 * np.pi * frequency_hz * times + 0.3)[:, None], (1, 6))[None]


@given(frequency=st.floats(6.25, 24), level=st.sampled_from([5.0, 10.0, 12.5]))
@settings(max_examples=20, deadline=None)
def test_a_sine_above_the_new_nyquist_frequency_vanishes(frequency: float, level: float) -> None:
    low = _apply(Perturbation("rate", level), _full(_sine(frequency)))[0]
    # The filter is at -60 dB there; near the ends it knows one side only.
    inner = slice(150, -150) if level == 5 else slice(75, -75)
    assert np.abs(low[:, inner]).max() < 3e-3


@given(share=st.floats(0.01, 0.15), level=st.sampled_from([12.5, 20.0, 25.0, 40.0]))
@settings(max_examples=20, deadline=None)
def test_a_slow_sine_stays(share: float, level: float) -> None:
    windows = _full(_sine(share * level))
    low = _apply(Perturbation("rate", level), windows)[0]
    # A cubic spline through 1 / 0.15 = 7 points a period.
    assert np.abs(low - windows[0])[:, 75:-75].max() < 5e-3


@given(seed=seeds, level=st.sampled_from([3.0, 12.5, 25.0, 49.0]))
@settings(max_examples=15, deadline=None)
def test_constants_and_straight_lines_survive_a_lower_rate_to_their_ends(seed: int, level: float) -> None:
    _, samples, channels = _windows(seed)
    rng = np.random.default_rng(seed)
    line = rng.normal(size=(5, 1, 6)) * np.arange(SAMPLES)[None, :, None] / SAMPLES + 9 * rng.normal(size=(5, 1, 6))
    imu = np.where(samples[:, :, None] & channels[:, None, :], line, 0).astype(np.float32)
    low = _apply(Perturbation("rate", level), (imu, samples, channels))[0]
    # Gravity among them; -60 dB of the mirrored line's kinks, and float32.
    np.testing.assert_allclose(low, imu, atol=5e-3)


def test_nothing_of_a_gap_bleeds_in() -> None:
    """What lies beyond a gap has no influence, so zeros in it have none either."""
    rng = np.random.default_rng(0)
    imu = rng.normal(size=(1, SAMPLES, 6)).astype(np.float32) + 9
    samples = np.ones((1, SAMPLES), bool)
    samples[:, 40:60] = False
    imu[~samples] = 0
    other = imu.copy()
    other[:, 60:] = 100
    channels = np.ones((1, 6), bool)
    low, low_other = (_apply(Perturbation("rate", 12.5), (x, samples, channels))[0] for x in (imu, other))
    np.testing.assert_array_equal(low[:, :40], low_other[:, :40])
    # White noise: a mean of 240 values, and of those near the ends a few count more.
    assert low[:, :40].mean() == pytest.approx(9, abs=0.4)


def test_noise_has_the_level_and_one_pattern_along_a_curve() -> None:
    windows = _full(np.full((60, SAMPLES, 6), 2.0))
    one, three = (_apply(Perturbation("noise", level), windows)[0] - windows[0] for level in (1, 3))
    np.testing.assert_allclose(three, 3 * one, atol=1e-5)
    # 18,000 values: a standard error of 0.005 of the standard deviation, and of the mean.
    assert one[..., :3].std() == pytest.approx(1, abs=0.02)
    assert one[..., 3:].std() == pytest.approx(GYROSCOPE_NOISE, abs=0.002)
    assert one[..., :3].mean() == pytest.approx(0, abs=0.03)
    neighbours = np.corrcoef(one[:, 1:, 0].ravel(), one[:, :-1, 0].ravel())[0, 1]
    assert abs(neighbours) < 0.06  # white; 6,000 values
    assert abs(np.corrcoef(one[0].ravel(), one[1].ravel())[0, 1]) < 0.2  # another one in every window


def test_clipping_touches_the_accelerometer_alone() -> None:
    windows = _full(np.linspace(-40, 40, 600).reshape(1, SAMPLES, 6))
    clipped = _apply(Perturbation("clip", 2), windows)[0]
    limit = 2 * STANDARD_GRAVITY
    np.testing.assert_allclose(clipped[..., :3], np.clip(windows[0][..., :3], -limit, limit), rtol=1e-6)
    np.testing.assert_array_equal(clipped[..., 3:], windows[0][..., 3:])


def test_without_a_gyroscope_its_channels_are_absent() -> None:
    windows = _full(np.ones((2, SAMPLES, 6)))
    imu, _, channels = _apply(Perturbation("gyroscope", 0), windows)
    assert channels.tolist() == [[True] * 3 + [False] * 3] * 2
    assert (imu[..., 3:] == 0).all()
    np.testing.assert_array_equal(imu[..., :3], windows[0][..., :3])


def test_no_windows_at_all() -> None:
    for perturbation in CHANGED:
        imu, _, _ = _apply(perturbation, _full(np.empty((0, SAMPLES, 6))))
        assert imu.shape == (0, SAMPLES, 6)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    imu, samples, channels = _windows(0)
    with pytest.raises(ValueError, match=r"expected \(N,\), \(N, T, 6\)"):
        apply(CHANGED[0], np.arange(4), imu, samples, channels, RATE_HZ)


def test_conditions_are_written_and_read() -> None:
    for kind, about in KINDS.items():
        for level in about.levels:
            perturbation = Perturbation(kind, level)
            assert parse_perturbation(str(perturbation)) == perturbation
    assert str(Perturbation("rate", 12.5)) == "rate=12.5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tilt=3", "no kind 'tilt'; there are: rotation, rate, noise, clip, gyroscope"),
        ("rotation", "expected a number after '=', as in 'rotation=15'"),
        ("rotation=far", "expected a number after '='"),
        ("rotation=-5", "expected a number of at least 0"),
        ("noise=nan", "expected a number of at least 0"),
        ("rate=0", "expected a number above 0"),
        ("clip=inf", "expected a number above 0"),
        ("gyroscope=0.5", r"expected 0 \(missing\) or 1"),
    ],
)
def test_conditions_that_make_no_sense_are_named(text: str, message: str) -> None:
    with pytest.raises(PerturbationError, match=f"perturbation '{text}': {message}"):
        parse_perturbation(text)
