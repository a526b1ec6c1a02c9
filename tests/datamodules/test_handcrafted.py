import numpy as np
import pytest

from datamodules.handcrafted import FEATURE_NAMES, handcrafted_features, known_features

RATE = 50.0


def _features(imu: np.ndarray, valid: np.ndarray | None = None, channels: np.ndarray | None = None) -> dict[str, float]:
    samples = np.ones(len(imu), bool) if valid is None else valid
    present = np.ones(6, bool) if channels is None else channels
    values = handcrafted_features(imu[None], samples[None], present[None], RATE)
    assert values.shape == (1, len(FEATURE_NAMES))
    assert np.isfinite(values).all()
    return dict(zip(FEATURE_NAMES, values[0].tolist(), strict=True))


def _waves(n: int = 250) -> np.ndarray:
    times = np.arange(n) / RATE
    imu = np.zeros((n, 6))
    imu[:, 0] = 3 + 2 * np.sin(2 * np.pi * 3.2 * times)
    imu[:, 1] = -imu[:, 0]
    imu[:, 2] = 9.8
    imu[:, 4] = np.random.default_rng(0).normal(size=n)
    return imu


def test_names_are_unique() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES) == 8 * (12 + 10 + 8) + 15 + 1


def test_a_sine_has_the_figures_of_a_sine() -> None:
    f = _features(_waves())
    # 16 whole periods: the moments of a sine are exact up to float32.
    assert f["ax_mean"] == pytest.approx(3, abs=1e-5)
    assert f["ax_std"] == pytest.approx(np.sqrt(2), rel=1e-4)
    assert f["ax_rms"] == pytest.approx(np.sqrt(11), rel=1e-4)
    assert f["ax_skewness"] == pytest.approx(0, abs=1e-3)
    assert f["ax_kurtosis"] == pytest.approx(-1.5, abs=1e-3)
    assert f["ax_dominant_hz"] == pytest.approx(3.2)
    assert f["ax_zero_crossings_hz"] == pytest.approx(6.4, abs=0.3)
    assert f["correlation_ay_ax"] == pytest.approx(-1, abs=1e-5)
    assert f["ax_spectral_entropy"] < 0.4 < f["gy_spectral_entropy"]
    assert f["ax_log_energy_3_4_hz"] == max(f[n] for n in FEATURE_NAMES if n.startswith("ax_log_energy"))
    assert f["az_std"] == f["az_dominant_hz"] == f["az_skewness"] == 0
    assert f["valid_s"] == 5


def test_padding_changes_nothing() -> None:
    imu = _waves()
    padded = np.concatenate([np.full((30, 6), 7.0), imu, np.full((20, 6), -5.0)])
    valid = np.zeros(300, bool)
    valid[30:280] = True
    assert _features(padded, valid) == _features(imu)


def test_what_lies_in_a_gap_is_not_looked_at() -> None:
    imu, valid = _waves(), np.ones(250, bool)
    valid[100:120] = False
    before = _features(imu, valid)
    imu[100:120] = 1e3
    assert _features(imu, valid) == before
    assert before["valid_s"] == pytest.approx(4.6)


def test_a_lacking_gyroscope_is_zero() -> None:
    channels = np.array([True] * 3 + [False] * 3)
    f = _features(_waves(), channels=channels)
    assert all(value == 0 for name, value in f.items() if name.startswith(("gx", "gy", "gz", "g_norm")))
    assert f["ax_std"] > 0


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_short_windows_are_finite(count: int) -> None:
    valid = np.arange(250) < count
    assert _features(_waves(), valid)["valid_s"] == pytest.approx(count / RATE)


@pytest.mark.parametrize("lacking", [(), (3, 4, 5), (1,), (0, 1, 2)])
def test_what_a_device_can_not_measure_is_known(lacking: tuple[int, ...]) -> None:
    channels = np.array([i not in lacking for i in range(6)])
    f = _features(_waves() + np.random.default_rng(1).normal(scale=0.1, size=(250, 6)), channels=channels)
    known = dict(zip(FEATURE_NAMES, known_features(channels[None])[0].tolist(), strict=True))
    # Noise in every channel: a feature is exactly 0 where nothing is measured, and nowhere else.
    assert {name for name, value in f.items() if value != 0} == {name for name, there in known.items() if there}
