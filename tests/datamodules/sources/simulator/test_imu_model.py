"""What real parts make of ideal values, sample times, and the hidden clock offset."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from datamodules.recording import STANDARD_GRAVITY, ImuStream
from datamodules.sources.simulator import Simulator, SimulatorParams
from datamodules.sources.simulator.imu_model import (
    DEVICES,
    Device,
    degrade,
    full_scale,
    ideal,
    mount,
    sampling_times,
    sensor_pose,
)
from datamodules.sources.simulator.timeline import MARGIN_S, RATE_HZ

EACH = pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)


def _clock(device: Device, seconds: float) -> np.ndarray:
    return np.arange(int(seconds * device.rate_hz)) / device.rate_hz


@EACH
def test_values_are_whole_steps_within_the_range(device: Device) -> None:
    times = _clock(device, 20.0)
    rng = np.random.default_rng(0)
    truth = rng.normal(0.0, 1.0, (len(times), 6)) * [150, 150, 150, 30, 30, 30]
    values = degrade(truth, times, device, rng)
    for part, step, limit in (
        (values[:, :3], device.acceleration_step, full_scale(device)[0]),
        (values[:, 3:], device.angular_step, full_scale(device)[1]),
    ):
        counts = part / step
        np.testing.assert_allclose(counts, np.round(counts), atol=1e-6)  # float64 multiples of the step
        assert np.abs(part).max() <= limit * (1 + 1e-12)
        assert np.abs(part).max() > limit - 0.5 * step  # saturated
        assert np.abs(counts).max() <= 2**15  # 16 bits
        assert len(np.unique(np.round(counts))) > 100


def test_steps_and_ranges_are_those_of_the_datasheets() -> None:
    degree = np.pi / 180
    for name, lsb, counts, lsb_dps, dps in (
        ("icm20948", 1 / 2048, 16, 1 / 16.4, 2000),
        ("bmi270", 1 / 4096, 8, 1 / 16.4, 2000),
        ("lsm6dso", 0.244e-3, 8, 0.035, 1000),
    ):
        device = DEVICES[name]
        assert device.acceleration_step == pytest.approx(lsb * STANDARD_GRAVITY)
        assert device.acceleration_range == pytest.approx(counts * STANDARD_GRAVITY)
        assert device.angular_step == pytest.approx(lsb_dps * degree)
        assert device.angular_range == pytest.approx(dps * degree)


@EACH
def test_noise_has_the_density_of_the_datasheet(device: Device) -> None:
    times = _clock(device, 60.0)
    values = degrade(np.zeros((len(times), 6)), times, device, np.random.default_rng(1))
    high = np.diff(values, axis=0) / np.sqrt(2.0)  # differences remove bias and its walk
    for part, noise, step in (
        (high[:, :3], device.acceleration_noise, device.acceleration_step),
        (high[:, 3:], device.angular_noise, device.angular_step),
    ):
        expected = np.sqrt(noise**2 * device.rate_hz / 2 + step**2 / 12)
        assert part.std() == pytest.approx(expected, rel=0.05)  # 18,000 samples: 1 %, and coarse steps


@EACH
def test_bias_differs_between_draws_and_wanders(device: Device) -> None:
    times = _clock(device, 100.0)
    biases = []
    for seed in range(30):
        values = degrade(np.zeros((len(times), 6)), times, device, np.random.default_rng(seed))
        biases.append(values.mean(axis=0))
    spread = np.std(biases, axis=0)
    assert spread[:3].mean() == pytest.approx(device.acceleration_offset, rel=0.25)  # 90 draws: 8 %
    assert spread[3:].mean() == pytest.approx(device.angular_offset, rel=0.25)


@EACH
def test_sample_times_jitter_and_some_samples_are_lost(device: Device) -> None:
    times = sampling_times(device, 600.0, np.random.default_rng(2))
    steps = np.diff(times)
    assert np.all(steps > 0)
    period = np.median(steps)
    assert period == pytest.approx(1.0 / device.rate_hz, rel=0.04)  # four standard deviations of the part's rate
    single = steps[steps < 1.5 * period]
    assert 0.02 * period < single.std() < 0.08 * period  # 3 % a sample is 4.2 % a step
    lost = np.round(steps / period) - 1
    assert 0.001 < lost.sum() / len(times) < 0.01
    assert lost.max() >= 3  # bursts


def test_specific_force_is_in_the_sensors_frame() -> None:
    """Six worn sensors, upright: each nominal mount sees gravity on the axis that it should."""
    simulator = Simulator(SimulatorParams(subjects=1, sessions_per_subject=1, mounting_sd_deg=0, slip_sd_deg=0))
    name = simulator.names()[0]
    session = simulator.session(name)
    still = session.channels[:, :1].repeat(30, axis=1)
    expected = {"head": [0, 0, 1], "chest": [-1, 0, 0], "right_wrist": [-1, 0, 0], "waist": [-1, 0, 0]}
    expected |= {"right_thigh": [-1, 0, 0], "right_ankle": [-1, 0, 0]}
    for placement, up in expected.items():
        values = ideal(*sensor_pose(simulator.mount(name, placement), session.person.body, still))
        assert values[0, :3] @ np.array(up) > 0.85 * STANDARD_GRAVITY  # posture tilts segments by up to 30 degrees
        assert np.linalg.norm(values[0, :3]) == pytest.approx(STANDARD_GRAVITY, abs=1e-6)


def test_people_wear_sensors_differently() -> None:
    simulator = Simulator(SimulatorParams(subjects=2, sessions_per_subject=2))
    a0, a1, b0, _ = (simulator.mount(name, "chest").rotation for name in simulator.names())

    def apart(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.degrees(np.arccos(0.5 * (np.trace(one.T @ other) - 1))))

    assert 0.1 < apart(a0, a1) < 12.0  # the same person on another day
    assert apart(a0, b0) > apart(a0, a1)


def test_an_unknown_placement_is_named() -> None:
    body = Simulator(SimulatorParams()).session("sim_h_000_00").person.body
    with pytest.raises(ValueError, match="left_ear"):
        mount("left_ear", body)


@pytest.mark.parametrize("placement", ["head", "right_ankle"])
def test_hidden_clock_offset_can_be_recovered_from_the_truth(placement: str) -> None:
    simulator = Simulator(SimulatorParams(subjects=4, sessions_per_subject=1, max_clock_offset_s=0.5, cameras=[]))
    offsets = []
    for name in simulator.names():
        recording = simulator.load(name)
        assert recording.imu_clock_offset_s == 0.0
        assert not any("offset" in key or "clock" in key for key in recording.metadata)
        offsets.append(simulator.true_clock_offset(name))
        assert _best_shift(simulator, name, recording.imu(placement)) == pytest.approx(offsets[-1], abs=0.004)
    assert np.ptp(offsets) > 0.05


def _best_shift(simulator: Simulator, name: str, stream: ImuStream) -> float:
    """The shift of the stream's times at which its angular rate agrees best with the true one."""
    session = simulator.session(name)
    truth = ideal(*sensor_pose(simulator.mount(name, stream.placement), session.person.body, session.channels))
    rate = np.linalg.norm(truth[:, 3:], axis=1)
    grid = np.arange(len(rate)) / RATE_HZ - MARGIN_S + 2.0 / RATE_HZ
    measured = np.linalg.norm(stream.values[:, 3:], axis=1)
    inside = slice(100, -100)
    shifts = np.arange(-0.6, 0.6, 0.002)
    errors = [np.square(np.interp(stream.times[inside] + s, grid, rate) - measured[inside]).mean() for s in shifts]
    return float(shifts[int(np.argmin(errors))])


def test_streams_state_their_ranges() -> None:
    recording = Simulator(SimulatorParams(subjects=2, cameras=[])).load("sim_h_001_00")
    for stream in recording.imus:
        device = next(d for d in DEVICES.values() if d.name == stream.device)
        assert device is DEVICES["bmi270"]  # people take the devices in turn
        limits = full_scale(device)
        assert (stream.acceleration_range, stream.angular_velocity_range) == (limits[0], limits[1])
        assert np.abs(stream.values[:, :3]).max() <= limits[0]


def test_devices_are_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEVICES["bmi270"].rate_hz = 1.0  # type: ignore[misc]
