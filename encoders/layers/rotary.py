"""Rotary positions in seconds (Su et al. 2021, RoFormer).

Attention depends on the distance of two tokens in time, for any sampling rate, stride and gaps.

Shape legend: B batch, H heads, L tokens, E head width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Rotary(nn.Module):
    """Conversion of times to rotations.

    Args:
        head_width: E, even.
        shortest_period_s: period of the fastest rotation, seconds; usually about six tokens long.
        longest_period_s: period of the slowest rotation, seconds; several windows long, so that both ends of a window
            differ.
    """

    inverse_periods: Tensor

    def __init__(self, head_width: int, shortest_period_s: float, longest_period_s: float) -> None:
        super().__init__()
        if head_width % 2:
            raise ValueError(f"rotary positions need an even head width, found {head_width}")
        if not 0 < shortest_period_s < longest_period_s:
            raise ValueError(
                "rotary periods must satisfy 0 < shortest_period_s < longest_period_s, "
                f"found {shortest_period_s} and {longest_period_s}"
            )
        exponents = torch.linspace(0, 1, head_width // 2)
        periods = shortest_period_s * (longest_period_s / shortest_period_s) ** exponents
        self.register_buffer("inverse_periods", 1 / periods, persistent=False)

    def forward(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """Compute cosine and sine for tokens at ``times``.

        Args:
            times: (B, L) or (L,) seconds.

        Returns:
            Two tensors (B or 1, 1, L, E / 2).
        """
        if times.ndim == 1:
            times = times[None]
        # Subtract whole turns in the times' own precision, so that float64 times far from zero stay exact.
        turns = times[:, None, :, None] * self.inverse_periods.to(times.dtype)
        angles = 2 * math.pi * (turns - turns.floor())
        return angles.cos(), angles.sin()


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate queries or keys (..., B, H, L, E) by the cosine and sine from ``Rotary``."""
    cos, sin = rotation
    # Whole heads at once: half as many kernels as one half of a head after the other.
    own, other = torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)
    return torch.addcmul(x * own, x.roll(x.shape[-1] // 2, -1), other).to(x.dtype)
