"""The order of a window's frames, told from other orders by what the IMU measured at the frames' times.

Shape legend: B windows, L IMU tokens, F frames, D width, K orders that are compared, the true one first.

Of a clip it is known for free in which order its frames came. The IMU's tokens are interpolated to the frames' times,
and paired with the frames in each of K orders; the true order has to have the highest mean similarity. Unlike a target
for each pair of moments (``temporal_alignment``) this doesn't ask two moments that look alike to be told apart, only
that the whole course fits. Order as a signal for video alone is in Misra et al. 2016, "Shuffle and Learn"; between
modalities in Korbar et al. 2018, "Cooperative Learning of Audio and Video Models from Self-Supervised Synchronization".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.all_gather import global_mean
from lightning_modules.losses.token_interpolation import similarity_at

MIN_FRAMES = 4  # of fewer, an order says little: three have six


def draw_priorities(frames: int, orders: int, generator: torch.Generator) -> Tensor:
    """Random orders for all windows at once, whatever frames each of them has.

    Args:
        frames: F.
        orders: K, at least 2.
        generator: whose device the result is on.

    Returns:
        (K, F): sorted by row k, the frames that a window has come in its k-th order. Row 0 is the true order, row 1
        the reverse; each other row gives every order of those frames with the same probability.

    Raises:
        ValueError: fewer than two orders.
    """
    if orders < 2:
        raise ValueError(f"orders must be at least 2, the true one and another; found {orders}")
    true = torch.arange(frames, device=generator.device, dtype=torch.float32)
    drawn = torch.rand(orders - 2, frames, generator=generator, device=generator.device)
    return torch.cat([true[None], -true[None], drawn])


def reorder(valid: Tensor, priorities: Tensor) -> Tensor:
    """Which frame takes the place of each frame, in each order.

    Args:
        valid: (B, F) bool.
        priorities: (K, F), see ``draw_priorities``.

    Returns:
        (B, K, F) int64: over a window's valid frames, each row is a permutation of them; elsewhere it says nothing.
    """
    windows, frames = valid.shape
    wide = priorities.expand(windows, -1, -1)
    by_priority = wide.masked_fill(~valid.unsqueeze(1), torch.inf).argsort(2)
    place = (valid.cumsum(1) - 1).clamp(min=0)  # among the valid ones
    return by_priority.gather(2, place.unsqueeze(1).expand(-1, len(priorities), frames))


class FrameOrderLoss(nn.Module):
    """Cross-entropy of picking the true order among K, with a learnt temperature.

    Averaged over the windows of all processes (see ``all_gather.global_mean``) with at least ``MIN_FRAMES`` frames that
    meet a token; the others contribute nothing.

    Args:
        temperature: where the learnt one starts.
        min_temperature: it is held above this.
    """

    def __init__(self, temperature: float = 0.1, min_temperature: float = 0.01) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.max_log_scale = -math.log(min_temperature)

    def forward(
        self,
        imu_tokens: Tensor,
        token_times: Tensor,
        token_mask: Tensor,
        frame_tokens: Tensor,
        frame_times: Tensor,
        frame_mask: Tensor,
        priorities: Tensor,
    ) -> Tensor:
        """The loss, a scalar.

        Args:
            imu_tokens: (B, L, D), projected to the frames' width.
            token_times: (L,) seconds.
            token_mask: (B, L) bool.
            frame_tokens: (B, F, D).
            frame_times: (B, F) seconds since the window's start, as the tokens' are.
            frame_mask: (B, F) bool.
            priorities: (K, F), the same on all processes; see ``draw_priorities``.
        """
        dtype = torch.promote_types(imu_tokens.dtype, torch.float32)
        with torch.autocast(imu_tokens.device.type, enabled=False):
            times = torch.where(frame_mask, frame_times, 0).to(dtype)
            unit = F.normalize(frame_tokens.to(dtype), dim=2)
            cosine, heard = similarity_at(imu_tokens.to(dtype), token_times, token_mask, unit, times)
            valid = heard & frame_mask
            count = valid.sum(1)
            other = reorder(valid, priorities)
            own = torch.arange(valid.shape[1], device=valid.device)
            same = ((other == own) | ~valid.unsqueeze(1)).all(2)
            same[:, 0] = False  # the true order itself; another that came out equal to it is not a wrong answer
            # Of what is not valid the similarity is zero already.
            total = (cosine.gather(2, other.transpose(1, 2)) * valid.unsqueeze(2)).sum(1)
            scale = self.log_scale.to(dtype).clamp(max=self.max_log_scale).exp()
            score = scale * total / count.clamp(min=1).unsqueeze(1)
            chance = score.masked_fill(same, torch.finfo(dtype).min / 2).log_softmax(1)
            counted = count >= MIN_FRAMES
            return global_mean(-torch.where(counted, chance[:, 0], 0).sum(), counted.sum())
