"""Virtual sensors against motion whose measurements are known in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.made_bvh import STRUCTURES, write_person
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from datamodules.formats.bvh import read_bvh
from datamodules.recording import STANDARD_GRAVITY, RecordingError
from datamodules.sources.bvh.anatomy import Anatomy
from datamodules.sources.bvh.sensors import EDGE_S, virtual_sensor
from datamodules.sources.bvh.skeleton import Skeleton
from datamodules.sources.simulator.imu_model import mount
from datamodules.sources.simulator.people import PLACEMENTS
from datamodules.sources.simulator.timeline import RATE_HZ

FRAMES = 61  # two seconds
TIMES = np.arange(FRAMES) / 30.0


def skeleton(path: Path) -> Skeleton:
    return Skeleton(read_bvh(path), 0.01, "y")


@pytest.fixture(scope="module")
def anatomy(tmp_path_factory: pytest.TempPathFactory) -> Anatomy:
    return Anatomy(skeleton(write_person(tmp_path_factory.mktemp("bvh") / "standing.bvh", 5)), {})


def sensed(clip: Skeleton, anatomy: Anatomy, placement: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times and values, without the tenth of a second at either end, where a curve has no neighbours."""
    values = virtual_sensor(mount(placement, anatomy.body), anatomy, clip)
    times = EDGE_S + np.arange(len(values)) / RATE_HZ
    inner = (times > 0.1) & (times < clip.duration_s - 0.1)
    return times[inner], values[inner]


def about(axis: str, angle: NDArray[np.float64]) -> Rotation:
    """Rotations about an axis of the file, y up."""
    return Rotation.from_rotvec(angle[:, None] * np.eye(3)["xyz".index(axis)])


def test_the_made_person_is_measured(anatomy: Anatomy) -> None:
    body = anatomy.body
    found = [body.thigh, body.shank, body.upper_arm, body.forearm, body.hip_half_width, body.pelvis, body.thorax]
    np.testing.assert_allclose(found, [0.42, 0.42, 0.30, 0.25, 0.09, 0.14, 0.24], atol=1e-12)
    assert body.height == pytest.approx(0.84 / 0.491)
    for segment, axes in anatomy.axes.items():
        if not segment.endswith("foot"):  # columns: forward, left, up, in the file's axes
            np.testing.assert_allclose(axes, [[0, 1, 0], [0, 0, 1], [1, 0, 0]], atol=1e-12, err_msg=segment)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_at_rest_a_sensor_measures_gravity_alone(tmp_path: Path, anatomy: Anatomy, placement: str) -> None:
    _, values = sensed(skeleton(write_person(tmp_path / "a.bvh", FRAMES)), anatomy, placement)
    up = mount(placement, anatomy.body).rotation.T @ [0.0, 0.0, STANDARD_GRAVITY]
    # Rounding of positions, times the square of the rate: 1e-16 x 62,500.
    np.testing.assert_allclose(values[:, :3], np.tile(up, (len(values), 1)), atol=1e-9)
    np.testing.assert_allclose(values[:, 3:], 0.0, atol=1e-9)


def test_in_free_fall_it_measures_nothing(tmp_path: Path, anatomy: Anatomy) -> None:
    path = np.stack((50.0 * TIMES, 2000.0 - 50.0 * STANDARD_GRAVITY * TIMES**2, 0.0 * TIMES), axis=1)
    clip = skeleton(write_person(tmp_path / "a.bvh", FRAMES, path_cm=path))
    for placement in PLACEMENTS:
        # A cubic curve holds a parabola exactly; what is left is rounding.
        np.testing.assert_allclose(sensed(clip, anatomy, placement)[1], 0.0, atol=1e-7)


def test_constant_rotation_about_the_vertical(tmp_path: Path, anatomy: Anatomy) -> None:
    rate = 2.0
    clip = skeleton(write_person(tmp_path / "a.bvh", FRAMES, {"pelvis": about("y", rate * TIMES)}))
    for placement in ("waist", "chest", "right_thigh"):
        seat = mount(placement, anatomy.body)
        _, values = sensed(clip, anatomy, placement)
        turning = seat.rotation.T @ [0.0, 0.0, rate]
        # The fourth-order derivative is off by rate x (rate / 250 Hz)^4 / 30.
        np.testing.assert_allclose(values[:, 3:], np.tile(turning, (len(values), 1)), atol=1e-8)
        start = anatomy.pose(clip, np.zeros(1), (seat.segment,))
        x, y, _ = start.point(seat.segment, seat.offset)[0]
        force = seat.rotation.T @ [-(rate**2) * x, -(rate**2) * y, STANDARD_GRAVITY]
        # Between frames a cubic curve is off by (rate / 30 Hz)^2 / 12 of the acceleration, 0.5 m/s^2 here.
        np.testing.assert_allclose(values[:, :3], np.tile(force, (len(values), 1)), atol=5e-4)


