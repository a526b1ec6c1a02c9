"""Model of motion sensors: their places, ideal measurements, and the errors of real parts.

Shape legend: N samples of the internal grid, M samples of the sensor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from datamodules.recording import STANDARD_GRAVITY, FloatArray, ImuStream
from datamodules.sources.simulator.body import BodyDimensions, solve
from datamodules.sources.simulator.people import Person
from datamodules.sources.simulator.rotations import angular_velocity, rot_y, rot_z, second_difference
from datamodules.sources.simulator.timeline import RATE_HZ, interpolate

GRAVITY = np.array([0.0, 0.0, STANDARD_GRAVITY])


@dataclass(frozen=True)
class Device:
    """Configuration of a sensor, and typical values from its datasheet.

    Attributes:
        name: make and model.
        rate_hz: output data rate.
        rate_error: standard deviation of the real rate between parts, as a share.
        acceleration_range: full scale, m/s^2.
        acceleration_step: one least significant bit, m/s^2.
        acceleration_noise: density, m/s^2 per square root of Hz.
        acceleration_offset: zero-g offset, standard deviation between parts, m/s^2.
        angular_range, angular_step, angular_noise, angular_offset: the same for the gyroscope, rad/s.
    """

    name: str
    rate_hz: float
    rate_error: float
    acceleration_range: float
    acceleration_step: float
    acceleration_noise: float
    acceleration_offset: float
    angular_range: float
    angular_step: float
    angular_noise: float
    angular_offset: float


def _device(
    name: str,
    rate_hz: float,
    rate_error: float,
    acceleration: tuple[float, float, float, float],
    angular: tuple[float, float, float, float],
) -> Device:
    """Convert datasheet units: g, LSB/g, ug/sqrt(Hz), mg; deg/s, LSB per deg/s, mdps/sqrt(Hz), deg/s."""
    g, degree = STANDARD_GRAVITY, math.pi / 180.0
    return Device(
        name=name,
        rate_hz=rate_hz,
        rate_error=rate_error,
        acceleration_range=acceleration[0] * g,
        acceleration_step=g / acceleration[1],
        acceleration_noise=acceleration[2] * 1e-6 * g,
        acceleration_offset=acceleration[3] * 1e-3 * g,
        angular_range=angular[0] * degree,
        angular_step=degree / angular[1],
        angular_noise=angular[2] * 1e-3 * degree,
        angular_offset=angular[3] * degree,
    )


DEVICES = {
    # TDK InvenSense DS-000189 rev 1.3, tables 1 and 2; 1125 Hz / 11, accelerometer at +-16 g. The zero-rate
    # output of +-5 deg/s is the untrimmed part's; recorders null it at power-up, which leaves about a tenth.
    "icm20948": _device("TDK InvenSense ICM-20948", 1125.0 / 11.0, 0.01, (16, 2048, 230, 25), (2000, 16.4, 15, 0.5)),
    # Bosch Sensortec BST-BMI270-DS000, section 1; 100 Hz, accelerometer at +-8 g.
    "bmi270": _device("Bosch Sensortec BMI270", 100.0, 0.006, (8, 4096, 160, 20), (2000, 16.4, 7, 0.5)),
    # STMicroelectronics DS12140, table 2; 104 Hz, +-8 g (0.244 mg/LSB) and +-1000 deg/s (35 mdps/LSB).
    "lsm6dso": _device("STMicroelectronics LSM6DSO", 104.0, 0.01, (8, 1e3 / 0.244, 80, 20), (1000, 1e3 / 35, 3.8, 1.0)),
}

# Datasheets lack these values: measured orders of magnitude for consumer parts (El-Sheimy et al. 2008).
ACCELERATION_WALK = 2e-4  # bias random walk, m/s^2 per square root of s
ANGULAR_WALK = 3e-5  # rad/s per square root of s
JITTER = 0.03  # standard deviation of a sampling instant, as a share of the period
DROPPED = 0.002  # share of single samples lost
BURSTS_PER_S = 0.005  # longer losses, of a few samples each
BURST_SAMPLES = 4.0


@dataclass(frozen=True)
class Mount:
    """A place on the body: a point fixed to a segment, and the orientation of the sensor's axes."""

    segment: str
    offset: FloatArray
    rotation: FloatArray


def mount(placement: str, body: BodyDimensions) -> Mount:
    """Return the place of a sensor on a body of these dimensions, without misalignment."""

    def fixed(matrix: FloatArray) -> FloatArray:
        return np.asarray(matrix[0])

    quarter = np.array([math.pi / 2])
    # A strapped box's x axis runs along the segment; its z axis points out of the body.
    front = fixed(rot_y(quarter))  # z forward
    back = fixed(rot_z(2 * quarter) @ rot_y(quarter))
    right = fixed(rot_z(-quarter) @ rot_y(quarter))
    g = body.girth
    seats = {
        "head": ("head", (0.03, -0.078, 0.55 * body.head), np.eye(3)),
        "chest": ("thorax", (0.115 * g, 0.0, 0.6 * body.thorax), front),
        "right_wrist": ("right_forearm", (0.0, -0.032, -0.93 * body.forearm), right),
        "waist": ("pelvis", (-0.11 * g, 0.0, 0.6 * body.pelvis), back),
        "right_thigh": ("right_thigh", (0.085 * g, -0.02, -0.45 * body.thigh), front),
        "right_ankle": ("right_shank", (0.0, -0.045, -0.9 * body.shank), right),
    }
    if placement not in seats:
        raise ValueError(f"no placement '{placement}'; the simulator has: {', '.join(seats)}")
    segment, offset, rotation = seats[placement]
    return Mount(segment, np.array(offset), rotation)


