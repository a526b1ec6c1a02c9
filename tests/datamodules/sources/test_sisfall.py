from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.real_data import real_data
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datamodules.recording import STANDARD_GRAVITY, Recording, RecordingError
from datamodules.sources.sisfall import ACTIVITIES, FALLS, SisFall, SisFallParams
from datamodules.windows.checks import check_recording
from datamodules.windows.cut import WindowSettings, cut_windows

GRID = WindowSettings(duration_s=5.0, stride_s=5.0, frames=0, min_label_share=0.5, exclude="gap,nan,flat_line,gravity")
REST = (3, -256, 12, 5, -7, 2, -1, -1022, -104)  # upright and at rest, in bits


def write_trial(root: Path, name: str, rows: NDArray[np.int64], end: str = ";\n") -> Path:
    folder = root / name.split("_")[1]
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.txt"
    path.write_text("".join(",".join(f"{value:4d}" for value in row) + end for row in rows))
    return path


def made_rows(n: int, impact: int | None = None, seed: int = 0) -> NDArray[np.int64]:
    rows = np.array(REST) + np.random.default_rng(seed).integers(-4, 5, (n, len(REST)))
    if impact is not None:
        rows[impact, 1] = -2000  # 7.8 g
        rows[impact, 7] = -8000
    return rows


def load(root: Path, name: str, **params: Any) -> Recording:
    recording = SisFall(SisFallParams(str(root), **params)).load(name)
    check_recording(recording)
    return recording


def test_the_real_set() -> None:
    root = real_data("sisfall")
    source = SisFall(SisFallParams(str(root)))
    names = source.names()
    assert len(names) == 531
    assert names[0] == "D01_SA01_R01"
    owners = [source.subject_of(name) for name in names]
    assert owners == sorted(owners)
    assert len(set(owners)) == 22
    assert sum(name.startswith("F") for name in set(names)) == 13 * 15  # 12 young people and SE06
    assert len(SisFall(SisFallParams(str(root), ["SA01", "SE01"])).names()) == 32 + 13
    assert len(set(ACTIVITIES.values())) == 19
    raw = np.loadtxt((root / "SA01" / "D05_SA01_R01.txt").read_text().replace(";", "").splitlines(), delimiter=",")
    recording = load(root, "D05_SA01_R01")
    (imu,) = recording.imus
    # 16 g over 2^12 steps are 1/256 g, 2000 deg/s over 2^15 steps 0.061 deg/s
    np.testing.assert_allclose(imu.values[:, :3], raw[:, :3] / 256 * 9.80665)
    np.testing.assert_allclose(imu.values[:, 3:], np.deg2rad(raw[:, 3:6] * 2000 / 32768))
    finer = load(root, "D05_SA01_R01", accelerometer="mma8451q").imus[0]
    np.testing.assert_allclose(finer.values[:, :3], raw[:, 6:] / 1024 * 9.80665)
    np.testing.assert_array_equal(finer.values[:, 3:], imu.values[:, 3:])
    assert finer.device != imu.device
    assert imu.times[-1] == pytest.approx(25.0, abs=0.01)
    assert (recording.subject, recording.population, imu.placement) == ("SA01", "young", "waist")
    (label,) = recording.activities
    assert (label.start, label.activity) == (0.0, "stairs_slow")
    assert label.end == pytest.approx(25.0, abs=0.01)
    assert load(root, "D05_SE01_R01").population == "older"


def test_real_trials_have_gravity_and_one_window_with_the_impact() -> None:
    root = real_data("sisfall")
    norms, per_trial = [], []
    for name in SisFall(SisFallParams(str(root), ["SE06"])).names():
        recording = load(root, name)
        norms.append(np.linalg.norm(recording.imus[0].values[:, :3], axis=1).mean())
        windows, left_out = cut_windows(recording, "waist", None, GRID)
        assert {e.reason.value for e in left_out} <= {"remainder"}
        if name.startswith("F"):
            falls = [w for w in windows if w.activity == "fall"]
            impact = float(recording.metadata["impact_s"])
            per_trial.append(len(falls))
            assert all(w.activity in ("fall", "") for w in windows)
            assert any(w.start_s <= impact < w.start_s + 5 for w in falls)
        else:
            assert {w.activity for w in windows} == {ACTIVITIES[name[:3]]}
    # An ADXL345's scale may be off by 10 % and its zero by 0.15 g; jogging adds some.
    assert np.mean(norms) == pytest.approx(STANDARD_GRAVITY, rel=0.05)
    assert per_trial == [1] * 15