Floats = NDArray[np.float64]


def swung(angle: Floats, rate: Floats, gain: Floats, radius: float) -> tuple[Floats, Floats]:
    """What the wrist measures while the stretched arm swings forward by an angle, with its derivatives.

    Sensor axes: x along the arm to the hand, z to the right, y forward for a hanging arm.
    """
    along = -STANDARD_GRAVITY * np.cos(angle) - radius * rate**2
    forward = STANDARD_GRAVITY * np.sin(angle) + radius * gain
    # Forward is a negative turn about the left: a positive one about the sensor's z, which points to the right.
    return np.stack((along, forward), axis=1), rate


def test_a_rotating_arm_is_pulled_to_its_centre(tmp_path: Path, anatomy: Anatomy) -> None:
    rate = 3.0
    clip = skeleton(write_person(tmp_path / "a.bvh", FRAMES, {"right_upper_arm": about("x", -rate * TIMES)}))
    times, values = sensed(clip, anatomy, "right_wrist")
    radius = 0.30 + 0.93 * 0.25
    force, turning = swung(rate * times, np.full_like(times, rate), 0.0 * times, radius)
    # Positions: (rate / 30 Hz)^2 / 12 of 4.8 m/s^2 between frames.
    np.testing.assert_allclose(np.abs(values[:, :2]), np.abs(force), atol=0.01)
    np.testing.assert_allclose(values[:, 0], force[:, 0], atol=0.01)
    np.testing.assert_allclose(values[:, 5], turning, atol=1e-6)
    np.testing.assert_allclose(values[:, [2, 3, 4]], 0.0, atol=1e-6)


def test_a_pendulum(tmp_path: Path, anatomy: Anatomy) -> None:
    pace, size = 2.0 * np.pi, 0.5  # once a second
    clip = skeleton(
        write_person(tmp_path / "a.bvh", FRAMES, {"right_upper_arm": about("x", -size * np.sin(pace * TIMES))})
    )
    times, values = sensed(clip, anatomy, "right_wrist")
    angle, rate = size * np.sin(pace * times), size * pace * np.cos(pace * times)
    force, turning = swung(angle, rate, -size * pace**2 * np.sin(pace * times), 0.30 + 0.93 * 0.25)
    # Between frames a cubic curve is off by up to (pace / 30 Hz)^2 / 8 = 0.55 % of the largest acceleration, 10 m/s^2.
    np.testing.assert_allclose(values[:, :2], force, atol=0.06)
    np.testing.assert_allclose(values[:, 5], turning, atol=0.01)
    np.testing.assert_allclose(values[:, [2, 3, 4]], 0.0, atol=1e-6)


@pytest.mark.parametrize(("pace_hz", "kept", "ringing"), [(5.0, 0.998, 0.040), (10.0, 0.935, 0.234)])
def test_bandwidth(tmp_path: Path, anatomy: Anatomy, pace_hz: float, kept: float, ringing: float) -> None:
    frames = np.arange(301) / 30.0
    path = np.stack((0.0 * frames, 90.0 + np.sin(2 * np.pi * pace_hz * frames + 0.3), 0.0 * frames), axis=1)
    clip = skeleton(write_person(tmp_path / "a.bvh", len(frames), path_cm=path))
    seat = mount("head", anatomy.body)
    up = virtual_sensor(seat, anatomy, clip)[250:2250, 2] - STANDARD_GRAVITY  # eight whole seconds
    size = np.abs(np.fft.rfft(up)) / 1000.0 / (0.01 * (2 * np.pi * pace_hz) ** 2)
    # The cubic spline's frequency response: sinc(f)^4 / (2/3 + cos(2 pi f) / 3), f in frames; images times (f' / f)^2.
    assert size[round(8 * pace_hz)] == pytest.approx(kept, abs=0.002)
    assert size[round(8 * (30 - pace_hz))] == pytest.approx(ringing, abs=0.004)
    soft = virtual_sensor(seat, anatomy, clip, soft_tissue_s=0.012)[250:2250, 2] - STANDARD_GRAVITY
    dampened = np.abs(np.fft.rfft(soft)) / np.abs(np.fft.rfft(up))
    for f in (pace_hz, 30 - pace_hz):
        assert dampened[round(8 * f)] == pytest.approx(np.exp(-2 * (np.pi * f * 0.012) ** 2), abs=0.002)