def personal_mount(placement: str, person: Person, slip: FloatArray | None = None) -> Mount:
    """Return :func:`mount` with this person's misalignment, and the session's rotation ``slip`` (3, 3)."""
    nominal = mount(placement, person.body)
    rotation = nominal.rotation @ person.mounting[placement]
    return Mount(nominal.segment, nominal.offset, rotation if slip is None else rotation @ slip)


def sensor_pose(seat: Mount, body: BodyDimensions, channels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compute the world position (N, 3), metres, and the sensor-to-world rotation (N, 3, 3) of a sensor."""
    pose = solve(body, channels, (seat.segment,))
    return pose.point(seat.segment, seat.offset), pose.rotations[seat.segment] @ seat.rotation


def ideal(position: FloatArray, rotation: FloatArray, rate_hz: float = RATE_HZ) -> FloatArray:
    """Compute the measurements of a perfect sensor.

    Args:
        position: (N, 3) world position, metres.
        rotation: (N, 3, 3) sensor-to-world.
        rate_hz: rate of the samples.

    Returns:
        (N - 4, 6) for samples 2 .. N - 3: specific force with gravity, m/s^2, and angular velocity, rad/s,
        both in the sensor's frame.
    """
    force = second_difference(position, rate_hz) + GRAVITY
    inside = np.swapaxes(rotation[2:-2], -1, -2) @ force[..., None]
    return np.concatenate((inside[..., 0], angular_velocity(rotation, rate_hz)), axis=1)


def sampling_times(device: Device, duration_s: float, rng: np.random.Generator) -> FloatArray:
    """Draw the true times (M,) of the samples that arrive, with the part's own rate, jitter and losses."""
    period = 1.0 / (device.rate_hz * (1.0 + rng.normal(0.0, device.rate_error)))
    count = int((duration_s - 0.01) / period)
    times = (np.arange(count) + rng.uniform(0.1, 0.9)) * period
    times += np.clip(rng.normal(0.0, JITTER, count), -0.3, 0.3) * period
    kept = rng.random(count) >= DROPPED
    for start in np.flatnonzero(rng.random(count) < BURSTS_PER_S * period):
        kept[start : start + 1 + int(rng.geometric(1.0 / BURST_SAMPLES))] = False
    return np.asarray(times[kept & (times >= 0.0) & (times < duration_s)])


def degrade(truth: FloatArray, times: FloatArray, device: Device, rng: np.random.Generator) -> FloatArray:
    """Add the errors of ``device`` to ideal values (M, 6): bias and its walk, noise, saturation, quantisation."""
    count = len(truth)
    band = math.sqrt(0.5 * device.rate_hz)
    elapsed = np.sqrt(np.diff(times, prepend=times[:1]))[:, None]
    out = np.empty_like(truth)
    for part, offset, walk, noise, limit, step in (
        (
            slice(0, 3),
            device.acceleration_offset,
            ACCELERATION_WALK,
            device.acceleration_noise,
            device.acceleration_range,
            device.acceleration_step,
        ),
        (
            slice(3, 6),
            device.angular_offset,
            ANGULAR_WALK,
            device.angular_noise,
            device.angular_range,
            device.angular_step,
        ),
    ):
        bias = rng.normal(0.0, offset, 3) + np.cumsum(rng.normal(0.0, walk, (count, 3)) * elapsed, axis=0)
        analogue = truth[:, part] + bias + rng.normal(0.0, noise * band, (count, 3))
        out[:, part] = np.round(np.clip(analogue, -limit, limit) / step) * step
    limits = np.repeat(full_scale(device), 3)
    return np.clip(out, -limits, limits)


def full_scale(device: Device) -> FloatArray:
    """Return the largest values (2,) that 16 bits and the ranges allow, m/s^2 and rad/s."""
    steps = (
        (device.acceleration_range, device.acceleration_step),
        (device.angular_range, device.angular_step),
    )
    return np.array([min(math.floor(limit / step + 1e-9), 2**15 - 1) * step for limit, step in steps])


def record(
    placement: str,
    seat: Mount,
    person: Person,
    channels: FloatArray,
    duration_s: float,
    device: Device,
    clock_offset_s: float,
    clock_drift_ppm: float,
    origin: str,
    rng: np.random.Generator,
) -> ImuStream:
    """Record a session with ``device``; its stamps lag the true time by ``clock_offset_s`` and the drift."""
    values = ideal(*sensor_pose(seat, person.body, channels))
    times = sampling_times(device, duration_s, rng)
    # ``ideal`` starts at the third sample of the internal grid.
    truth = interpolate(values.T, times - 2.0 / RATE_HZ).T
    # Division by 1.0, without a drift, changes no bit.
    stamps = (times - clock_offset_s) / (1.0 + 1e-6 * clock_drift_ppm)
    return measured(placement, stamps, truth, times, device, origin, rng)


def measured(
    placement: str,
    stamps: FloatArray,
    truth: FloatArray,
    times: FloatArray,
    device: Device,
    origin: str,
    rng: np.random.Generator,
) -> ImuStream:
    """Return ideal values (M, 6) at true times (M,) as ``device`` gives them, with its stamps (M,)."""
    limits = full_scale(device)
    return ImuStream(
        times=stamps,
        values=degrade(truth, times, device, rng),
        placement=placement,
        device=device.name,
        acceleration_range=float(limits[0]),
        angular_velocity_range=float(limits[1]),
        origin=origin,
    )
