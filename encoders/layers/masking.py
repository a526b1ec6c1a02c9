"""Means, maxima and normalisation over valid positions only.

Shape legend: B batch, L positions, C channels, T time steps, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def zero_invalid(x: Tensor, mask: Tensor) -> Tensor:
    """Set what a network computed at invalid positions to zero.

    A product, as ``torch.where`` takes a processor three times as long, there and back. Input that may be NaN where it
    is invalid takes ``torch.where`` all the same.

    Args:
        x: finite.
        mask: bool, broadcast to the shape of ``x``; False where invalid.
    """
    return x * mask.to(x.dtype)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Compute the mean over the valid positions.

    Args:
        x: (B, L, D), finite.
        mask: (B, L) bool.

    Returns:
        (B, D); zero for a row without a valid position.
    """
    count = mask.sum(1, keepdim=True).clamp(min=1)
    return zero_invalid(x, mask.unsqueeze(-1)).sum(1) / count.to(x.dtype)


def masked_max(x: Tensor, mask: Tensor) -> Tensor:
    """Compute the maximum over the valid positions; shapes as in ``masked_mean``, zero for a row without one."""
    lowest = torch.zeros(mask.shape, dtype=x.dtype, device=x.device).masked_fill(~mask, -torch.inf)
    return torch.where(mask.any(1, keepdim=True), (x + lowest.unsqueeze(-1)).amax(1), 0)


def mean_and_max(x: Tensor, mask: Tensor) -> Tensor:
    """Concatenate ``masked_mean`` and ``masked_max``, (B, 2 D)."""
    return torch.cat([masked_mean(x, mask), masked_max(x, mask)], dim=-1)


def attention_mask(mask: Tensor) -> Tensor:
    """Convert a mask of valid positions to an attention mask.

    A row without a valid position allows attention to all its positions, since softmax over none is NaN. The output of
    such a row is masked later.

    Args:
        mask: (B, L) bool.

    Returns:
        (B, 1, 1, L) bool for ``scaled_dot_product_attention``.
    """
    return (mask | ~mask.any(1, keepdim=True))[:, None, None, :]


class MaskedGroupNorm(nn.Module):
    """Group normalisation with statistics over valid values only (Wu and He 2018, with a mask).

    So padding a window changes nothing; ``nn.GroupNorm`` would count the padding's zeros.
    """

    def __init__(self, groups: int, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        if channels % groups:
            raise ValueError(f"{channels} channels can't be split into {groups} groups")
        self.groups = groups
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Normalise ``x`` (B, C, T) with the statistics of values where ``mask``, (B, T) or (B, C, T), is True."""
        B, C, T = x.shape
        grouped = x.float().reshape(B, self.groups, C // self.groups, T)
        every = mask if mask.ndim == 3 else mask.unsqueeze(1).expand(B, C, T)
        valid = every.reshape(grouped.shape).to(grouped.dtype)
        count = valid.sum((2, 3), keepdim=True).clamp(min=1)
        mean = (grouped * valid).sum((2, 3), keepdim=True) / count
        variance = ((grouped - mean).square() * valid).sum((2, 3), keepdim=True) / count
        normal = ((grouped - mean) * torch.rsqrt(variance + self.eps)).reshape(B, C, T)
        return (normal * self.weight[:, None] + self.bias[:, None]).to(x.dtype)


class StepLayerNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each time step of (B, C, T); time steps are independent."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalise ``x`` (B, C, T); ``mask`` is unused, and gives all norms one signature."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)
