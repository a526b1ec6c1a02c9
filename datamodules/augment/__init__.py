"""Augmentations of IMU windows, on whole batches and on whatever device holds them.

Each stands for something that differs between recordings of the same motion, and changes all that it would change:
a sensor that sits askew measures acceleration, gravity included, and angular rate turned by the same rotation
(:mod:`~datamodules.augment.rotation`); motion played r times as fast has r times the angular rate and r^2 times the
linear acceleration, and moves under the frames' times (:mod:`~datamodules.augment.timing`); a sensor some centimetres
further along the limb feels another centripetal acceleration (:mod:`~datamodules.augment.placement`); another part
has other noise and another bias, or no gyroscope at all (:mod:`~datamodules.augment.device`).

Draws belong to windows, see :mod:`~datamodules.augment.draws`: a window's view is the same in any batch. They come in a
fixed order, and what is off draws nothing.

Shape legend: B batch, T samples, F frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from core.errors import MendableError
from datamodules.augment.device import drop_gyroscope, sensor_errors
from datamodules.augment.draws import Draws
from datamodules.augment.gravity import estimate_gravity, heading_axis
from datamodules.augment.placement import acceleration_elsewhere
from datamodules.augment.rotation import random_rotation, rotation_about, uniform_rotation
from datamodules.augment.timing import change_of_time, resampled, trimmed
from datamodules.signal import NORMALISATIONS, PHYSICAL_SCALE

__all__ = ["AugmentationError", "Draws", "ImuAugmentation", "View"]

_SHARES = ("rotation_about_gravity", "rotation_any", "drop_gyroscope")
# What needs gravity, or units, that a window brought to mean 0 and deviation 1 no longer has.
_IN_UNITS = (
    "rotation_about_gravity",
    "rotation_any",
    "accelerometer_noise",
    "gyroscope_noise",
    "accelerometer_bias",
    "gyroscope_bias",
    "placement_jitter_cm",
)


class AugmentationError(MendableError, ValueError):
    """A magnitude that can't be; the message names it and says what is expected."""


class View(NamedTuple):
    """One random view of each window.

    Attributes:
        imu: (B, T, 6), zero where a mask is False.
        sample_mask: (B, T) bool.
        channel_mask: (B, 6) bool.
        frame_times: (B, F) on the view's time line: a frame that showed what the IMU measured at sample t shows
            what it measures at its new time.
    """

    imu: Tensor
    sample_mask: Tensor
    channel_mask: Tensor
    frame_times: Tensor


