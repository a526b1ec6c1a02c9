"""The part of the acceleration that is gravity.

Over some seconds a body's own acceleration averages out, since its velocity at both ends is about the same. Once the
turning of the sensor is undone, gravity is left. The gyroscope tells how the sensor turned. Without a gyroscope, slow
changes are taken for gravity, so the tilting of a limb counts as motion.

On simulated motion (six placements, 5 s, played 14 to 16 % slower and faster) the linear acceleration scaled by r^2
about these estimates misses the truth by 0.20 m/s^2 with a gyroscope, as much as about the true gravity, and by 0.54
without; unscaled it misses it by 1.03.

Shape legend: B batch, T samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from datamodules.augment.rotation import conjugate, orientations, turned
from datamodules.recording import STANDARD_GRAVITY

_CUT_OFF_HZ = 0.25  # -3 dB of the low-pass; the best of 0.15, 0.25, 0.5 and 1 Hz on simulated motion
_LEAST_G = 0.2  # a mean below this has no direction to be trusted: free fall, or a sensor that tumbled


def estimate_gravity(
    acceleration: Tensor, rate: Tensor, sample_mask: Tensor, has_gyroscope: Tensor, rate_hz: float
) -> Tensor:
    """Gravity in the sensor's frame at each sample.

    Args:
        acceleration: (B, T, 3), gravity included, any unit.
        rate: (B, T, 3) rad/s.
        sample_mask: (B, T) bool.
        has_gyroscope: (B,) bool. A window without one, and one with a gap over which nobody knows how the sensor
            turned, gets its low-passed acceleration.
        rate_hz: samples a second.

    Returns:
        (B, T, 3) in the unit of ``acceleration``.
    """
    first = sample_mask[:, :1].sum(dim=1)
    runs = first + (sample_mask[:, 1:] & ~sample_mask[:, :-1]).sum(dim=1)
    whole = has_gyroscope & (runs <= 1)
    return torch.where(
        whole[:, None, None],
        _turned_back(acceleration, rate, sample_mask, rate_hz),
        _low_passed(acceleration, sample_mask, rate_hz),
    )


def heading_axis(acceleration: Tensor, sample_mask: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    """The vertical in the sensor's frame, on average over the window.

    Args:
        acceleration: (B, T, 3).
        sample_mask: (B, T) bool.
        unit: m/s^2 in one unit of ``acceleration``.

    Returns:
        Unit vectors (B, 3), and (B,) which can be relied on.
    """
    mean = _mean(acceleration, sample_mask)
    return F.normalize(mean, dim=1), mean.norm(dim=1) * unit > _LEAST_G * STANDARD_GRAVITY


def _mean(values: Tensor, sample_mask: Tensor) -> Tensor:
    count = sample_mask.sum(dim=1, keepdim=True).clamp(min=1)
    return (values * sample_mask[..., None]).sum(dim=1) / count


def _turned_back(acceleration: Tensor, rate: Tensor, sample_mask: Tensor, rate_hz: float) -> Tensor:
    orientation = orientations(rate * sample_mask[..., None], rate_hz)
    mean = _mean(turned(orientation, acceleration), sample_mask)
    return turned(conjugate(orientation), mean[:, None].expand_as(acceleration))


def _low_passed(acceleration: Tensor, sample_mask: Tensor, rate_hz: float) -> Tensor:
    """By a Gaussian over the valid samples only."""
    deviation_s = math.sqrt(math.log(2)) / (2 * math.pi * _CUT_OFF_HZ)
    times = torch.arange(acceleration.shape[1], device=acceleration.device, dtype=acceleration.dtype) / rate_hz
    kernel = torch.exp(-0.5 * ((times[:, None] - times[None]) / deviation_s) ** 2)  # (T, T)
    weight = sample_mask[..., None].to(acceleration.dtype)
    weighted = torch.cat([acceleration * weight, weight], dim=-1).transpose(0, 1)  # (T, B, 4)
    smooth = (kernel @ weighted.flatten(1)).view(weighted.shape).transpose(0, 1)  # one product for the whole batch
    return smooth[..., :3] / smooth[..., 3:].clamp(min=1e-6)
