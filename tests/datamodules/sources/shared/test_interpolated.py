"""Values that lie on straight lines between fewer measured ones, and real ones, which do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.made_tables import turning, write
from helpers.real_data import real_data

from datamodules.recording import FloatArray
from datamodules.sources.manifest import Manifest, ManifestParams
from datamodules.sources.registry import make_source
from datamodules.sources.shared.interpolated import rows_a_value


def moving(rate: float, noise: float = 0.05, uneven: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Times (N,) and an acceleration (N, 3) of a moving sensor."""
    rng = np.random.default_rng(1)
    n = int(rate * 40)
    times = np.sort(np.arange(n) / rate + rng.uniform(-uneven, uneven, n) / rate)
    waves = [
        a * np.sin(2 * np.pi * f * times[:, None] + rng.uniform(0, 6, 3)) for a, f in ((2, 1), (1, 2.1), (0.5, 4.3))
    ]
    return times, np.sum(waves, axis=0) + rng.normal([0, 0, 9.81], noise, (n, 3))


def written(times: FloatArray, values: FloatArray, rate: float, decimals: int | None) -> tuple[FloatArray, FloatArray]:
    """The same at another rate, by straight lines, with so many decimals."""
    at = np.arange(times[0], times[-1], 1 / rate)
    lines = np.stack([np.interp(at, times, column) for column in values.T], axis=1)
    return at, lines if decimals is None else np.round(lines, decimals)


@pytest.mark.parametrize("decimals", [3, None])
@pytest.mark.parametrize(
    ("measured", "rate"),
    [(20, 100), (25, 50), (30, 100), (20, 64), (40, 100), (31.25, 200), (12.5, 100), (50, 200)],
)
def test_straight_lines_are_told_with_their_rate(measured: float, rate: float, decimals: int | None) -> None:
    times, values = written(*moving(measured), rate, decimals)
    assert rate / rows_a_value(times, values) == pytest.approx(measured, rel=0.01)
    some = np.sort(np.random.default_rng(0).choice(len(times), int(0.99 * len(times)), replace=False))  # samples lost
    assert rate / rows_a_value(times[some], values[some]) == pytest.approx(measured, rel=0.01)


def test_an_uneven_sensor_on_an_even_grid_is_told() -> None:
    times, values = written(*moving(20, uneven=0.3), 100, 4)
    assert 100 / rows_a_value(times, values) == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.05])
@pytest.mark.parametrize("decimals", [0, 1, 2, 3, 6])
def test_measured_values_are_not(noise: float, decimals: int) -> None:
    for rate in (20, 50, 100, 200):
        times, values = moving(rate, noise=noise)
        assert rows_a_value(times, np.round(values, decimals)) == 1.0


def test_shocks_hums_and_held_values_are_not() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(4000) / 100
    for _ in range(60):
        decimals, noise = int(rng.integers(0, 4)), 10 ** rng.uniform(-4, -1)
        phase = rng.uniform(0.5, 6) * times % 1
        shocks = np.exp(-phase / rng.uniform(0.001, 0.1)) * rng.uniform(1, 40)
        hum = 10 ** rng.uniform(-2.5, 0.5) * np.sin(2 * np.pi * rng.uniform(4, 45) * times)
        for wave in (shocks, hum):
            values = np.stack([wave, 0.5 * wave, 9.81 + wave], axis=1) + rng.normal(0, noise, (4000, 3))
            assert rows_a_value(times, np.round(values, decimals)) == 1.0
    _, slow = moving(20)
    held = np.repeat(np.round(slow, 3), 5, axis=0)
    assert rows_a_value(np.arange(len(held)) / 100, held) == 1.0


@pytest.mark.parametrize(("name", "folder"), [("utd_mhad", "utd-mhad"), ("sisfall", "sisfall"), ("daphnet", "daphnet")])
def test_real_sensors_are_not(name: str, folder: str) -> None:
    real_data(folder)
    source = make_source(name, {})
    for recording in source.names()[::100]:
        for stream in source.load(recording).imus:
            for values in (stream.values[:, :3], stream.values[:, 3:]):
                assert np.isnan(values).all() or rows_a_value(stream.times, values) == 1.0


def test_a_manifests_recording_says_it(tmp_path: Path) -> None:
    times, values = turning(1200, 20)
    at = np.arange(0, times[-1], 0.01)
    lines = np.stack([np.interp(at, times, column) for column in values.T], axis=1)
    recording = Manifest(ManifestParams(str(write(tmp_path, at, lines)))).load("P1")
    (note,) = str(recording.metadata["import_notes"]).splitlines()
    assert "the accelerometer's values lie on straight lines between 20 values a second and the gyroscope's" in note
    assert "are written 100 times a second: they were interpolated" in note
    (tmp_path / "P1.csv").unlink()
    measured = Manifest(ManifestParams(str(write(tmp_path, *turning(6000, 100))))).load("P1")
    assert "import_notes" not in measured.metadata
