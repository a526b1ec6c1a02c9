"""Rendering: known geometry, optical flow, a body that is seen, lazy and repeatable frames."""

from __future__ import annotations

import os
import time
from itertools import pairwise

import numpy as np
import pytest

from datamodules.recording import Recording, VideoStream
from datamodules.sources.simulator import Simulator, SimulatorParams
from datamodules.sources.simulator.body import solve
from datamodules.sources.simulator.hall import HALF_WIDTH, LENGTH_DOWN, STAIRS_END
from datamodules.sources.simulator.head_camera import AXES, HeadCamera, focal_length
from datamodules.sources.simulator.room import View, make_room
from datamodules.sources.simulator.rotations import rot_y, rot_z
from datamodules.sources.simulator.third_person_camera import ThirdPersonCamera

PLACE = np.array([7.0, 0.3, 1.6])
SIZE = 112


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Simulator(SimulatorParams(sessions_per_subject=1)).load("sim_h_003_00")


def _view(yaw: float, pitch: float = 0.0, size: int = SIZE) -> View:
    rotation = rot_z(np.array([yaw]))[0] @ rot_y(np.array([pitch]))[0] @ AXES
    return View(PLACE, rotation, size, size, focal_length(size))


def test_distances_are_those_to_the_walls_and_the_floor() -> None:
    room = make_room(0, 0)
    _, distance, rays = room.render(_view(0.0, size=113))  # odd: the middle pixel looks along the axis
    assert distance[56, 56] == pytest.approx(LENGTH_DOWN - PLACE[0], abs=0.05)  # less a picture's thickness
    _, distance, _ = room.render(_view(0.0, pitch=np.pi / 2, size=113))
    assert distance[56, 56] == pytest.approx(PLACE[2], abs=1e-4)  # float32
    _, distance, rays = room.render(_view(np.pi / 2, pitch=-0.5, size=113))
    height = PLACE[2] + distance * rays[2]
    depth = PLACE[1] + distance * rays[1]
    high = height > 2.6  # above all furniture and pictures
    np.testing.assert_allclose(depth[high & (height < 4.8)], HALF_WIDTH, atol=2e-4)  # float32 at metres


def test_stairs_are_boxes_of_the_right_height() -> None:
    room = make_room(0, 0)
    view = View(np.array([STAIRS_END + 2.0, 0.0, 1.0]), rot_z(np.array([np.pi]))[0] @ AXES, 65, 65, 32.0)
    _, distance, rays = room.render(view)
    x = view.origin[0] + distance * rays[0]
    z = view.origin[2] + distance * rays[2]
    lowest_face = (np.abs(x[:, 32] - STAIRS_END) < 1e-3) & (z[:, 32] > 1e-3)
    assert lowest_face.any()
    assert z[:, 32][lowest_face].max() < 0.17 + 1e-3  # one riser


@pytest.mark.parametrize("yaw_deg", [2.0, 5.0, -4.0])
def test_a_turning_head_shifts_the_image_by_the_expected_pixels(yaw_deg: float) -> None:
    """Pure rotation: pixel u of one image is pixel f tan(atan(u / f) - yaw) of the other, at any depth."""
    room, yaw = make_room(0, 2), np.radians(yaw_deg)
    one, _, _ = room.render(_view(np.pi / 2))
    other, _, _ = room.render(_view(np.pi / 2 + yaw))  # to the left: what is seen moves right
    focal, middle = focal_length(SIZE), (SIZE - 1) / 2
    row = SIZE // 2  # the horizon stays on its row
    u = np.arange(SIZE) - middle
    source = focal * np.tan(np.arctan(u / focal) - yaw) + middle
    inside = (source > 1) & (source < SIZE - 2)
    line = one[row].mean(axis=1)
    moved = other[row].mean(axis=1)
    predicted = np.interp(source, np.arange(SIZE), line)
    right = np.corrcoef(predicted[inside], moved[inside])[0, 1]
    still = np.corrcoef(line[inside], moved[inside])[0, 1]
    assert right > 0.9  # nearest-texel lookup keeps it from being 1
    assert right > still + 0.15


