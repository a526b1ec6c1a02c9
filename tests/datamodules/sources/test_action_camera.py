from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers.made_data import make_video
from helpers.made_gpmf import Payload, add_telemetry
from helpers.numbered_video import ffmpeg, numbered
from helpers.real_data import gopro_clip, needs_telemetry_parser

from datamodules.recording import Recording, RecordingError
from datamodules.sources.action_camera import ActionCamera, ActionCameraParams, read_imu
from datamodules.windows.checks import check_recording
from datamodules.windows.cut import WindowSettings, cut_windows


def test_the_gopro_sample_has_gravity_and_a_walkers_motion() -> None:
    path = gopro_clip()
    camera = ActionCamera(ActionCameraParams([str(path.parent / "*.mp4")], subject="me", placement="chest"))
    assert camera.names() == ["max-heromode"]
    assert camera.subject_of("max-heromode") == "me"
    recording = camera.load("max-heromode")
    check_recording(recording)
    imu = recording.imu("chest")
    # Known of this file: 198 Hz, 10.5 s, norm 9.83 m/s^2.
    assert 1 / np.median(np.diff(imu.times)) == pytest.approx(197.5, abs=1)
    assert np.linalg.norm(imu.values[:, :3], axis=1).mean() == pytest.approx(9.83, abs=0.02)
    # Walking turns a camera by tens of degrees a second, not by tens of radians.
    assert 0.05 < imu.values[:, 3:].std() < 1.0
    assert "GoPro" in imu.device
    windows, exclusions = cut_windows(recording, "any", "action_camera", WindowSettings(duration_s=2.0))
    assert windows
    assert all(w.frame_mask.all() and w.sample_mask.all() for w in windows)
    assert {e.reason.value for e in exclusions} <= {"remainder"}


@pytest.mark.parametrize("start", [1.1, 5.0])
def test_a_cut_copy_keeps_its_telemetry_in_step_with_its_pictures(tmp_path: Path, start: float) -> None:
    path = gopro_clip()
    cut = tmp_path / "cut.mp4"
    ffmpeg("-ss", start, "-i", path, "-map", "0:v", "-map", "0:3", "-c", "copy", "-copy_unknown", cut)
    whole, part = (
        ActionCamera(ActionCameraParams([str(file)], placement="chest")).load(file.stem) for file in (path, cut)
    )
    # The same samples, and the same pictures, by what they show.
    first = part.imu("chest").values[0]
    (same,) = np.flatnonzero((whole.imu("chest").values == first).all(axis=1))
    moved = whole.imu("chest").times[same] - part.imu("chest").times[0]
    frames, times = part.videos[0].frame_times(), whole.videos[0].frame_times()
    (picture,) = part.videos[0].read(np.array([30]), 48, 64)
    likeness = [np.abs(other.astype(int) - picture).mean() for other in whole.videos[0].read(np.arange(300), 48, 64)]
    # 33 ms between two frames; the telemetry's samples are spread over payloads of a second.
    assert times[np.argmin(likeness)] - frames[30] == pytest.approx(moved, abs=0.02)
    assert moved == pytest.approx(start, abs=0.02)


def test_a_video_without_telemetry_names_the_file(tmp_path: Path) -> None:
    make_video(tmp_path / "plain.mp4", seconds=1)
    (tmp_path / "text.mp4").write_bytes(b"no video" * 1000)
    (tmp_path / "empty.mp4").write_bytes(b"")
    camera = ActionCamera(ActionCameraParams([str(tmp_path / "*.mp4")]))
    for name in ("plain", "text", "empty"):
        with pytest.raises(RecordingError, match=rf"{name}\.mp4: "):
            camera.load(name)


