"""Interpolation of IMU tokens at other times.

Shape legend: B windows, L IMU tokens, M moments, F frames, D width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Bracket(NamedTuple):
    """The two tokens around each time, (B, M) each: their indices, their weights, and a mask of valid times.

    The weights sum to 1, and are zero where not valid.
    """

    left: Tensor
    right: Tensor
    weight_left: Tensor
    weight_right: Tensor
    valid: Tensor


def bracket(token_times: Tensor, token_mask: Tensor, times: Tensor) -> Bracket:
    """Find the two tokens around each time; see ``interpolate_tokens``.

    Args:
        token_times: (L,) seconds, ascending, L >= 2.
        token_mask: (B, L) bool.
        times: (B, M) seconds.
    """
    L = len(token_times)
    token_times = token_times.to(times.dtype).contiguous()
    times = torch.nan_to_num(times)
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
    return Bracket(
        left,
        right,
        torch.where(valid, weight_left / total, 0),
        torch.where(valid, weight_right / total, 0),
        valid,
    )


def interpolate_tokens(tokens: Tensor, token_times: Tensor, token_mask: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Interpolate tokens linearly between the two neighbours in time, or take the only valid neighbour.

    A time is valid if the nearest token is valid. Beyond the first or last token, it must also be at most half a step
    away.

    Args:
        tokens: (B, L, D).
        token_times: (L,) seconds, ascending.
        token_mask: (B, L) bool.
        times: (B, F) seconds; arbitrary, even NaN, where the caller masks it.

    Returns:
        (B, F, D), zero where not valid, and (B, F) bool; differentiable in ``tokens``.
    """
    _, L, D = tokens.shape
    if L == 1:
        return tokens.expand(-1, times.shape[1], D) * token_mask.unsqueeze(2), token_mask.expand_as(times)
    near = bracket(token_times, token_mask, times)

    def part(index: Tensor, weight: Tensor) -> Tensor:
        return weight.to(tokens.dtype).unsqueeze(2) * tokens.gather(1, index.unsqueeze(2).expand(-1, -1, D))

    return part(near.left, near.weight_left) + part(near.right, near.weight_right), near.valid


def similarity_at(
    tokens: Tensor, token_times: Tensor, token_mask: Tensor, frames: Tensor, times: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute the cosine similarity of ``interpolate_tokens`` at many times with unit vectors.

    This interpolates dot products instead of tokens, so memory grows with M F, not with M D.

    Args:
        tokens: (B, L, D).
        token_times: (L,) seconds, ascending.
        token_mask: (B, L) bool.
        frames: (B, F, D) unit vectors.
        times: (B, M) seconds.

    Returns:
        (B, M, F), zero where not valid, and (B, M) bool.
    """
    L = tokens.shape[1]
    tokens = tokens * token_mask.unsqueeze(2)
    if L == 1:
        similarity = F.normalize(tokens, dim=2) @ frames.transpose(1, 2)
        return similarity.expand(-1, times.shape[1], -1), token_mask.expand_as(times)
    near = bracket(token_times, token_mask, times)
    # Scale the tokens to a length of about 1, so that products neither overflow nor vanish.
    size = tokens.detach().square().sum(2).amax(1).sqrt().clamp(min=torch.finfo(tokens.dtype).tiny)[:, None, None]
    tokens = tokens / size
    weight_left, weight_right = near.weight_left.to(tokens.dtype), near.weight_right.to(tokens.dtype)
    with_frames = tokens @ frames.transpose(1, 2)
    wide = (-1, -1, frames.shape[1])
    dot = weight_left.unsqueeze(2) * with_frames.gather(1, near.left.unsqueeze(2).expand(wide))
    dot = dot + weight_right.unsqueeze(2) * with_frames.gather(1, near.right.unsqueeze(2).expand(wide))
    squares = tokens.square().sum(2)
    neighbour_dots = (tokens[:, :-1] * tokens[:, 1:]).sum(2)
    square = (
        weight_left.square() * squares.gather(1, near.left)
        + weight_right.square() * squares.gather(1, near.right)
        + 2 * weight_left * weight_right * neighbour_dots.gather(1, near.left)
    )
    # Opposite neighbours cancel; bound the length, since only rounding errors are left.
    length = square.clamp(min=torch.finfo(tokens.dtype).eps ** 2).sqrt()
    return dot / length.unsqueeze(2), near.valid
