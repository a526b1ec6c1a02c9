"""Random views of IMU windows: all augmentations in their fixed order."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from core.errors import MendableError
from core.settings import check_settings
from datamodules.augment.device import drop_gyroscope, sensor_errors
from datamodules.augment.draws import Draws
from datamodules.augment.gravity import estimate_gravity, heading_axis
from datamodules.augment.placement import acceleration_elsewhere
from datamodules.augment.rotation import random_rotation, rotation_about, uniform_rotation
from datamodules.augment.settings import AugmentSettings
from datamodules.augment.timing import change_of_time, resampled, trimmed
from datamodules.signal import NORMALISATIONS, PHYSICAL_SCALE

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
    """An augmentation that the normalisation of the windows does not allow; the message names it."""


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


class ImuAugmentation:
    """Random views of IMU windows.

    Args:
        settings: magnitudes; the defaults are those of pretraining.
        normalisation: of the windows, see :func:`datamodules.signal.normalise`.

    Raises:
        SettingError: a magnitude out of its range.
        AugmentationError: an unknown normalisation, or a magnitude that needs units under the normalisation "window".
    """

    def __init__(self, settings: AugmentSettings | None = None, normalisation: str = "physical") -> None:
        self.settings = settings or AugmentSettings()
        self.normalisation = normalisation
        check_settings(self.settings, "augment")
        if normalisation not in NORMALISATIONS:
            raise AugmentationError(
                f"unknown normalisation '{normalisation}'; expected one of {', '.join(NORMALISATIONS)}"
            )
        if normalisation == "window" and (wanted := [name for name in _IN_UNITS if getattr(self.settings, name)]):
            raise AugmentationError(
                f"augment.{wanted[0]} is {getattr(self.settings, wanted[0])}, but under the normalisation 'window'"
                " samples have neither units nor gravity; expected 0, or the normalisation 'physical' or 'none'"
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
        s = self.settings
        has_accelerometer, has_gyroscope = channel_mask[:, :3].all(dim=1), channel_mask[:, 3:].all(dim=1)
        unit, rate_unit = self.units
        if s.time_warp or s.shift_s:
            change = change_of_time(s.time_warp, s.shift_s, draws)
            speed = change.speed[:, None, None]
            played = torch.cat([imu[..., :3], imu[..., 3:] * speed], dim=-1)
            if s.time_warp and s.warp_acceleration and self.normalisation != "window":
                gravity = estimate_gravity(imu[..., :3], imu[..., 3:] * rate_unit, sample_mask, has_gyroscope, rate_hz)
                linear = (imu[..., :3] - gravity) * has_accelerometer[:, None, None]
                played[..., :3] += (speed**2 - 1) * linear
            imu, sample_mask, frame_times = resampled(imu, played, sample_mask, frame_times, change, rate_hz)
        acceleration, rate = imu[..., :3], imu[..., 3:]
        if s.placement_jitter_cm:
            metres = draws.normal(3) * (s.placement_jitter_cm / 100)
            metres = metres * has_gyroscope[:, None]
            acceleration = (
                acceleration_elsewhere(acceleration * unit, rate * rate_unit, sample_mask, metres, rate_hz) / unit
            )
        turn = self._turn(acceleration, sample_mask, has_accelerometer, draws)
        if turn is not None:
            acceleration = acceleration @ turn.transpose(1, 2)
            rate = rate @ turn.transpose(1, 2)
        if s.scale:
            gain = 1 + s.scale * draws.normal(2, 1)
            acceleration, rate = acceleration * gain[:, :1], rate * gain[:, 1:]
        if s.accelerometer_noise or s.accelerometer_bias:
            error = sensor_errors(imu, s.accelerometer_noise, s.accelerometer_bias, rate_hz, draws)
            acceleration = acceleration + error / unit
        if s.gyroscope_noise or s.gyroscope_bias:
            error = sensor_errors(imu, s.gyroscope_noise, s.gyroscope_bias, rate_hz, draws)
            rate = rate + error / rate_unit
        imu = torch.cat([acceleration, rate], dim=-1)
        if s.noise:
            imu = imu + s.noise * draws.normal(*imu.shape[1:])
        if s.trim:
            sample_mask = trimmed(sample_mask, s.trim, draws)
        if s.drop_gyroscope:
            channel_mask = drop_gyroscope(channel_mask, s.drop_gyroscope, draws)
        valid = sample_mask[..., None] & channel_mask[:, None]
        return View(imu * valid, sample_mask, channel_mask, frame_times)

    def _turn(
        self, acceleration: Tensor, sample_mask: Tensor, has_accelerometer: Tensor, draws: Draws
    ) -> Tensor | None:
        """Rotation of each window, (B, 3, 3): about the vertical, then the small one, then any."""
        s = self.settings
        turn: Tensor | None = None
        if s.rotation_deg:
            turn = random_rotation(s.rotation_deg, draws)
        if s.rotation_about_gravity:
            axis, found = heading_axis(acceleration, sample_mask, self.units[0])
            chosen = draws.uniform() < s.rotation_about_gravity
            angle = (draws.uniform() * 2 - 1) * math.pi
            # By an angle of 0 where there is nothing to turn: the identity to the last bit.
            about = rotation_about(axis, angle * (chosen & found & has_accelerometer))
            turn = about if turn is None else turn @ about
        if s.rotation_any:
            chosen = draws.uniform() < s.rotation_any
            anyhow = torch.where(chosen[:, None, None], uniform_rotation(draws), torch.eye(3, device=draws.device))
            turn = anyhow if turn is None else anyhow @ turn
        return turn