def test_a_truncated_sample_names_the_file(tmp_path: Path) -> None:
    data = gopro_clip().read_bytes()
    for share in (0.01, 0.3, 0.7, 0.99):
        (tmp_path / "cut.mp4").write_bytes(data[: int(len(data) * share)])
        camera = ActionCamera(ActionCameraParams([str(tmp_path / "cut.mp4")]))
        with pytest.raises(RecordingError, match=r"cut\.mp4: "):
            camera.load("cut").videos[0].frame_times()


def test_paths_that_match_nothing_or_twice_the_same_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file matches"):
        ActionCamera(ActionCameraParams([str(tmp_path / "*.mp4")])).names()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match="same name"):
        ActionCamera(ActionCameraParams([str(tmp_path / "*" / "x.mp4")])).names()


def test_sensors_with_rates_of_their_own_each_fill_their_payload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HERO5: 199 acceleration and 399 gyroscope samples a second; telemetry-parser pairs them by their number."""

    class Parser:
        camera, model = "GoPro", "HERO5"

        def __init__(self, path: Path) -> None:
            pass

        def telemetry(self) -> Any:
            return [{"Accelerometer": {"Data": [0] * 199}, "Gyroscope": {"Data": [0] * 399}} for _ in range(10)]

        def normalized_imu(self) -> Any:
            rows = []
            for second in range(10):
                for k in range(399):
                    gyro_at, accl_at = second + k / 399, second + k / 199
                    accl = (np.sin(2 * accl_at), 0.0, 9.81) if k < 199 else None
                    gyro = (np.degrees(np.sin(2 * gyro_at)), 0.0, 0.0)
                    rows.append({"timestamp_ms": 1000 * gyro_at, "gyro": gyro, "accl": accl})
            return rows

    monkeypatch.setitem(sys.modules, "telemetry_parser", SimpleNamespace(Parser=Parser))
    (tmp_path / "x.mp4").write_bytes(b"")
    stream = read_imu(tmp_path / "x.mp4", "head")
    assert 1 / np.median(np.diff(stream.times)) == pytest.approx(399, rel=1e-3)
    measured = ~np.isnan(stream.values).any(axis=1)
    assert measured.mean() > 0.99
    # The same movement in both: a spline through 199 samples a second leaves next to nothing of an error.
    np.testing.assert_allclose(stream.values[measured, 0], np.sin(2 * stream.times[measured]), atol=1e-4)
    np.testing.assert_allclose(stream.values[measured, 3], np.sin(2 * stream.times[measured]), atol=1e-9)


def _acceleration(times: np.ndarray) -> np.ndarray:
    return np.stack([9.81 + np.sin(2 * times), 2 * np.cos(3 * times), np.sin(5 * times)], axis=1)


def _turning(times: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(2 * times), 0.5 * np.cos(3 * times), 0.2 * np.sin(7 * times)], axis=1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs_telemetry_parser()
    return numbered(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=240)


# Samples of accelerometer and gyroscope in each payload, and how long it is.
_HERO5 = (199, 399, 1.0)
PAYLOADS = {
    "hero5": [_HERO5] * 8,
    "ntsc": [(199, 399, 1.001)] * 8,
    "accelerometer_faster": [(400, 200, 1.0)] * 6,
    "three_to_one": [(200, 600, 1.0)] * 6,
    "counts_that_vary": [(198, 397, 1.0), (200, 401, 1.0), (199, 399, 1.0), (201, 398, 1.0)],
    "one_sample_fewer": [(200, 200, 1.0)] * 3 + [(200, 199, 1.0)] + [(200, 200, 1.0)] * 3,
    "short_last": [(200, 400, 1.0)] * 5 + [(90, 180, 0.45)],
    "last_ends_early": [(200, 400, 1.0)] * 5 + [(90, 180, 1.0)],
    "gyroscope_lost": [_HERO5] * 3 + [(199, 0, 1.0)] + [_HERO5] * 3,
    "accelerometer_lost": [_HERO5] * 3 + [(0, 399, 1.0)] + [_HERO5] * 3,
    "payload_lost": [_HERO5] * 3 + [(0, 0, 1.0)] + [_HERO5] * 3,
    "like_rates_payload_lost": [(200, 200, 1.0)] * 3 + [(0, 0, 1.0)] + [(200, 200, 1.0)] * 3,
    "samples_lost": [_HERO5] * 3 + [(100, 200, 1.0)] + [_HERO5] * 3,
    "payloads_of_other_lengths": [_HERO5, (100, 200, 0.5), _HERO5, (298, 598, 1.5)],
    "like_rates": [(200, 200, 1.0)] * 6,
}
_HOLES = {"gyroscope_lost", "accelerometer_lost", "payload_lost", "like_rates_payload_lost", "samples_lost"}


def test_without_telemetry_parser_the_message_says_for_which_python_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "telemetry_parser", None)
    (tmp_path / "x.mp4").write_bytes(b"")
    with pytest.raises(
        RecordingError, match=r"x\.mp4: the package telemetry-parser is needed .* Python 3\.10 to 3\.12"
    ):
        read_imu(tmp_path / "x.mp4", "head")


@pytest.mark.parametrize("late_s", [0.0, 0.3])
@pytest.mark.parametrize("name", list(PAYLOADS))
def test_gpmf_of_any_rates_has_each_sample_at_its_time(tmp_path: Path, clip: Path, name: str, late_s: float) -> None:
    payloads, begin = [], late_s
    for many, turned, duration in PAYLOADS[name]:
        full = duration if name != "last_ends_early" else many / 200  # what was measured ends with the sensor
        times = begin + np.arange(many) / max(many, 1) * full
        turning_times = begin + np.arange(turned) / max(turned, 1) * full
        payloads.append(Payload(_acceleration(times), _turning(turning_times), duration))
        begin += duration
    stream = read_imu(add_telemetry(clip, tmp_path / "camera.mp4", payloads, late_s), "head")
    check_recording(Recording("made", "P1", (stream,)))
    there = ~np.isnan(stream.values).any(axis=1)
    # 418 counts in one m/s^2, 3755 in one rad/s: half a count, and as much again of the spline between samples.
    np.testing.assert_allclose(stream.values[there, :3], _acceleration(stream.times[there]), atol=1 / 418)
    np.testing.assert_allclose(stream.values[there, 3:], _turning(stream.times[there]), atol=1 / 3755)
    assert stream.times[0] == pytest.approx(late_s, abs=1e-3)
    end = begin - (1 - 90 / 200 if name == "last_ends_early" else 0)
    assert stream.times[-1] == pytest.approx(end, abs=0.02)
    hole = (stream.times > late_s + 3.1) & (stream.times < late_s + 3.9) & there
    assert hole.any() == (name not in _HOLES)
    assert stream.device == "GoPro"


def test_windows_of_gpmf_at_unequal_rates_are_right(tmp_path: Path, clip: Path) -> None:
    payloads = [
        Payload(_acceleration(k + np.arange(199) / 199), _turning(k + np.arange(399) / 399), 1.0) for k in range(8)
    ]
    add_telemetry(clip, tmp_path / "camera.mp4", payloads)
    recording = ActionCamera(ActionCameraParams([str(tmp_path / "camera.mp4")])).load("camera")
    windows, _ = cut_windows(recording, "any", "action_camera", WindowSettings(duration_s=2.0, stride_s=2.0))
    assert len(windows) == 3 + (len(recording.videos[0].frame_times()) >= 240)
    for window in windows:
        times = window.start_s + np.arange(window.imu.shape[0]) / 50
        # The low-pass to 50 Hz leaves a signal of 1 Hz as it is, to a thousandth, away from the recording's ends.
        np.testing.assert_allclose(window.imu[10:-10, :3], _acceleration(times)[10:-10], atol=0.01)
        np.testing.assert_allclose(window.imu[10:-10, 3:], _turning(times)[10:-10], atol=0.005)
        assert window.frame_mask.all()
