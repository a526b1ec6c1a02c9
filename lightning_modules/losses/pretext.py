"""Changes of a window that a pretext task lets the encoder recognise: reversed, permuted, or warped in time.

After Saeed et al. 2019 and Yuan et al. 2024: each change is made with probability one half, independently of the
others, and a head of its own tells whether it was made. All draws are given, so that a window is changed alike on any
number of processes.

Masks move with the values.

Shape legend: B windows, T samples, C channels, S segments, K knots, H changes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.losses.all_gather import global_mean


class Span:
    """The stretch of each window from its first measured sample to its last.

    Changes stay inside it: where padding lies would tell what was done to a window.

    Args:
        sample_mask: (B, T) bool.

    Attributes:
        own: (T,) float, the place of each sample.
        offset: (B, T) int64, places since the stretch begins.
        length: (B, 1) int64, samples of the stretch; 0 where nothing was measured.
    """

    def __init__(self, sample_mask: Tensor) -> None:
        samples = sample_mask.shape[1]
        at = torch.arange(samples, device=sample_mask.device)
        start = torch.where(sample_mask, at, samples).amin(1, keepdim=True)
        end = torch.where(sample_mask, at, -1).amax(1, keepdim=True)
        self.own = at.float()
        self.offset = at - start
        self.length = (end - start + 1).clamp(min=0)

    def put(self, offsets: Tensor) -> Tensor:
        """Return the places (B, T) of offsets from the stretch's start, and of samples outside it their own."""
        inside = (self.offset >= 0) & (self.offset < self.length)
        return torch.where(inside, self.own - self.offset + offsets, self.own)


def reversal(span: Span) -> Tensor:
    """Return the place that each sample of a reversed window shows, (B, T) float."""
    return span.put(span.length - 1 - span.offset)


def permutation(span: Span, draws: Tensor) -> Tensor:
    """Return the place that each sample of a window shows whose segments have changed places, (B, T) float.

    The segments are equally long; samples that are left over at the end stay, and so does a stretch with fewer samples
    than segments. Where the drawn order is the true one, the first two segments change places.

    Args:
        span: the measured stretches.
        draws: (B, S) uniform, at least two; their order is the order of the segments.
    """
    segments = draws.shape[1]
    order = draws.argsort(1)
    own = torch.arange(segments, device=draws.device)
    order = torch.where((order == own).all(1, keepdim=True), _first_two_swapped(own), order)
    length = (span.length // segments).clamp(min=1)
    segment = (span.offset // length).clamp(0, segments - 1)
    moved = (order.gather(1, segment) - segment) * length + span.offset
    stays = (span.offset >= segments * length) | (span.length < segments)
    return span.put(torch.where(stays, span.offset, moved))


def _first_two_swapped(own: Tensor) -> Tensor:
    return torch.cat([own[:2].flip(0), own[2:]])


def warp(span: Span, draws: Tensor, strength: float) -> Tensor:
    """Return the place that each sample of a window shows whose speed changes, (B, T) float.

    Between equally distant knots the logarithm of the speed is interpolated linearly. The fastest speed is up to
    (1 + strength)^2 times the slowest. First and last sample of the stretch stay where they are.

    Args:
        span: the measured stretches.
        draws: (B, K) uniform, at least two knots.
        strength: above 0.
    """
    knots = (2 * draws.float() - 1) * math.log1p(strength)
    last = (span.length - 1).clamp(min=1)
    at = ((span.offset + 0.5) / last).clamp(0, 1) * (draws.shape[1] - 1)  # the middle of each step, in knots
    low = at.floor().long().clamp(max=draws.shape[1] - 2)
    share = at - low
    speed = (knots.gather(1, low) * (1 - share) + knots.gather(1, low + 1) * share).exp()
    steps = torch.where((span.offset >= 0) & (span.offset < span.length - 1), speed, 0)
    travelled = F.pad(steps.cumsum(1), (1, 0))[:, :-1]
    return span.put(travelled * (last / steps.sum(1, keepdim=True).clamp(min=1e-6)))


def shown(imu: Tensor, sample_mask: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Read windows at other places, interpolating linearly between samples.

    A place between two samples is measured if both are.

    Args:
        imu: (B, T, C).
        sample_mask: (B, T) bool.
        places: (B, T) within 0 ... T - 1.

    Returns:
        (B, T, C), zero where not measured, and the mask (B, T).
    """
    B, T, C = imu.shape
    low = places.floor().clamp(0, T - 1)
    share = (places - low).unsqueeze(2).to(imu)
    first = low.long()
    second = torch.where(share[..., 0] > 0, first + 1, first).clamp(max=T - 1)
    measured = sample_mask.gather(1, first) & sample_mask.gather(1, second)
    before, after = (imu.gather(1, at.unsqueeze(2).expand(B, T, C)) for at in (first, second))
    values = before * (1 - share) + after * share
    return values * measured.unsqueeze(2), measured


def change_loss(logits: Tensor, changed: Tensor) -> Tensor:
    """Compute the mean binary cross-entropy over all windows and changes of all processes.

    Args:
        logits: (B, H).
        changed: (B, H) bool.

    Returns:
        () float32 at least.

    Raises:
        ValueError: shapes don't match.
    """
    if logits.shape != changed.shape:
        raise ValueError(f"logits and changes must have one shape, found {tuple(logits.shape)}, {tuple(changed.shape)}")
    dtype = torch.promote_types(logits.dtype, torch.float32)
    with torch.autocast(logits.device.type, enabled=False):
        losses = F.binary_cross_entropy_with_logits(logits.to(dtype), changed.to(dtype), reduction="none")
        return global_mean(losses.sum(), torch.ones_like(losses).sum())
