"""The same segment of the body, measured some centimetres elsewhere.

Shape legend: B batch, T samples.
"""

from __future__ import annotations

import torch
from torch import Tensor


def acceleration_elsewhere(
    acceleration: Tensor, rate: Tensor, sample_mask: Tensor, displacement: Tensor, rate_hz: float
) -> Tensor:
    """What an accelerometer at another point of the same rigid segment measures; a gyroscope there measures the same.

    a' = a + alpha x r + omega x (omega x r), in the sensor's frame: the tangential acceleration, from the angular
    rate's change, and the centripetal one.

    Args:
        acceleration: (B, T, 3) m/s^2.
        rate: (B, T, 3) rad/s, zero where nothing was measured.
        sample_mask: (B, T) bool.
        displacement: (B, 3) metres, in the sensor's frame.
        rate_hz: samples a second.

    Returns:
        (B, T, 3) m/s^2; where the displacement is zero, the same values.
    """
    r = displacement[:, None].expand_as(rate)
    alpha = derivative(rate, sample_mask, rate_hz)
    centripetal: Tensor = torch.linalg.cross(rate, torch.linalg.cross(rate, r))
    tangential: Tensor = torch.linalg.cross(alpha, r)
    return acceleration + tangential + centripetal


def derivative(values: Tensor, sample_mask: Tensor, rate_hz: float) -> Tensor:
    """Central differences (B, T, 3) per second; one-sided beside invalid samples, zero between two of them."""
    usable = (sample_mask[:, 1:] & sample_mask[:, :-1])[..., None]
    steps = torch.diff(values, dim=1) * rate_hz * usable
    nothing = torch.zeros_like(steps[:, :1])
    before, after = torch.cat([nothing, steps], dim=1), torch.cat([steps, nothing], dim=1)
    none = torch.zeros_like(usable[:, :1])
    sides = torch.cat([none, usable], dim=1).to(values.dtype) + torch.cat([usable, none], dim=1)
    return (before + after) / sides.clamp(min=1)
