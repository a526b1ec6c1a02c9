"""Long recordings through a manifest: non-wear and calibration are reported, and applied where the manifest asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.made_long import RATE_HZ, lying_about, nights

from datamodules.recording import RecordingError
from datamodules.signal import G
from datamodules.sources.manifest import Manifest, ManifestError, ManifestParams
from datamodules.windows.settings import WindowSettings
from experiments.check_import import run

MANIFEST = """
groups:
  home:
    subject: P1
    imu:
      - files: "{name}.parquet"
        time: {column: t, unit: s}
        sensors:
          wrist:
            acceleration: {columns: [x, y, z], unit: g}
"""
GAIN, OFFSET = np.array([1.03, 0.98, 1.01]), np.array([0.020, -0.030, 0.015])


def write(folder: Path, times: np.ndarray, values: np.ndarray, **keys: str) -> Path:
    pd.DataFrame({"t": times, **dict(zip("xyz", values.T, strict=True))}).to_parquet(folder / "night.parquet")
    manifest = folder / "manifest.yaml"
    manifest.write_text(MANIFEST + "".join(f"            {key}: {value}\n" for key, value in keys.items()))
    return manifest


def made_day(folder: Path, **keys: str) -> Path:
    """Worn 1 h, on a table 2 h, worn 1 h; then lying about, each way for 10 s, by a device that is off."""
    _, values = nights([(60, True), (120, False), (60, True)])
    _, ways = lying_about(100)
    raw = np.concatenate([values / G, (ways - OFFSET) / GAIN])
    return write(folder, np.arange(len(raw)) / RATE_HZ, raw, **keys)


def texts(manifest: Path) -> tuple[list[str], list[str], list[str]]:
    """Lines, problems, notes."""
    lines, remarks = run(manifest, WindowSettings(duration_s=60, stride_s=60, imu_rate_hz=20))
    return lines, [r.text for r in remarks if r.problem], [r.text for r in remarks if not r.problem]


def one(found: list[str], part: str) -> str:
    (text,) = [text for text in found if part in text]
    return text


def test_both_are_reported_and_nothing_is_changed(tmp_path: Path) -> None:
    manifest = made_day(tmp_path)
    _, problems, notes = texts(manifest)
    assert not problems
    assert "not worn for 2.0 of 4.3 h" in one(notes, "not worn for")
    assert "from 1.00 to 3.00 h; with 'non_wear: drop'" in one(notes, "not worn for")
    (stream,) = Manifest(ManifestParams(str(manifest))).load("night").imus
    assert stream.times.size == 288_000 + 20_000
    assert not [note for note in notes if "was the sensor not worn?" in note]
    assert [note for note in notes if "gain and offset can't be told" in note or "mg off 1 g" in note]


def test_calibration_is_reported_and_applied_on_request(tmp_path: Path) -> None:
    # 100 minutes of lying about: each way for 10 s, 600 times.
    _, ways = lying_about(600)
    raw = (ways - OFFSET) / GAIN
    times = np.arange(len(raw)) / RATE_HZ
    manifest = write(tmp_path, times, raw)
    note = one(texts(manifest)[2], "mg off 1 g")
    assert "offset 20.0, -30.0, 15.0 mg; 600 windows of rest" in note
    manifest = write(tmp_path, times, raw, calibrate="true")
    _, _, notes = texts(manifest)
    assert not [note for note in notes if "'calibrate: true' beside" in note]
    assert "wrist: calibrated: gain 1.0" in one(notes, "calibrated")
    (stream,) = Manifest(ManifestParams(str(manifest))).load("night").imus
    # The fit's error: 2 mg / sqrt(200) a window.
    np.testing.assert_allclose(stream.values[:, :3] / G, ways, atol=5e-4)


def test_too_few_orientations_are_not_calibrated_and_said(tmp_path: Path) -> None:
    times, values = nights([(60, True), (120, False)])
    manifest = write(tmp_path, times, values / G, calibrate="true")
    assert "wrist: not calibrated: the sensor rested in too few orientations" in one(texts(manifest)[2], "calibrated")
    (stream,) = Manifest(ManifestParams(str(manifest))).load("night").imus
    np.testing.assert_allclose(stream.values[:, :3], values, rtol=1e-12)
    manifest = write(tmp_path, times, values / G)
    assert "gain and offset can't be told: the sensor rested" in one(texts(manifest)[2], "can't be told: the sensor r")


def test_non_wear_is_dropped_on_request(tmp_path: Path) -> None:
    manifest = made_day(tmp_path, non_wear="drop")
    lines, problems, notes = texts(manifest)
    assert not problems  # nearly half of the recording is a gap, which was asked for
    assert "wrist: 2.0 h without movement left out, in 1 stretch: not worn" in one(notes, "left out")
    assert not [note for note in notes if "'non_wear: drop'" in note]
    (stream,) = Manifest(ManifestParams(str(manifest))).load("night").imus
    assert stream.times.size == 308_000 - 144_000
    assert np.diff(stream.times).max() == pytest.approx(7200.05)
    kept, left_out = (int(part.split()[0]) for part in one(lines, "Windows of 60 s").split(": ")[1].split(", ")[:2])
    assert kept == pytest.approx((15_400 - 7200) / 60, abs=2)
    assert left_out == pytest.approx(7200 / 60, abs=2)


def test_a_sensor_that_was_never_worn_is_no_recording(tmp_path: Path) -> None:
    times, values = nights([(120, False)])
    manifest = write(tmp_path, times, values / G, non_wear="drop")
    with pytest.raises(RecordingError, match=r"wrist was not worn at all.*or non_wear: keep"):
        Manifest(ManifestParams(str(manifest))).load("night")


@pytest.mark.parametrize(
    ("keys", "says"),
    [({"non_wear": "mark"}, "non_wear: expected one of keep, drop"), ({"calibrate": "7"}, "calibrate")],
)
def test_other_values_are_refused(tmp_path: Path, keys: dict[str, str], says: str) -> None:
    times, values = nights([(1, True)])
    with pytest.raises(ManifestError, match=says):
        Manifest(ManifestParams(str(write(tmp_path, times, values / G, **keys))))


def test_short_recordings_are_told_nothing(tmp_path: Path) -> None:
    times, values = nights([(80, True)])
    _, _, notes = texts(write(tmp_path, times, values / G))
    assert not [note for note in notes if "gain" in note or "worn" in note]
