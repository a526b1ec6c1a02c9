"""The body's frames and the ideal sensor: closed forms, and what is measured agrees with what happens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.recording import STANDARD_GRAVITY
from datamodules.sources.simulator import Simulator, SimulatorParams
from datamodules.sources.simulator.body import CHANNEL, CHANNEL_NAMES, SEGMENTS, BodyDimensions, solve
from datamodules.sources.simulator.imu_model import ideal, sensor_pose
from datamodules.sources.simulator.people import PLACEMENTS
from datamodules.sources.simulator.rotations import from_rotation_vector, rot_z
from datamodules.sources.simulator.session import Session
from datamodules.sources.simulator.timeline import MARGIN_S, RATE_HZ, Timeline, interpolate

DIMENSIONS = BodyDimensions.from_height(1.75)
TIMES = np.arange(500) / RATE_HZ


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(SimulatorParams(subjects=2, sessions_per_subject=1, seed=5))


@pytest.fixture(scope="module")
def session(simulator: Simulator) -> Session:
    return simulator.session(simulator.names()[0])


def _still(rotation: np.ndarray, position: np.ndarray) -> np.ndarray:
    return ideal(position, np.repeat(rotation[None], len(position), axis=0))


@given(st.tuples(*[st.floats(-3, 3)] * 3))
def test_a_sensor_at_rest_reads_g_along_up(vector: tuple[float, float, float]) -> None:
    rotation = from_rotation_vector(np.array(vector))
    values = _still(rotation, np.tile([1.0, -2.0, 1.5], (20, 1)))
    # 1e-8: rounding of positions of order 1 m, times the rate squared.
    np.testing.assert_allclose(values[:, :3], np.tile(rotation.T @ [0, 0, STANDARD_GRAVITY], (16, 1)), atol=1e-8)
    np.testing.assert_allclose(values[:, 3:], 0.0, atol=1e-10)


def test_free_fall_reads_nothing() -> None:
    position = np.zeros((len(TIMES), 3))
    position[:, 2] = 20.0 - 0.5 * STANDARD_GRAVITY * TIMES**2
    values = _still(from_rotation_vector(np.array([0.3, 0.2, 0.1])), position)
    np.testing.assert_allclose(values, 0.0, atol=1e-7)  # the difference is exact for a parabola: rounding only


@pytest.mark.parametrize("rate", [-6.0, 0.5, 3.0])
def test_constant_rotation_reads_rate_and_centripetal_acceleration(rate: float) -> None:
    radius = 0.4
    rotation = rot_z(rate * TIMES)
    position = rotation @ np.array([radius, 0.0, 0.0])
    values = ideal(position, rotation)
    expected = np.array([-(rate**2) * radius, 0.0, STANDARD_GRAVITY, 0.0, 0.0, rate])
    # The differences' error is (rate / sample rate)^4 / 90 of the value: 4e-9 at 6 rad/s; rounding adds 1e-9.
    np.testing.assert_allclose(values, np.tile(expected, (len(values), 1)), atol=1e-6)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_specific_force_integrates_to_the_path(simulator: Simulator, session: Session, placement: str) -> None:
    seat = simulator.mount(simulator.names()[0], placement)
    position, rotation = sensor_pose(seat, session.person.body, session.channels)
    values = ideal(position, rotation)
    acceleration = (rotation[2:-2] @ values[:, :3, None])[..., 0] - [0, 0, STANDARD_GRAVITY]
    position, span = position[2:-2], 2000  # 8 s pieces: double integration multiplies any error by 32
    for start in range(0, len(position) - span, 5000):
        piece = slice(start, start + span)
        velocity = np.zeros((span, 3))
        velocity[1:] = np.cumsum(0.5 * (acceleration[piece][1:] + acceleration[piece][:-1]), axis=0) / RATE_HZ
        path = np.zeros((span, 3))
        path[1:] = np.cumsum(0.5 * (velocity[1:] + velocity[:-1]), axis=0) / RATE_HZ
        gone = position[piece] - position[start]
        # Where it started from at which speed is unknown to the integral: leave out a straight line.
        clock = np.arange(span)[:, None] / RATE_HZ
        rest = gone - path
        rest -= clock * (rest[-1] / clock[-1])
        assert np.abs(rest).max() < 5e-3  # metres; trapezoids over 8 s of movements of up to 8 m


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_angular_velocity_integrates_to_the_orientation(simulator: Simulator, session: Session, placement: str) -> None:
    seat = simulator.mount(simulator.names()[0], placement)
    position, rotation = sensor_pose(seat, session.person.body, session.channels)
    rates = ideal(position, rotation)[:, 3:]
    begin, span = 1500, 5000  # 20 s
    turned = rotation[2 + begin]
    for k in range(begin, begin + span):
        turned = turned @ from_rotation_vector(0.5 * (rates[k] + rates[k + 1]) / RATE_HZ)
    apart = turned.T @ rotation[2 + begin + span]
    angle = np.degrees(np.arccos(np.clip(0.5 * (np.trace(apart) - 1.0), -1.0, 1.0)))
    assert angle < 0.5  # degrees after 20 s, of hundreds turned; the mid-point rule's error


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_acceleration_is_band_limited_and_bounded(simulator: Simulator, session: Session, placement: str) -> None:
    seat = simulator.mount(simulator.names()[0], placement)
    position, rotation = sensor_pose(seat, session.person.body, session.channels)
    fine = ideal(position, rotation)
    coarse = ideal(position[::2], rotation[::2], 0.5 * RATE_HZ)
    difference = fine[2 : 2 + 2 * len(coarse) : 2][: len(coarse)] - coarse
    moving = fine[:, :3] - fine[:, :3].mean(axis=0)
    assert np.sqrt((difference[:, :3] ** 2).mean()) < 0.05 * np.sqrt((moving**2).mean())
    size = np.linalg.norm(fine[:, :3], axis=1)
    times = np.arange(len(fine)) / RATE_HZ - MARGIN_S + 2.0 / RATE_HZ
    falling = np.zeros(len(fine), dtype=bool)
    for interval in session.activities:
        if interval.activity == "falling":
            falling |= (times >= interval.start) & (times < interval.end)
    assert size[~falling].max() < 8 * STANDARD_GRAVITY  # heel strikes
    assert size.max() < 25 * STANDARD_GRAVITY  # hitting the floor


angles = st.floats(-1.2, 1.2)


@settings(max_examples=30)
@given(st.lists(angles, min_size=len(CHANNEL_NAMES), max_size=len(CHANNEL_NAMES)))
def test_frames_are_rotations_and_bones_keep_their_length(values: list[float]) -> None:
    channels = np.array(values)[:, None]
    for side, y in (("left", 0.1), ("right", -0.1)):  # feet somewhere that legs can reach
        for axis, place in zip("xyz", (0.1, y, 0.0), strict=True):
            channels[CHANNEL[f"{side}_foot_{axis}"]] = place
    for axis, place in zip("xyz", (0.0, 0.0, 0.8), strict=True):
        channels[CHANNEL[f"pelvis_{axis}"]] = place
    pose = solve(DIMENSIONS, channels)
    assert set(pose.origins) == set(SEGMENTS)
    assert len(SEGMENTS) >= 12
    for rotation in pose.rotations.values():
        np.testing.assert_allclose(rotation[0] @ rotation[0].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation[0]) == pytest.approx(1.0, abs=1e-9)
    for upper, lower, length in (
        ("left_thigh", "left_shank", DIMENSIONS.thigh),
        ("right_shank", "right_foot", DIMENSIONS.shank),
        ("right_upper_arm", "right_forearm", DIMENSIONS.upper_arm),
        ("left_forearm", "left_hand", DIMENSIONS.forearm),
        ("neck", "head", DIMENSIONS.neck),
    ):
        gap = np.linalg.norm(pose.origins[lower] - pose.origins[upper])
        assert gap == pytest.approx(length, abs=1e-9)


def test_only_the_segments_asked_for_are_solved(session: Session) -> None:
    some = solve(session.person.body, session.channels[:, :50], ("right_forearm",))
    everything = solve(session.person.body, session.channels[:, :50])
    assert set(some.origins) == {"pelvis", "abdomen", "thorax", "right_upper_arm", "right_forearm"}
    np.testing.assert_array_equal(some.origins["right_forearm"], everything.origins["right_forearm"])


def test_a_planted_foot_stays_where_it_is(session: Session) -> None:
    times = np.arange(len(session.channels[0])) / RATE_HZ - MARGIN_S
    seated = np.zeros(len(times), dtype=bool)
    for interval in session.activities:
        if interval.activity in ("bending", "sitting"):
            seated |= (times >= interval.start + 0.5) & (times < interval.end - 0.5)
    body = session.person.body
    pose = solve(body, session.channels, ("left_foot",))
    ball = pose.point("left_foot", np.array([body.ankle_to_ball, 0.0, -body.ankle_height]))
    wanted = session.channels[[CHANNEL[f"left_foot_{c}"] for c in "xyz"]].T
    error = np.linalg.norm(ball - wanted, axis=1)[seated]
    assert seated.any()
    assert error.max() < 0.02  # metres: where the leg is all but straight, its reach is softly limited


def test_moves_are_smooth_and_end_where_they_should() -> None:
    line = Timeline(4.0, {"head_yaw": 0.2})
    line.move("head_yaw", 1.0, 2.0, 0.7)
    line.bump("head_yaw", 2.5, 3.0, 0.3)
    values = line.channels()[CHANNEL["head_yaw"]]
    assert values[0] == pytest.approx(0.2, abs=1e-9)
    assert values[-1] == pytest.approx(0.7, abs=1e-9)
    assert interpolate(values, np.array([1.5]))[0] == pytest.approx(0.45, abs=1e-6)  # half way, by symmetry
    jerk = np.diff(values, 3) * RATE_HZ**3
    assert np.abs(jerk).max() < 60.0 * 0.5 / 1.0**3 + 1000.0 * 0.3 / 0.5**3  # minimum jerk, and the bump's


def test_impacts_have_the_speed_of_a_fall() -> None:
    line = Timeline(3.0, {"pelvis_z": 0.9})
    line.fall("pelvis_z", 1.0, 1.9, 0.1)
    z = line.channels()[CHANNEL["pelvis_z"]]
    speed = np.gradient(z, 1.0 / RATE_HZ)
    assert -3.0 < speed.min() < -2.0  # 3 * 0.8 m / 0.9 s, a little less after smoothing
    assert z[-1] == pytest.approx(0.1, abs=1e-3)


def test_unknown_segments_and_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="tail"):
        solve(DIMENSIONS, np.zeros((len(CHANNEL_NAMES), 3)), ("tail",))
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        solve(DIMENSIONS, np.zeros((3, 3)))