def test_all_structures_of_files_give_the_same_motion(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = ("pelvis", "abdomen", "head", "right_upper_arm", "right_forearm", "right_thigh", "right_shank")
    waves = {part: np.sin(TIMES[:, None] * rng.uniform(1, 5, 3) + rng.uniform(0, 6, 3)) for part in parts}
    turns = {part: Rotation.from_rotvec(0.6 * wave) for part, wave in waves.items()}
    found = {}
    for name in STRUCTURES:
        reference = skeleton(write_person(tmp_path / name / "standing.bvh", 5, structure=name))
        clip = skeleton(write_person(tmp_path / name / "a.bvh", FRAMES, turns, structure=name))
        anatomy = Anatomy(reference, {})
        found[name] = [virtual_sensor(mount(p, anatomy.body), anatomy, clip) for p in PLACEMENTS]
    for name in STRUCTURES:
        # Rounding of Euler angles, times the square of the rate.
        np.testing.assert_allclose(found[name], found["cmu"], atol=1e-6, err_msg=name)


def test_up_may_be_another_axis_and_the_unit_another_one(tmp_path: Path, anatomy: Anatomy) -> None:
    path = np.stack((20.0 * TIMES, 90.0 + 3 * np.sin(5 * TIMES), 10.0 * TIMES**2), axis=1)
    whole = read_bvh(write_person(tmp_path / "a.bvh", FRAMES, path_cm=path))
    upright = Skeleton(whole, 0.01, "y")
    lying = Skeleton(whole, 0.02, "z")
    assert np.linalg.norm(upright.frames.origins["Head"][0] - upright.frames.origins["Hips"][0]) == pytest.approx(0.63)
    assert upright.frames.origins["Head"][0, 2] - upright.frames.origins["Hips"][0, 2] == pytest.approx(0.63)
    assert lying.frames.origins["Head"][0, 1] - lying.frames.origins["Hips"][0, 1] == pytest.approx(1.26)


def test_a_joint_that_is_not_known_is_named(tmp_path: Path, anatomy: Anatomy) -> None:
    path = write_person(tmp_path / "a.bvh", FRAMES)
    path.write_text(path.read_text().replace("RightArm", "Bone7"))
    with pytest.raises(RecordingError, match=r"known as 'right_upper_arm'.*rightupperarm.*one of Hips"):
        Anatomy(skeleton(path), {})
    assert Anatomy(skeleton(path), {"right_upper_arm": "Bone7"}).joints["right_upper_arm"] == "Bone7"
    with pytest.raises(RecordingError, match="no joint 'Bone8'; did you mean"):
        Anatomy(skeleton(path), {"right_upper_arm": "Bone8"})
    with pytest.raises(RecordingError, match="no segment 'right_arm'"):
        Anatomy(skeleton(path), {"right_arm": "Bone7"})
    other = write_person(tmp_path / "b.bvh", FRAMES)
    other.write_text(other.read_text().replace("RightForeArm", "Bone8"))
    clip, seat = skeleton(other), mount("right_wrist", anatomy.body)
    with pytest.raises(RecordingError, match=r"no joint 'RightForeArm'.*skeleton of the reference"):
        virtual_sensor(seat, anatomy, clip)


def test_a_reference_that_lies_down_is_refused(tmp_path: Path) -> None:
    lying = {"pelvis": about("x", np.full(5, np.pi / 2))}
    with pytest.raises(RecordingError, match="does not show where"):
        Anatomy(skeleton(write_person(tmp_path / "a.bvh", 5, lying)), {})


def test_a_clip_of_few_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="3 frames; expected at least 4"):
        skeleton(write_person(tmp_path / "a.bvh", 3))
