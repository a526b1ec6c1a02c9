from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.made_bvh import write_person
from helpers.real_data import real_data
from scipy.spatial.transform import Rotation

from datamodules.recording import STANDARD_GRAVITY, RecordingError
from datamodules.sources.bvh import Bvh, BvhParams

FRAMES = 91  # three seconds


def made(root: Path, **changes: object) -> Bvh:
    """A set of three clips in the structure of Bandai's."""
    times = np.arange(FRAMES) / 30.0
    swing = Rotation.from_rotvec(np.sin(5 * times)[:, None] * [0.5, 0.0, 0.0])
    path = np.stack((0.0 * times, 90.0 + 0.0 * times, 100.0 * times), axis=1)
    walk = {"right_thigh": swing, "left_thigh": swing.inv()}
    for name, turns in (("walk_normal", walk), ("walk-back_old", walk), ("bow_old", {"abdomen": swing})):
        place = None if name == "bow_old" else path
        write_person(root / "data" / f"dataset-1_{name}_001.bvh", FRAMES, turns, place, "bandai")
    return Bvh(BvhParams(root=str(root), **changes))  # type: ignore[arg-type]


def test_names_labels_and_what_the_sensors_are(tmp_path: Path) -> None:
    source = made(tmp_path)
    assert source.names() == ["dataset-1_bow_old_001", "dataset-1_walk-back_old_001", "dataset-1_walk_normal_001"]
    recording = source.load("dataset-1_walk-back_old_001")
    assert recording.simulated
    assert recording.subject == source.subject_of(recording.name) == "actor"
    [label] = recording.activities
    assert (label.start, label.activity) == (0.0, "walk-back")
    assert label.end == pytest.approx(3.0)
    assert recording.metadata == {"captured_hz": 30.0, "style": "old", "id": "001"}
    assert [imu.placement for imu in recording.imus] == list(source.params.placements)
    for imu in recording.imus:
        assert 0.0 <= imu.times[0] < 0.05
        assert 2.9 < imu.times[-1] <= 3.0
        assert 95 < len(imu.times) / 3.0 < 105
        assert np.linalg.norm(np.nanmean(imu.values[:, :3], axis=0)) == pytest.approx(STANDARD_GRAVITY, rel=0.25)


def test_a_recording_is_a_function_of_seed_and_name(tmp_path: Path) -> None:
    one = made(tmp_path).load("dataset-1_walk_normal_001")
    source = Bvh(BvhParams(root=str(tmp_path)))
    source.load("dataset-1_bow_old_001")
    again = source.load("dataset-1_walk_normal_001")
    other = Bvh(BvhParams(root=str(tmp_path), seed=1)).load("dataset-1_walk_normal_001")
    for a, b in zip(one.imus, again.imus, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
        np.testing.assert_array_equal(a.times, b.times)
    assert not np.array_equal(one.imus[0].values[:50], other.imus[0].values[:50])
    frames = [next(r.videos[0].read(np.array([30]), 48, 64)) for r in (one, again, other)]
    np.testing.assert_array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])


def test_the_camera_shows_the_body_move(tmp_path: Path) -> None:
    video = made(tmp_path, mounting_sd_deg=0.0).load("dataset-1_walk_normal_001").video("third_person")
    times = video.frame_times()
    assert len(times) == 90
    frames = np.stack(list(video.read(np.array([0, 10, 80]), 96, 128)))
    assert frames.shape == (3, 96, 128, 3)
    # The camera follows, so that the body fills the middle of every picture and the surroundings pass by.
    assert np.abs(frames[0].astype(int) - frames[2]).mean() > 10
    pose = video.pose(times)  # type: ignore[attr-defined]
    feet = np.concatenate([pose.origins[f"{side}_foot"] for side in ("left", "right")])
    assert feet[:, 2].min() > 0.05  # the ankle is above the sole, and the sole on the floor
    assert feet[:, 2].min() < 0.08
    along = pose.origins["pelvis"]
    assert np.ptp(along[:, 0]) == pytest.approx(3.0, abs=0.1)  # 1 m/s for three seconds, along the hall
    assert np.ptp(along[:, 1]) < 1e-6


def test_subjects_may_be_in_the_names(tmp_path: Path) -> None:
    made(tmp_path)
    source = Bvh(BvhParams(str(tmp_path), files="data/{set}_{activity}_{subject}_{id}.bvh", subjects=["old"]))
    assert source.names() == ["dataset-1_bow_old_001", "dataset-1_walk-back_old_001"]
    assert source.load("dataset-1_bow_old_001").subject == "old"


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    source = made(tmp_path)
    with pytest.raises(RecordingError, match="no BVH file 'dataset-1_walk_normal_002'; did you mean"):
        source.load("dataset-1_walk_normal_002")
    with pytest.raises(RecordingError, match="no BVH file 'dataset-1_walk_normal_01'; did you mean"):
        made(tmp_path, reference="dataset-1_walk_normal_01").load("dataset-1_walk_normal_001")
    with pytest.raises(ValueError, match=r"up is 'w'.*metres_per_unit is 0"):
        made(tmp_path, up="w", metres_per_unit=0.0)
    with pytest.raises(ValueError, match="no BVH file here; expected other"):
        made(tmp_path, files="other/{activity}.bvh").names()
    with pytest.raises(RecordingError, match=r"the path covers 30.0 x 0.0 m.*metres_per_unit"):
        made(tmp_path, metres_per_unit=0.1).load("dataset-1_walk_normal_001")
    assert not made(tmp_path, metres_per_unit=0.1, cameras=[]).load("dataset-1_walk_normal_001").videos


def test_published_clips() -> None:
    source = Bvh(BvhParams(root=str(real_data("bandai-bvh")), placements=["waist", "right_wrist"]))
    assert len(source.names()) >= 174
    standing, dash = (source.load(f"dataset-1_{name}_001") for name in ("bow_normal", "dash_active"))
    for recording in (standing, dash):
        waist, wrist = (np.nanmean(imu.values[:, :3], axis=0) for imu in recording.imus)
        assert np.linalg.norm(waist) == pytest.approx(STANDARD_GRAVITY, rel=0.15)
        assert waist[0] < -7.0  # the box hangs upside down at the back, as the simulator's
        assert np.linalg.norm(wrist) < 3 * STANDARD_GRAVITY  # a dashing arm is pulled to the shoulder
    spread = [float(np.nanstd(r.imus[0].values[:, 0])) for r in (standing, dash)]
    assert spread[0] < 2.0 < 4.0 < spread[1]  # a dash shakes the waist, a bow does not
