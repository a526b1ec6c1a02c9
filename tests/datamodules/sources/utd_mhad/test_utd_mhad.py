from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.made_data import make_utd_trial
from helpers.real_data import real_data
from scipy.io import loadmat, savemat

from datamodules.recording import RecordingError
from datamodules.sources.utd_mhad import ACTIONS, UtdMhad, UtdMhadParams
from datamodules.windows.checks import check_recording
from datamodules.windows.cut import Reason, WindowSettings, cut_windows


def test_the_real_set() -> None:
    root = real_data("utd-mhad")
    utd = UtdMhad(UtdMhadParams(str(root)))
    names = utd.names()
    assert len(names) == 861
    assert names[0] == "a1_s1_t1"
    assert {utd.subject_of(name) for name in names} == set("12345678")
    assert len(UtdMhad(UtdMhadParams(str(root), ["2", "4"])).names()) == 216
    assert len(set(ACTIONS)) == 27
    for name, placement, activity in (
        ("a1_s1_t1", "right_wrist", "swipe_left"),
        ("a22_s3_t2", "right_thigh", "jogging_in_place"),
    ):
        recording = utd.load(name)
        check_recording(recording)
        raw = loadmat(root / "inertial" / f"{name}_inertial.mat")["d_iner"]
        imu = recording.imu(placement)
        np.testing.assert_allclose(imu.values[:, :3], raw[:, :3] * 9.80665)
        np.testing.assert_allclose(imu.values[:, 3:], np.deg2rad(raw[:, 3:]))
        # The clip lasts as long as the inertial signal.
        assert recording.video("depth").frame_times()[-1] == pytest.approx(len(raw) / 50, abs=0.1)
        (window,), left_out = cut_windows(recording, "any", "depth", WindowSettings(layout="centred"))
        assert (window.activity, window.placement) == (activity, placement)
        assert left_out == []


def test_trials_that_can_not_be_used(tmp_path: Path) -> None:
    for name in ("a1_s1_t1", "a2_s1_t1", "a3_s1_t1", "a4_s1_t1", "a5_s1_t1", "a6_s1_t1"):
        make_utd_trial(tmp_path, name, seconds=2.0)
    inertial = tmp_path / "inertial"
    (inertial / "a1_s1_t1_inertial.mat").unlink()
    (tmp_path / "depth_mp4" / "a2_s1_t1.mp4").unlink()
    savemat(inertial / "a3_s1_t1_inertial.mat", {"d_iner": np.zeros((50, 5))})
    savemat(inertial / "a4_s1_t1_inertial.mat", {"other": np.zeros((50, 6))})
    damaged = inertial / "a5_s1_t1_inertial.mat"
    damaged.write_bytes(damaged.read_bytes()[:300])
    utd = UtdMhad(UtdMhadParams(str(tmp_path)))
    assert len(utd.names()) == 6
    for name, text in (
        ("a1_s1_t1", "a1_s1_t1_inertial.mat: not there"),
        ("a2_s1_t1", "a2_s1_t1.mp4: not there"),
        ("a3_s1_t1", r"a3_s1_t1_inertial.mat: d_iner is .* \(50, 5\)"),
        ("a4_s1_t1", "no variable 'd_iner'; it has: other"),
        ("a5_s1_t1", "a5_s1_t1_inertial.mat: not a readable MATLAB file"),
        ("a99_s1_t1", "not a trial"),
    ):
        with pytest.raises(RecordingError, match=text):
            utd.load(name)
    utd.load("a6_s1_t1")


def test_any_cut_of_an_inertial_file_is_an_error(tmp_path: Path) -> None:
    make_utd_trial(tmp_path, "a1_s1_t1", seconds=2.0)
    path = tmp_path / "inertial" / "a1_s1_t1_inertial.mat"
    data = path.read_bytes()
    utd = UtdMhad(UtdMhadParams(str(tmp_path)))
    for length in (0, 3, 60, 127, 128, 131, 140, 180, 200, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(RecordingError, match="a1_s1_t1_inertial"):
            utd.load("a1_s1_t1")


def test_nan_costs_the_window_and_is_listed(tmp_path: Path) -> None:
    make_utd_trial(tmp_path, "a1_s1_t1", seconds=2.0)
    path = tmp_path / "inertial" / "a1_s1_t1_inertial.mat"
    values = loadmat(path)["d_iner"]
    values[40, 1] = np.nan
    savemat(path, {"d_iner": values})
    recording = UtdMhad(UtdMhadParams(str(tmp_path))).load("a1_s1_t1")
    windows, (exclusion,) = cut_windows(recording, "any", "depth", WindowSettings(layout="centred"))
    assert windows == []
    assert exclusion.reason == Reason.NAN
    assert str(path) in exclusion.detail


def test_a_missing_folder_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"inertial/a1_s1_t1_inertial\.mat"):
        UtdMhad(UtdMhadParams(str(tmp_path))).names()
