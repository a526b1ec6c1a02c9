"""Augmented windows against what a sensor would have measured: closed forms, and the simulator's rigid bodies."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from datamodules.augment import AugmentSettings, Draws, ImuAugmentation
from datamodules.augment.draws import window_keys
from datamodules.augment.gravity import estimate_gravity
from datamodules.augment.placement import acceleration_elsewhere, derivative
from datamodules.recording import STANDARD_GRAVITY
from datamodules.sources.simulator import Simulator, SimulatorParams
from datamodules.sources.simulator.imu_model import GRAVITY, Mount, ideal, sensor_pose
from datamodules.sources.simulator.session import Session
from datamodules.sources.simulator.timeline import RATE_HZ as INTERNAL_HZ

RATE_HZ = 50.0
SAMPLES = 250
CENTRE_S = SAMPLES / RATE_HZ / 2
CENTRES = tuple(range(5, 54, 6))
PLACEMENTS = ("head", "right_wrist", "right_thigh", "right_ankle")


@cache
def _world() -> tuple[Session, dict[str, Mount]]:
    simulator = Simulator(SimulatorParams(subjects=1, sessions_per_subject=1, session_s=60, cameras=[]))
    name = simulator.names()[0]
    return simulator.session(name), {placement: simulator.mount(name, placement) for placement in PLACEMENTS}


def _measured(
    session: Session, seat: Mount, centre_s: float, speed: float = 1.0, rate_hz: float = RATE_HZ
) -> NDArray[np.float64]:
    """An ideal sensor, and gravity, in a session played ``speed`` times as fast about ``centre_s``: (T, 9)."""
    step = round(INTERNAL_HZ / rate_hz)
    samples = round(SAMPLES * INTERNAL_HZ / RATE_HZ)
    times = (np.arange(samples + 4) - 2) / INTERNAL_HZ
    channels = session.at(centre_s + (times - CENTRE_S) * speed)
    position, rotation = sensor_pose(seat, session.person.body, channels)
    gravity = np.swapaxes(rotation[2:-2], 1, 2) @ GRAVITY
    return np.concatenate([ideal(position, rotation), gravity], axis=1)[::step]


@cache
def _windows() -> dict[str, torch.Tensor]:
    """Windows (N, T, 9) of each placement."""
    session, seats = _world()
    return {
        placement: torch.from_numpy(np.stack([_measured(session, seat, centre) for centre in CENTRES])).float()
        for placement, seat in seats.items()
    }


def _mask(imu: torch.Tensor) -> torch.Tensor:
    return torch.ones(imu.shape[:2], dtype=torch.bool)


def _rms(values: torch.Tensor) -> float:
    return float(values.square().sum(-1).mean().sqrt())


def test_constant_rotation_gives_the_centripetal_acceleration() -> None:
    rate = torch.tensor([0.0, 0.0, 3.0]).expand(1, 100, 3)
    still = torch.tensor([0.0, 0.0, STANDARD_GRAVITY]).expand(1, 100, 3)
    r = torch.tensor([[0.2, 0.0, 0.5]])
    moved = acceleration_elsewhere(still, rate, _mask(rate), r, RATE_HZ)
    expected = torch.tensor([-9.0 * 0.2, 0.0, STANDARD_GRAVITY]).expand(1, 100, 3)
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=0)  # float32 of size 10


def test_constant_angular_acceleration_gives_the_tangential_one() -> None:
    times = torch.arange(100) / RATE_HZ
    rate = torch.zeros(1, 100, 3)
    rate[0, :, 2] = 4.0 * times
    moved = acceleration_elsewhere(torch.zeros(1, 100, 3), rate, _mask(rate), torch.tensor([[0.1, 0.0, 0.0]]), RATE_HZ)
    torch.testing.assert_close(moved[0, :, 1], torch.full((100,), 0.4), atol=1e-4, rtol=0)  # differences times 50 Hz
    torch.testing.assert_close(moved[0, :, 0], -0.1 * (4.0 * times) ** 2, atol=1e-5, rtol=1e-5)


def test_no_displacement_no_change() -> None:
    imu = _windows()["right_ankle"]
    same = acceleration_elsewhere(imu[..., :3], imu[..., 3:6], _mask(imu), torch.zeros(len(imu), 3), RATE_HZ)
    assert torch.equal(same, imu[..., :3])


def test_derivative_never_crosses_what_was_not_measured() -> None:
    mask = torch.tensor([[0, 1, 1, 1, 0, 0, 1, 0, 1, 1]], dtype=torch.bool)
    values = (torch.arange(10.0) ** 2)[None, :, None] * mask[..., None]
    # One-sided at the ends of runs, central inside, zero for the lonely sample and outside.
    expected = torch.tensor([0, 3, 4, 5, 0, 0, 0, 0, 17, 17.0]) * 10
    assert torch.equal(derivative(values, mask, 10.0)[0, :, 0], expected)


# Central differences are of second order: at 50 Hz they lose 6 % at 6 Hz, and impacts reach to 11 Hz; at 250 Hz they
# lose 25 times less.
@pytest.mark.parametrize(("rate_hz", "most"), [(RATE_HZ, 0.2), (INTERNAL_HZ, 0.01)])
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_another_point_of_the_segment_is_what_a_sensor_there_measures(
    placement: str, rate_hz: float, most: float
) -> None:
    session, seats = _world()
    seat = seats[placement]
    offset = np.array([0.03, -0.02, 0.05])
    here, there = (
        torch.from_numpy(np.stack([_measured(session, one, centre, 1.0, rate_hz) for centre in (11.0, 29.0)])).float()
        for one in (seat, Mount(seat.segment, seat.offset + offset, seat.rotation))
    )
    r = torch.from_numpy(seat.rotation.T @ offset).float().expand(len(here), 3)
    moved = acceleration_elsewhere(here[..., :3], here[..., 3:6], _mask(here), r, rate_hz)
    assert torch.equal(there[..., 3:6], here[..., 3:6])
    inner = slice(1, -1)  # one-sided differences at the ends
    without = _rms((there - here)[:, inner, :3])
    assert without > 0.02
    assert _rms((there[..., :3] - moved)[:, inner]) < most * without


def test_jitter_moves_acceleration_only_and_needs_a_gyroscope() -> None:
    windows = _windows()["right_ankle"][:, :, :6] / torch.tensor([STANDARD_GRAVITY] * 3 + [np.pi] * 3)
    channels = torch.ones(len(windows), 6, dtype=torch.bool)
    channels[0, 3:] = False
    channels[1, 4] = False
    windows = windows * channels[:, None]
    augment = ImuAugmentation(AugmentSettings.only(placement_jitter_cm=3))
    keys = window_keys(0, 0, np.arange(len(windows)))
    seen = augment(windows, _mask(windows), channels, torch.zeros(len(windows), 1), RATE_HZ, Draws(keys)).imu
    assert torch.equal(seen[..., 3:], windows[..., 3:])
    assert torch.equal(seen[:2], windows[:2])
    assert ((seen - windows)[2:].abs().amax(dim=(1, 2)) > 1e-4).all()
    in_si = ImuAugmentation(AugmentSettings.only(placement_jitter_cm=3), normalisation="none")
    units = torch.tensor([STANDARD_GRAVITY] * 3 + [np.pi] * 3)
    again = in_si(windows * units, _mask(windows), channels, torch.zeros(len(windows), 1), RATE_HZ, Draws(keys)).imu
    torch.testing.assert_close(again, seen * units, atol=1e-4, rtol=1e-5)  # the same in other units: roundings


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("shown", ["all", "a part"])
def test_gravity_is_found_while_the_sensor_turns(placement: str, shown: str) -> None:
    windows = _windows()[placement]
    mask = _mask(windows)
    if shown == "a part":
        mask[:, :30] = False
        mask[:, 220:] = False
    imu = windows[..., :6] * mask[..., None]
    truth = windows[..., 6:]

    def error(has_gyroscope: bool) -> float:
        given = torch.full((len(imu),), has_gyroscope)
        found = estimate_gravity(imu[..., :3], imu[..., 3:6], mask, given, RATE_HZ)
        return _rms((found - truth)[mask])

    # Measured: 0.09 to 0.31 of it; what is left is the velocity gained or lost between the ends.
    assert error(True) < 0.45 * error(False)
    assert error(False) < _rms((imu[..., :3] - truth)[mask])


def test_gravity_beside_a_gap_is_low_passed() -> None:
    windows = _windows()["right_wrist"]
    mask = _mask(windows)
    mask[:, 100:130] = False
    imu = windows[..., :6] * mask[..., None]
    with_rates, without = (
        estimate_gravity(imu[..., :3], imu[..., 3:6], mask, torch.full((len(imu),), given), RATE_HZ)
        for given in (True, False)
    )
    assert torch.equal(with_rates, without)
    flat = torch.ones(1, SAMPLES, 3) * mask[:1, :, None]
    constant = estimate_gravity(flat, flat * 0, mask[:1], torch.tensor([False]), RATE_HZ)
    torch.testing.assert_close(constant[mask[:1]], flat[mask[:1]], atol=1e-5, rtol=0)


@pytest.mark.parametrize("gyroscope", [True, False])
def test_a_warped_window_is_the_motion_played_at_that_speed(gyroscope: bool) -> None:
    """Against the simulator, played again at the speeds that the augmentation drew."""
    session, seats = _world()
    squares: dict[str, list[float]] = {"corrected": [], "not": [], "rate": [], "no rate": []}
    for placement in PLACEMENTS:
        window = _windows()[placement][..., :6].clone()
        channels = torch.ones(len(window), 6, dtype=torch.bool)
        channels[:, 3:] = gyroscope
        window[..., 3:] *= gyroscope
        frames = torch.tensor([1.0, 2.0]).expand(len(window), 2)
        views = [
            ImuAugmentation(AugmentSettings.only(time_warp=0.2, warp_acceleration=corrected), normalisation="none")(
                window, _mask(window), channels, frames, RATE_HZ, Draws(window_keys(0, 0, np.arange(len(window))))
            )
            for corrected in (True, False)
        ]
        speeds = 1 / (views[0].frame_times[:, 1] - views[0].frame_times[:, 0])
        truth = torch.from_numpy(
            np.stack([_measured(session, seats[placement], c, float(r)) for c, r in zip(CENTRES, speeds, strict=True)])
        ).float()
        mask = views[0].sample_mask
        for name, view in zip(("corrected", "not"), views, strict=True):
            squares[name].append(_rms((view.imu - truth[..., :6])[mask][:, :3]) ** 2)
        squares["rate"].append(_rms((views[0].imu - truth[..., :6])[mask][:, 3:]) ** 2)
        squares["no rate"].append(_rms(truth[mask][:, 3:6]) ** 2)
    error = {name: float(np.sqrt(np.mean(values))) for name, values in squares.items()}
    # Measured: 0.37 and 0.52. What is left is linear interpolation of impacts, and without a gyroscope what tilting
    # takes from gravity.
    assert error["corrected"] < (0.5 if gyroscope else 0.7) * error["not"]
    if gyroscope:
        assert error["rate"] < 0.05 * error["no rate"]


def test_gravity_itself_is_not_scaled() -> None:
    """A sensor that only tilts, slowly, measures the same gravity at every speed."""
    angle = 0.8 * torch.sin(torch.arange(SAMPLES) / RATE_HZ)
    rate = torch.zeros(1, SAMPLES, 6)
    rate[0, :, 0], rate[0, :, 2] = -angle.sin(), angle.cos()  # in g, turning about y
    rate[0, :, 4] = 0.8 * torch.cos(torch.arange(SAMPLES) / RATE_HZ) / np.pi
    draws = Draws(window_keys(1, 0, np.arange(1)))
    channels = torch.ones(1, 6, dtype=torch.bool)
    seen, mask, *_ = ImuAugmentation(AugmentSettings.only(time_warp=0.5))(
        rate, _mask(rate), channels, torch.zeros(1, 1), RATE_HZ, draws
    )
    norm = seen[0, mask[0], :3].norm(dim=-1)
    torch.testing.assert_close(norm, torch.ones_like(norm), atol=2e-3, rtol=0)  # chords of turns of 1 degree