@settings(max_examples=15, deadline=None)
@given(impact=st.integers(0, 2999), interval=st.sampled_from([5.0, 6.0]))
def test_the_window_with_the_impact_is_the_fall(
    tmp_path_factory: pytest.TempPathFactory, impact: Any, interval: Any
) -> None:
    root = tmp_path_factory.mktemp("sisfall")
    write_trial(root, "F05_SA01_R04", made_rows(3000, impact))
    recording = load(root, "F05_SA01_R04", fall_interval_s=interval)
    assert recording.metadata == {
        "code": "F05", "trial": 4, "fall": "forward, jogging, trip", "impact_s": impact / 200,
    }  # fmt: skip
    (label,) = recording.activities
    assert label.start == max(0, impact / 200 - interval / 2)
    assert label.end == min(15, impact / 200 + interval / 2)
    windows, _ = cut_windows(recording, "waist", None, dataclasses.replace(GRID, imu_rate_hz=200.0))
    falls = [i for i, w in enumerate(windows) if w.activity == "fall"]
    # 5 s around it can't cover half of another window, except of both where it is on their border.
    assert impact // 1000 in falls
    assert len(falls) == 1 or (impact % 1000 in (0, 1000) if interval == 5 else len(falls) == 2)


def test_all_kinds_of_fall_are_one_activity_and_the_kind_is_kept(tmp_path: Path) -> None:
    for code in FALLS:
        write_trial(tmp_path, f"{code}_SE06_R05", made_rows(20))
    recordings = [load(tmp_path, name) for name in SisFall(SisFallParams(str(tmp_path))).names()]
    assert [r.metadata["fall"] for r in recordings] == list(FALLS.values())
    assert {label.activity for r in recordings for label in r.activities} == {"fall"}
    assert len(set(FALLS.values())) == 15


@pytest.mark.parametrize("end", [";\n", ";\r\n", "\n", " ; \n\n"])
def test_line_ends_and_blanks_do_not_matter(tmp_path: Path, end: str) -> None:
    rows = made_rows(30)
    write_trial(tmp_path, "D01_SA02_R01", rows, end)
    expected = rows[:, :3] / 256 * 9.80665
    np.testing.assert_allclose(load(tmp_path, "D01_SA02_R01").imus[0].values[:, :3], expected)


def test_what_is_cut_off_is_an_error_or_never_read(tmp_path: Path) -> None:
    path = write_trial(tmp_path, "D01_SA01_R01", made_rows(4))
    data = path.read_bytes()
    whole = load(tmp_path, "D01_SA01_R01", accelerometer="mma8451q").imus[0].values
    lengths, errors = set(), []
    for length in range(len(data)):
        path.write_bytes(data[:length])
        try:
            values = load(tmp_path, "D01_SA01_R01", accelerometer="mma8451q").imus[0].values
        except RecordingError as error:
            errors.append(str(error))
            continue
        np.testing.assert_array_equal(values, whole[: len(values)])
        lengths.add(len(values))
    assert lengths == {2, 3, 4}
    assert all(str(path) in text for text in errors)
    assert any("line 4: 5 columns" in text for text in errors)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1,2,3,4,5,6,7,8;", "8 columns"),
        ("1,2,3,4,5,6,7,8,9,10;", "10 columns"),
        ("1,2,3,4,5,6,7,8,9.5;", "whole numbers"),
        ("1,2,,4,5,6,7,8,9;", "whole numbers"),
        ("1,2,3,4,5,6,7,8,9;1,2,3,4,5,6,7,8,9;", "17 columns"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = write_trial(tmp_path, "D01_SA01_R01", made_rows(4))
    path.write_text(path.read_text() + line + "\n" + path.read_text())
    with pytest.raises(RecordingError, match=rf"D01_SA01_R01\.txt, line 5: .*{says}"):
        load(tmp_path, "D01_SA01_R01")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no SisFall here; expected SA01/D01_SA01_R01\.txt"):
        SisFall(SisFallParams(str(tmp_path))).names()
    write_trial(tmp_path, "D01_SA01_R01", made_rows(4))
    (tmp_path / "SA01" / "Readme.txt").write_text("no trial")
    source = SisFall(SisFallParams(str(tmp_path)))
    assert source.names() == ["D01_SA01_R01"]
    with pytest.raises(RecordingError, match=r"D02_SA01_R01\.txt: not there"):
        source.load("D02_SA01_R01")
    for name in ("D20_SA01_R01", "F16_SA01_R01", "D01_SB01_R01", "D01"):
        with pytest.raises(RecordingError, match=f"'{name}' is not a trial of SisFall"):
            source.load(name)
    with pytest.raises(ValueError, match="no trial of subjects SA09"):
        SisFall(SisFallParams(str(tmp_path), ["SA09"])).names()
    with pytest.raises(ValueError, match="accelerometer is 'bmi270'; expected adxl345 or mma8451q"):
        SisFall(SisFallParams(accelerometer="bmi270"))
    for seconds in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="fall_interval_s"):
            SisFall(SisFallParams(fall_interval_s=seconds))