def test_the_head_camera_is_rigid_on_the_head(recording: Recording) -> None:
    camera = recording.video("head")
    assert isinstance(camera, HeadCamera)
    times = np.linspace(5.0, 60.0, 40)
    views = camera.views(times, SIZE, SIZE)
    session = Simulator(SimulatorParams(sessions_per_subject=1)).session("sim_h_003_00")
    pose = solve(session.person.body, session.at(times), ("head",))
    relative = [r.T @ v.rotation for r, v in zip(pose.rotations["head"], views, strict=True)]
    place = [r.T @ (v.origin - o) for r, o, v in zip(pose.rotations["head"], pose.origins["head"], views, strict=True)]
    np.testing.assert_allclose(relative, np.broadcast_to(relative[0], (40, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(place, np.broadcast_to(place[0], (40, 3)), atol=1e-9)


def test_the_third_person_sees_the_body_in_every_frame(recording: Recording) -> None:
    camera = recording.video("third_person")
    assert isinstance(camera, ThirdPersonCamera)
    times = camera.frame_times()[::40]
    shares, centres, masks = [], [], []
    for _, mask in camera.render_with_mask(times, SIZE, SIZE):
        shares.append(mask.mean())
        centres.append(np.argwhere(mask).mean(axis=0))
        masks.append(mask)
    assert min(shares) > 0.015
    assert max(shares) < 0.5
    assert np.abs(np.array(centres) / SIZE - 0.5).max() < 0.3  # kept in the middle
    changed = [np.mean(a ^ b) / np.mean(a | b) for a, b in pairwise(masks)]
    assert np.median(changed) > 0.05


def test_walking_moves_the_bodys_pixels_from_frame_to_frame(recording: Recording) -> None:
    camera = recording.video("third_person")
    assert isinstance(camera, ThirdPersonCamera)
    walk = max((i for i in recording.activities if i.activity == "walking"), key=lambda i: i.end - i.start)
    times = np.linspace(walk.start + 0.8, walk.end - 0.8, 8)
    masks = [mask for _, mask in camera.render_with_mask(times, SIZE, SIZE)]
    for one, other in pairwise(masks):
        assert np.mean(one ^ other) / np.mean(one | other) > 0.05


@pytest.mark.parametrize("name", ["head", "third_person"])
def test_frames_do_not_depend_on_what_else_is_read(recording: Recording, name: str) -> None:
    camera = recording.video(name)
    some = list(camera.read(np.array([10, 700, 2000]), 48, 64))
    alone = list(camera.read(np.array([700]), 48, 64))
    assert some[1].shape == (48, 64, 3)
    assert some[1].dtype == np.uint8
    np.testing.assert_array_equal(some[1], alone[0])
    assert not np.array_equal(some[0], some[1])
    assert list(camera.read(np.array([], dtype=np.int64), 48, 64)) == []
    with pytest.raises(IndexError, match="sim_h_003_00"):
        list(camera.read(np.array([10**6]), 48, 64))


def test_cameras_are_video_streams_with_regular_times(recording: Recording) -> None:
    for stream in recording.videos:
        checked: VideoStream = stream
        times = checked.frame_times()
        np.testing.assert_allclose(np.diff(times), 1 / 30, atol=1e-9)
        assert times[0] >= 0.0
        assert 119.0 < times[-1] < 120.0
        assert "sim_h_003_00" in checked.origin


def test_images_are_neither_dark_nor_blank(recording: Recording) -> None:
    for stream in recording.videos:
        frames = np.array(list(stream.read(np.arange(0, 3500, 250), SIZE, SIZE)))
        assert 40 < frames.mean() < 215
        assert np.median(frames.reshape(len(frames), -1).std(axis=1)) > 15


def test_halls_look_different() -> None:
    looks = [make_room(0, style).render(_view(0.4))[0] for style in range(4)]
    for k in range(1, 4):
        assert np.abs(looks[0] - looks[k]).mean() > 0.05


def test_the_wearer_sees_the_own_limbs_now_and_then(recording: Recording) -> None:
    camera = recording.video("head")
    assert isinstance(camera, HeadCamera)
    room = make_room(0, Simulator(SimulatorParams(sessions_per_subject=1)).session("sim_h_003_00").hall.style)
    times = np.linspace(1.0, 119.0, 120)
    seen = []
    for image, view in zip(camera.render(times, 56, 56), camera.views(times, 56, 56), strict=True):
        empty, _, _ = room.render(view)
        seen.append(np.mean(np.abs(image - empty).sum(axis=2) > 0.05) > 0.005)
    assert 0.1 < np.mean(seen) < 0.9


@pytest.mark.slow
def test_two_thousand_windows_take_three_minutes_on_two_cores() -> None:
    """At most 3 min on 2 cores is 0.18 core-seconds a window of 10 frames, motion and sensors included."""
    simulator = Simulator(SimulatorParams(sessions_per_subject=1, cameras=["head"]))
    windows, begin = 0, time.process_time()
    for name in simulator.names()[:3]:
        recording = simulator.load(name)
        camera = recording.video("head")
        frames = np.arange(0, len(camera.frame_times()), 15)[:240]
        windows += sum(1 for _ in camera.read(frames, SIZE, SIZE)) // 10
    assert (time.process_time() - begin) / windows < 0.18 or os.environ.get("IMU_VIDEO_HAR_SLOW_MACHINE")