@dataclass(frozen=True)
class ImuAugmentation:
    """Magnitudes; 0 switches one off.

    Attributes:
        rotation_deg: standard deviation of a rotation about a random axis.
        noise: standard deviation of white noise, in the normalised units of the window.
        scale: standard deviation of a random gain, one per window and sensor.
        shift_s: largest shift of the window's content, seconds.
        time_warp: largest change of speed, as |log r|.
        trim: each end of the valid samples loses up to this share, in half of the windows.
        warp_acceleration: whether the linear acceleration grows with r^2. "window" normalisation has no gravity to
            tell it from, and goes without.
        rotation_about_gravity: share of the windows turned by any angle about the vertical, as a sensor that sits
            elsewhere around the body or limb; left as they are where no vertical is found.
        rotation_any: share of the windows turned uniformly over all rotations.
        accelerometer_noise: largest density of white noise, m/s^2 per square root of Hz.
        gyroscope_noise: the same, rad/s per square root of Hz.
        accelerometer_bias: standard deviation of each axis' constant bias, m/s^2.
        gyroscope_bias: the same, rad/s.
        drop_gyroscope: probability that a window loses its gyroscope, unless that is all it has.
        placement_jitter_cm: standard deviation, along each axis, of where the sensor sits on its rigid segment;
            windows without a whole gyroscope stay where they are.
        normalisation: of the windows, see :func:`datamodules.signal.normalise`.

    Raises:
        AugmentationError: a magnitude out of its range, an unknown normalisation, or something asked for that needs
            units under the normalisation "window".
    """

    rotation_deg: float = 0.0
    noise: float = 0.0
    scale: float = 0.0
    shift_s: float = 0.0
    time_warp: float = 0.0
    trim: float = 0.0
    warp_acceleration: bool = False
    rotation_about_gravity: float = 0.0
    rotation_any: float = 0.0
    accelerometer_noise: float = 0.0
    gyroscope_noise: float = 0.0
    accelerometer_bias: float = 0.0
    gyroscope_bias: float = 0.0
    drop_gyroscope: float = 0.0
    placement_jitter_cm: float = 0.0
    normalisation: str = "physical"

    def __post_init__(self) -> None:
        if self.normalisation not in NORMALISATIONS:
            raise AugmentationError(
                f"unknown normalisation '{self.normalisation}'; expected one of {', '.join(NORMALISATIONS)}"
            )
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool | str):
                continue
            most = 1.0 if field.name in _SHARES else 0.5 if field.name == "trim" else math.inf
            if not (math.isfinite(value) and 0 <= value <= most):
                expected = f"0 to {most:g}" if math.isfinite(most) else "a number of at least 0"
                raise AugmentationError(f"augment.{field.name} is {value}; expected {expected}")
        if self.normalisation == "window" and (wanted := [name for name in _IN_UNITS if getattr(self, name)]):
            raise AugmentationError(
                f"augment.{wanted[0]} is {getattr(self, wanted[0])}, but under the normalisation 'window' samples have"
                " neither units nor gravity; expected 0, or the normalisation 'physical' or 'none'"
            )

    @property
    def units(self) -> tuple[float, float]:
        """What 1 means in a window: m/s^2 for the accelerometer, rad/s for the gyroscope."""
        return (float(PHYSICAL_SCALE[0]), float(PHYSICAL_SCALE[3])) if self.normalisation == "physical" else (1.0, 1.0)

    def __call__(
        self,
        imu: Tensor,
        sample_mask: Tensor,
        channel_mask: Tensor,
        frame_times: Tensor,
        rate_hz: float,
        draws: Draws,
    ) -> View:
        """One random view of each window.

        Args:
            imu: (B, T, 6) normalised as ``normalisation`` says; zero where nothing was measured.
            sample_mask: (B, T) bool.
            channel_mask: (B, 6) bool, False for a channel that the device lacks; it is False in the view too.
            frame_times: (B, F) seconds since the window's start.
            rate_hz: samples a second.
            draws: random numbers of these windows, on their device.
        """
        has_accelerometer, has_gyroscope = channel_mask[:, :3].all(dim=1), channel_mask[:, 3:].all(dim=1)
        unit, rate_unit = self.units
        if self.time_warp or self.shift_s:
            change = change_of_time(self.time_warp, self.shift_s, draws)
            speed = change.speed[:, None, None]
            played = torch.cat([imu[..., :3], imu[..., 3:] * speed], dim=-1)
            if self.time_warp and self.warp_acceleration and self.normalisation != "window":
                gravity = estimate_gravity(imu[..., :3], imu[..., 3:] * rate_unit, sample_mask, has_gyroscope, rate_hz)
                linear = (imu[..., :3] - gravity) * has_accelerometer[:, None, None]
                played[..., :3] += (speed**2 - 1) * linear
            imu, sample_mask, frame_times = resampled(imu, played, sample_mask, frame_times, change, rate_hz)
        acceleration, rate = imu[..., :3], imu[..., 3:]
        if self.placement_jitter_cm:
            metres = draws.normal(3) * (self.placement_jitter_cm / 100)
            metres = metres * has_gyroscope[:, None]
            acceleration = (
                acceleration_elsewhere(acceleration * unit, rate * rate_unit, sample_mask, metres, rate_hz) / unit
            )
        turn = self._turn(acceleration, sample_mask, has_accelerometer, draws)
        if turn is not None:
            acceleration = acceleration @ turn.transpose(1, 2)
            rate = rate @ turn.transpose(1, 2)
        if self.scale:
            gain = 1 + self.scale * draws.normal(2, 1)
            acceleration, rate = acceleration * gain[:, :1], rate * gain[:, 1:]
        if self.accelerometer_noise or self.accelerometer_bias:
            error = sensor_errors(imu, self.accelerometer_noise, self.accelerometer_bias, rate_hz, draws)
            acceleration = acceleration + error / unit
        if self.gyroscope_noise or self.gyroscope_bias:
            error = sensor_errors(imu, self.gyroscope_noise, self.gyroscope_bias, rate_hz, draws)
            rate = rate + error / rate_unit
        imu = torch.cat([acceleration, rate], dim=-1)
        if self.noise:
            imu = imu + self.noise * draws.normal(*imu.shape[1:])
        if self.trim:
            sample_mask = trimmed(sample_mask, self.trim, draws)
        if self.drop_gyroscope:
            channel_mask = drop_gyroscope(channel_mask, self.drop_gyroscope, draws)
        valid = sample_mask[..., None] & channel_mask[:, None]
        return View(imu * valid, sample_mask, channel_mask, frame_times)

    def _turn(
        self, acceleration: Tensor, sample_mask: Tensor, has_accelerometer: Tensor, draws: Draws
    ) -> Tensor | None:
        """Rotation of each window, (B, 3, 3): about the vertical, then the small one, then any."""
        turn: Tensor | None = None
        if self.rotation_deg:
            turn = random_rotation(self.rotation_deg, draws)
        if self.rotation_about_gravity:
            axis, found = heading_axis(acceleration, sample_mask, self.units[0])
            chosen = draws.uniform() < self.rotation_about_gravity
            angle = (draws.uniform() * 2 - 1) * math.pi
            # By an angle of 0 where there is nothing to turn: the identity to the last bit.
            about = rotation_about(axis, angle * (chosen & found & has_accelerometer))
            turn = about if turn is None else turn @ about
        if self.rotation_any:
            chosen = draws.uniform() < self.rotation_any
            anyhow = torch.where(chosen[:, None, None], uniform_rotation(draws), torch.eye(3, device=draws.device))
            turn = anyhow if turn is None else anyhow @ turn
        return turn
