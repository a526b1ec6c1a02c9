"""Augmentations of IMU windows, on whole batches and on whatever device holds them.

Acceleration and angular rate are turned by the same rotation, gravity included, as a sensor that sits askew
would measure them. A time warp by r plays the motion r times as fast: the angular rate is multiplied by r, and
so are the shifts of time that the frames see. (The dynamic part of the acceleration would grow with r^2; it
can't be told from gravity in one window, so it is left to the random gain, which covers it for r within 15 %.)

Shape legend: B batch, T samples, F frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


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
    """

    rotation_deg: float = 0.0
    noise: float = 0.0
    scale: float = 0.0
    shift_s: float = 0.0
    time_warp: float = 0.0
    trim: float = 0.0

    def __call__(
        self,
        imu: Tensor,
        sample_mask: Tensor,
        frame_times: Tensor,
        rate_hz: float,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One random view of each window.

        Args:
            imu: (B, T, 6) normalised by fixed scales; zero where nothing was measured.
            sample_mask: (B, T) bool.
            frame_times: (B, F) seconds since the window's start.
            rate_hz: samples a second.
            generator: of random numbers, on ``imu``'s device.

        Returns:
            The new windows and masks, and the frames' times on the new windows' time line: a frame that showed
            what the IMU measured at sample t shows what it measures at its new time.
        """
        imu, sample_mask, frame_times, speed = self._warp(imu, sample_mask, frame_times, rate_hz, generator)
        acceleration, rate = imu[..., :3], imu[..., 3:] * speed[:, None, None]
        if self.rotation_deg:
            turn = random_rotation(len(imu), self.rotation_deg, generator).to(imu.dtype)
            acceleration = acceleration @ turn.transpose(1, 2)
            rate = rate @ turn.transpose(1, 2)
        if self.scale:
            gain = 1 + self.scale * torch.randn(2, len(imu), 1, 1, generator=generator, device=imu.device)
            acceleration, rate = acceleration * gain[0], rate * gain[1]
        imu = torch.cat([acceleration, rate], dim=-1)
        if self.noise:
            imu = imu + self.noise * torch.randn(imu.shape, generator=generator, device=imu.device)
        if self.trim:
            sample_mask = self._trim(sample_mask, generator)
        return imu * sample_mask[..., None], sample_mask, frame_times

    def _warp(
        self,
        imu: Tensor,
        sample_mask: Tensor,
        frame_times: Tensor,
        rate_hz: float,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Resample linearly at u(t) = c + (t - c) r + s; the window's centre c stays up to the shift s."""
        B, T, _ = imu.shape
        device = imu.device
        if not (self.time_warp or self.shift_s):
            return imu, sample_mask, frame_times, torch.ones(B, device=device)
        uniform = torch.rand(2, B, generator=generator, device=device) * 2 - 1
        speed = torch.exp(uniform[0] * self.time_warp)
        shift_s = uniform[1] * self.shift_s
        centre_s = T / rate_hz / 2
        times = torch.arange(T, device=device) / rate_hz  # sample i lies at i / rate_hz
        seen = centre_s + (times - centre_s)[None] * speed[:, None] + shift_s[:, None]
        positions = seen * rate_hz
        inside = (positions >= -0.5) & (positions <= T - 0.5)
        low = positions.floor().clamp(0, T - 1).long()
        high = (low + 1).clamp(max=T - 1)
        share = (positions - low).clamp(0, 1)
        # A sample between a valid and an invalid one has nothing to be interpolated from.
        mask = inside & sample_mask.gather(1, low) & (sample_mask.gather(1, high) | (share == 0))
        channels = imu.shape[-1]
        low_values = imu.gather(1, low[..., None].expand(-1, -1, channels))
        high_values = imu.gather(1, high[..., None].expand(-1, -1, channels))
        warped = torch.lerp(low_values, high_values, share[..., None])
        frame_times = centre_s + (frame_times - centre_s - shift_s[:, None]) / speed[:, None]
        # A window must keep something to see.
        kept = mask.any(dim=1, keepdim=True)
        return (
            torch.where(kept[..., None], warped, imu),
            torch.where(kept, mask, sample_mask),
            frame_times,
            speed,
        )

    def _trim(self, sample_mask: Tensor, generator: torch.Generator) -> Tensor:
        B = len(sample_mask)
        device = sample_mask.device
        valid = sample_mask.sum(dim=1, keepdim=True)
        position = sample_mask.cumsum(dim=1)
        amount = torch.rand(2, B, 1, generator=generator, device=device) * self.trim
        amount = amount * (torch.rand(2, B, 1, generator=generator, device=device) < 0.5)
        return sample_mask & (position > amount[0] * valid) & (position <= (1 - amount[1]) * valid + 1)


def random_rotation(n: int, deviation_deg: float, generator: torch.Generator) -> Tensor:
    """Rotation matrices about uniform axes by normally distributed angles, (n, 3, 3), by Rodrigues' formula."""
    device = generator.device
    axis = F.normalize(torch.randn(n, 3, generator=generator, device=device), dim=1)
    angle = torch.randn(n, generator=generator, device=device) * math.radians(deviation_deg)
    x, y, z = axis.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(n, 3, 3)
    identity = torch.eye(3, device=device)
    return identity + angle.sin()[:, None, None] * cross + (1 - angle.cos())[:, None, None] * (cross @ cross)
