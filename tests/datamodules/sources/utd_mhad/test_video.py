"""UTD-MHAD's depth maps and AVI files, made after the publisher's description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_data import make_utd_trial, make_video
from scipy.io import savemat

from datamodules.recording import RecordingError
from datamodules.sources.utd_mhad import UtdMhad, UtdMhadParams
from datamodules.sources.utd_mhad.video import DepthMat
from datamodules.windows.checks import check_recording
from datamodules.windows.cut import WindowSettings, cut_windows


def published(root: Path, name: str = "a1_s1_t1", seconds: float = 2.0, frames: int = 55, maps: Any = None) -> Path:
    """A trial in the publisher's folders: a person at 2 m who comes nearer, before nothing."""
    make_utd_trial(root, name, seconds)
    (root / "depth_mp4" / f"{name}.mp4").unlink()
    (root / "inertial").rename(root / "Inertial")
    if maps is None:
        maps = np.zeros((24, 32, frames), np.uint16)
        maps[6:18, 8:24] = np.linspace(2500, 1500, frames).astype(np.uint16)
    (root / "Depth").mkdir()
    savemat(root / "Depth" / f"{name}_depth.mat", {"d_depth": maps})
    return root


def test_depth_maps(tmp_path: Path) -> None:
    utd = UtdMhad(UtdMhadParams(str(published(tmp_path))))
    assert utd.names() == ["a1_s1_t1"]
    recording = utd.load("a1_s1_t1")
    check_recording(recording)
    depth = recording.video("depth")
    np.testing.assert_allclose(depth.frame_times(), np.arange(55) * 2.0 / 55)
    frames = np.stack(list(depth.read(np.array([0, 27, 54]), 24, 32)))
    assert frames.shape == (3, 24, 32, 3)
    assert frames[:, 0].max() == 0  # nothing measured
    # 255 (4500 - d) / 4000 at 2.5, 2.0 and 1.5 m.
    assert frames[:, 12, 16, 0].tolist() == [127, 159, 191]
    (window,), left_out = cut_windows(recording, "any", "depth", WindowSettings(layout="centred"))
    assert (window.activity, left_out) == ("swipe_left", [])


def test_rgb(tmp_path: Path) -> None:
    published(tmp_path)
    path = make_video(tmp_path / "RGB-part1" / "a1_s1_t1_color.avi", 1.6, 15, options=("-c:v", "mpeg4"))
    utd = UtdMhad(UtdMhadParams(str(tmp_path), videos=["rgb", "depth"]))
    recording = utd.load("a1_s1_t1")
    rgb = recording.video("rgb")
    # 24 frames over the two seconds of the inertial signal, whatever the file says of its rate.
    np.testing.assert_allclose(rgb.frame_times(), np.arange(24) / 12)
    assert next(rgb.read(np.array([23]), 30, 40)).shape == (30, 40, 3)
    assert [v.camera for v in recording.videos] == ["rgb", "depth"]
    (tmp_path / "RGB").mkdir()
    path.rename(tmp_path / "RGB" / path.name)
    assert utd.load("a1_s1_t1").video("rgb").origin.endswith("RGB/a1_s1_t1_color.avi")
    (tmp_path / "RGB" / path.name).unlink()
    with pytest.raises(RecordingError, match=r"a1_s1_t1_color\.avi: 0 files of this name"):
        utd.load("a1_s1_t1")
    with pytest.raises(ValueError, match=r"videos is \['ir'\]; expected some of depth, rgb"):
        UtdMhad(UtdMhadParams(str(tmp_path), videos=["ir"]))


def test_without_video(tmp_path: Path) -> None:
    utd = UtdMhad(UtdMhadParams(str(published(tmp_path)), videos=[]))
    assert utd.load("a1_s1_t1").videos == ()


@pytest.mark.parametrize(
    ("maps", "says"),
    [
        (np.zeros((24, 32)), r"d_depth is float64 \(24, 32\); expected numbers \(height, width, frames\)"),
        (np.full((2, 2, 2), 60_000, np.uint16), "goes from 60000 to 60000; expected millimetres"),
        (np.full((2, 2, 2), -1.0), "goes from -1"),
        (np.full((2, 2, 2), np.nan), "goes from nan to nan"),
    ],
)
def test_maps_that_can_not_be(tmp_path: Path, maps: Any, says: str) -> None:
    published(tmp_path, maps=maps)
    video = UtdMhad(UtdMhadParams(str(tmp_path))).load("a1_s1_t1").video("depth")
    with pytest.raises(RecordingError, match=says):
        video.frame_times()


def test_damaged_maps_are_explained(tmp_path: Path) -> None:
    published(tmp_path)
    path = tmp_path / "Depth" / "a1_s1_t1_depth.mat"
    data = path.read_bytes()
    for length in (0, 100, 130, 200, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(RecordingError, match=r"a1_s1_t1_depth\.mat"):
            DepthMat(path, "depth", 2.0).frame_times()
    savemat(path, {"depth": np.zeros((2, 2, 2))})
    with pytest.raises(RecordingError, match="no variable 'd_depth'; it has: depth"):
        DepthMat(path, "depth", 2.0).frame_times()
    with pytest.raises(ValueError, match="fit is 'zoom'"):
        DepthMat(path, "depth", 2.0, fit="zoom")
