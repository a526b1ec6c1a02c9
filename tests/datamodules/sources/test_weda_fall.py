"""WEDA-FALL as published: two files a trial, stamps in packets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.real_data import real_data

from datamodules.recording import RecordingError
from datamodules.sources.weda_fall import WedaFall, WedaFallParams
from datamodules.windows.checks import check_recording


def write(root: Path, trial: str = "D01/U21_R01", rate: float = 50.0, seconds: float = 10.0) -> Path:
    """Packets of five samples, 1 ms apart; the gyroscope's clock begins 7 ms later."""
    base = root / "dataset" / "50Hz" / trial
    base.parent.mkdir(parents=True, exist_ok=True)
    n = round(seconds * rate)
    index = np.arange(n)
    true = index / rate
    for sensor, late in (("accel", 0.0), ("gyro", 0.007)):
        stamps = true[index // 5 * 5] + 0.001 * (index % 5) + late
        values = np.column_stack([np.sin(true + late), np.cos(true + late), np.full(n, 9.8 * (sensor == "accel"))])
        lines = [f"{t:.3f},{x:.4f},{y:.4f},{z:.4f}" for t, (x, y, z) in zip(stamps, values.tolist(), strict=True)]
        header = ",".join(f"{sensor}_{part}_list" for part in ("time", "x", "y", "z"))
        base.with_name(f"{base.name}_{sensor}.csv").write_text("\n".join([header, *lines]) + "\n")
    falls = root / "dataset" / "fall_timestamps.csv"
    falls.write_text("filename,start_time,end_time\nF01/U01_R01,4.7,7.7\n", encoding="utf-8-sig")
    return base


def test_packets_become_one_even_grid_with_both_sensors(tmp_path: Path) -> None:
    write(tmp_path)
    source = WedaFall(WedaFallParams(str(tmp_path)))
    assert source.names() == ["D01_U21_R01"]
    recording = source.load("D01_U21_R01")
    check_recording(recording)
    assert (recording.subject, recording.population, recording.activities[0].activity) == ("U21", "older", "walking")
    (stream,) = recording.imus
    assert 1 / np.median(np.diff(stream.times)) == pytest.approx(50, rel=1e-3)
    # By construction; a packet's stamps were cut to milliseconds.
    np.testing.assert_allclose(stream.values[:, 0], np.sin(stream.times), atol=0.005)
    np.testing.assert_allclose(stream.values[5:-5, 3], np.sin(stream.times[5:-5]), atol=0.005)


def test_a_fall_is_labelled_where_it_was_published_to_be(tmp_path: Path) -> None:
    write(tmp_path, "F01/U01_R01")
    (interval,) = WedaFall(WedaFallParams(str(tmp_path))).load("F01_U01_R01").activities
    assert (interval.start, interval.end, interval.activity) == (4.7, 7.7, "fall")
    write(tmp_path, "F02/U01_R01")
    with pytest.raises(RecordingError, match=r"fall_timestamps\.csv: no row for F02/U01_R01"):
        WedaFall(WedaFallParams(str(tmp_path))).load("F02_U01_R01")
    with pytest.raises(RecordingError, match="is no trial of WEDA-FALL"):
        WedaFall(WedaFallParams(str(tmp_path))).load("D12_U01_R01")


def test_a_stamp_that_is_no_number_and_sensors_that_never_meet(tmp_path: Path) -> None:
    base = write(tmp_path)
    path = base.with_name(f"{base.name}_gyro.csv")
    text = path.read_text()
    source = WedaFall(WedaFallParams(str(tmp_path)))
    path.write_text(text.replace("0.007,", "soon,", 1))
    with pytest.raises(RecordingError, match=r"_gyro\.csv, line 2.*found 'soon'"):
        source.load("D01_U21_R01")
    path.unlink()
    with pytest.raises(RecordingError, match=r"_gyro\.csv: not there"):
        source.load("D01_U21_R01")


def test_published_trials() -> None:
    source = WedaFall(WedaFallParams(str(real_data("weda-fall"))))
    names = source.names()
    assert len(names) == 969
    assert len({source.subject_of(name) for name in names}) == 25
    rates = {"D": [], "F": []}  # type: dict[str, list[float]]
    for name in names[::40]:
        recording = source.load(name)
        check_recording(recording)
        (stream,) = recording.imus
        assert not np.isnan(stream.values).any()
        rates[name[0]].append(1 / float(np.median(np.diff(stream.times))))
    # Named 50 Hz; by their stamps the falls were sampled more slowly.
    assert np.median(rates["D"]) == pytest.approx(49.4, abs=0.3)
    assert np.median(rates["F"]) == pytest.approx(39.5, abs=0.3)
