"""Alignment inside a window: the IMU at a frame's time should look like that frame, not like a later one.

Shape legend: B windows, L IMU tokens, F frames, D width.

The IMU's tokens are interpolated to the frames' times; the F x F similarities are held against a target that
is wide in time as a frame is unsure of its moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.all_gather import global_mean


def interpolate_tokens(tokens: Tensor, token_times: Tensor, token_mask: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens at other times: linear between the two neighbours, or the valid one of them.

    A time is valid if the token nearest to it is valid and, beyond the first or last token, at most half a
    step away.

    Args:
        tokens: (B, L, D).
        token_times: (L,) seconds, ascending.
        token_mask: (B, L) bool.
        times: (B, F) seconds, anything (even NaN) where the caller masks it.

    Returns:
        (B, F, D), zero where not valid, and (B, F) bool; differentiable in ``tokens``.
    """
    B, L, D = tokens.shape
    token_times = token_times.to(times.dtype)
    times = torch.nan_to_num(times)
    if L == 1:
        return tokens.expand(B, times.shape[1], D) * token_mask.unsqueeze(2), token_mask.expand_as(times)
    right = torch.searchsorted(token_times, times.contiguous()).clamp(1, L - 1)
    left = right - 1
    step = token_times[right] - token_times[left]
    place = (times - token_times[left]) / step  # 0 at the left neighbour, 1 at the right one
    share = place.clamp(0, 1)
    left_valid, right_valid = token_mask.gather(1, left), token_mask.gather(1, right)
    valid = torch.where(share <= 0.5, left_valid, right_valid) & ((place - share).abs() <= 0.5)
    weight_left = (1 - share) * left_valid
    weight_right = share * right_valid
    total = torch.where(valid, weight_left + weight_right, 1)
    weight_left = torch.where(valid, weight_left / total, 0).to(tokens.dtype)
    weight_right = torch.where(valid, weight_right / total, 0).to(tokens.dtype)

    def at(index: Tensor) -> Tensor:
        return tokens.gather(1, index.unsqueeze(2).expand(-1, -1, D))

    return weight_left.unsqueeze(2) * at(left) + weight_right.unsqueeze(2) * at(right), valid


def alignment_target(times: Tensor, valid: Tensor, width_s: float, shape: str = "gaussian") -> Tensor:
    """What the similarities of one window should look like, row by row.

    Args:
        times: (B, F) seconds.
        valid: (B, F) bool.
        width_s: the Gaussian's standard deviation, or the band's half width; towards 0 it becomes the
            identity.
        shape: ``gaussian`` or ``band``.

    Returns:
        (B, F, F): each valid row sums to 1 over the valid columns; all else is zero.

    Raises:
        ValueError: an unknown shape or a negative width.
    """
    if width_s < 0:
        raise ValueError(f"width_s must not be negative, found {width_s}")
    times = torch.where(valid, times, 0)
    distance = (times.unsqueeze(2) - times.unsqueeze(1)).abs()
    if shape == "gaussian":
        weight = torch.exp(-0.5 * (distance / max(width_s, 1e-6)).square())
    elif shape == "band":
        weight = (distance <= width_s).to(times.dtype)
    else:
        raise ValueError(f"the target's shape must be 'gaussian' or 'band', found '{shape}'")
    weight = weight * (valid.unsqueeze(2) & valid.unsqueeze(1))
    return weight / weight.sum(2, keepdim=True).clamp(min=1)  # a valid row has its own 1, so only 0 is clamped


@dataclass
class TemporalAlignmentParams:
    """Settings of the loss.

    Attributes:
        width_s: how far in time a frame may look like its neighbours, seconds.
        shape: ``gaussian`` or ``band``.
        temperature: where the learnt temperature starts.
        min_temperature: it is held above this.
    """

    width_s: float = 0.25
    shape: str = "gaussian"
    temperature: float = 0.1
    min_temperature: float = 0.01


class TemporalAlignmentLoss(nn.Module):
    """Symmetric cross-entropy between similarities inside each window and ``alignment_target``.

    Averaged over the valid frames of all windows, of all processes (see ``all_gather.global_mean``). A window
    with fewer than two frames that are valid in both modalities says nothing about time and contributes
    nothing.
    """

    def __init__(self, params: TemporalAlignmentParams | None = None) -> None:
        super().__init__()
        self.params = params or TemporalAlignmentParams()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(self.params.temperature)))
        self.max_log_scale = -math.log(self.params.min_temperature)

    def forward(
        self,
        imu_tokens: Tensor,
        token_times: Tensor,
        token_mask: Tensor,
        frame_tokens: Tensor,
        frame_times: Tensor,
        frame_mask: Tensor,
    ) -> Tensor:
        """The loss, a scalar.

        Args:
            imu_tokens: (B, L, D), projected to the frames' width.
            token_times: (L,) seconds.
            token_mask: (B, L) bool.
            frame_tokens: (B, F, D).
            frame_times: (B, F) seconds since the window's start, as the tokens' are.
            frame_mask: (B, F) bool.

        Raises:
            ValueError: the widths differ.
        """
        if imu_tokens.shape[-1] != frame_tokens.shape[-1]:
            raise ValueError(
                f"IMU tokens are {imu_tokens.shape[-1]} wide, frame tokens {frame_tokens.shape[-1]}: "
                "project them to one width"
            )
        dtype = torch.promote_types(imu_tokens.dtype, torch.float32)
        with torch.autocast(imu_tokens.device.type, enabled=False):
            frame_times = torch.where(frame_mask, frame_times, 0).to(dtype)
            imu, heard = interpolate_tokens(imu_tokens.to(dtype), token_times, token_mask, frame_times)
            valid = heard & frame_mask
            valid = valid & (valid.sum(1, keepdim=True) >= 2)
            scale = self.log_scale.to(dtype).clamp(max=self.max_log_scale).exp()
            unit = F.normalize(imu, dim=2), F.normalize(frame_tokens.to(dtype), dim=2)
            similarity = scale * (unit[0] @ unit[1].transpose(1, 2))
            # The target is the same for both directions: distance in time has none.
            target = alignment_target(frame_times, valid, self.params.width_s, self.params.shape)
            total = (
                _cross_entropy(similarity, target, valid) + _cross_entropy(similarity.transpose(1, 2), target, valid)
            ) / 2
            return global_mean(total, valid.sum())


def _cross_entropy(similarity: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Sum over valid rows; a finite fill keeps the gradient of invalid rows and columns at exactly zero."""
    lowest = torch.finfo(similarity.dtype).min / 2
    log_share = similarity.masked_fill(~valid.unsqueeze(1), lowest).log_softmax(2)
    return -torch.where(target > 0, target * log_share, 0).sum()
