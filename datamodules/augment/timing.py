"""Motion earlier or later, slower or faster, or shorter; the frames' times go with it.

Shape legend: B batch, T samples, F frames, C channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.augment.draws import Draws


class TimeChange(NamedTuple):
    """Each window shows, at time t, what it held at c + (t - c) speed + shift; c is its centre.

    Attributes:
        speed: (B,).
        shift_s: (B,) seconds.
    """

    speed: Tensor
    shift_s: Tensor


def change_of_time(time_warp: float, shift_s: float, draws: Draws) -> TimeChange:
    """Speeds log-uniform within exp(+-time_warp), and shifts uniform within +-shift_s seconds."""
    uniform = draws.uniform(2) * 2 - 1
    return TimeChange(torch.exp(uniform[:, 0] * time_warp), uniform[:, 1] * shift_s)


def resampled(
    imu: Tensor, played: Tensor, sample_mask: Tensor, frame_times: Tensor, change: TimeChange, rate_hz: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Windows, masks and frame times after a change of time, values by linear interpolation.

    Args:
        imu: (B, T, C) what a window of which nothing would be left to see keeps, with its mask and times.
        played: (B, T, C) the values of the motion at its new speed, at the times of the old one.
        sample_mask: (B, T) bool.
        frame_times: (B, F) seconds since the window's start.
        change: of each window.
        rate_hz: samples a second.
    """
    _, T, channels = played.shape
    speed, shift_s = change
    centre_s = T / rate_hz / 2
    times = torch.arange(T, device=played.device) / rate_hz  # sample i lies at i / rate_hz
    seen = centre_s + (times - centre_s)[None] * speed[:, None] + shift_s[:, None]
    positions = seen * rate_hz
    inside = (positions >= -0.5) & (positions <= T - 0.5)
    low = positions.floor().clamp(0, T - 1).long()
    high = (low + 1).clamp(max=T - 1)
    share = (positions - low).clamp(0, 1)
    # A sample between a valid and an invalid one has nothing to be interpolated from.
    mask = inside & sample_mask.gather(1, low) & (sample_mask.gather(1, high) | (share == 0))
    low_values = played.gather(1, low[..., None].expand(-1, -1, channels))
    high_values = played.gather(1, high[..., None].expand(-1, -1, channels))
    warped = torch.lerp(low_values, high_values, share[..., None])
    new_times = centre_s + (frame_times - centre_s - shift_s[:, None]) / speed[:, None]
    some = mask.any(dim=1, keepdim=True)
    return (
        torch.where(some[..., None], warped, imu),
        torch.where(some, mask, sample_mask),
        torch.where(some, new_times, frame_times),
    )


def trimmed(sample_mask: Tensor, trim: float, draws: Draws) -> Tensor:
    """Masks (B, T) whose valid samples lose up to the share ``trim`` at each end, each end in half of the windows."""
    valid = sample_mask.sum(dim=1, keepdim=True)
    position = sample_mask.cumsum(dim=1)
    first, last = (draws.uniform(2) * trim * (draws.uniform(2) < 0.5)).chunk(2, dim=1)
    return sample_mask & (position > first * valid) & (position <= (1 - last) * valid + 1)
