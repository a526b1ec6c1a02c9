"""Frame-order loss: the IMU at the frames' times must identify the true order of a window's frames.

Shape legend: B windows, L IMU tokens, F frames, D width, K compared orders, the true one first.

The true order of a clip's frames is known without labels. The IMU's tokens are interpolated to the frames' times and
paired with the frames in each of K orders. The true order must have the highest mean similarity. A target for each
pair of moments (``temporal_alignment``) must separate two moments that look alike; this loss needs only a fit of the
whole sequence. Misra et al. 2016, "Shuffle and Learn", use order as a signal for video alone. Korbar et al. 2018,
"Cooperative Learning of Audio and Video Models from Self-Supervised Synchronization", use it between modalities.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.all_gather import global_mean
from lightning_modules.losses.token_interpolation import similarity_at

MIN_FRAMES = 4  # fewer frames have too few orders: three frames have six


def draw_priorities(frames: int, orders: int, generator: torch.Generator) -> Tensor:
    """Draw random orders for all windows, for any set of valid frames.

    Args:
        frames: F.
        orders: K, at least 2.
        generator: random generator; the result is on its device.

    Returns:
        (K, F) priorities. Sorting a window's frames by row k gives its k-th order. Row 0 is the true order, row 1
        the reverse; every other row gives each order of these frames with equal probability.

    Raises:
        ValueError: there are fewer than two orders.
    """
    if orders < 2:
        raise ValueError(f"orders must be at least 2, the true one and another; found {orders}")
    true = torch.arange(frames, device=generator.device, dtype=torch.float32)
    drawn = torch.rand(orders - 2, frames, generator=generator, device=generator.device)
    return torch.cat([true[None], -true[None], drawn])


def reorder(valid: Tensor, priorities: Tensor) -> Tensor:
    """Find the frame at each frame's place, in each order.

    Args:
        valid: (B, F) bool.
        priorities: (K, F), see ``draw_priorities``.

    Returns:
        (B, K, F) int64: each row is a permutation of the window's valid frames; entries of other frames are arbitrary.
    """
    windows, frames = valid.shape
    wide = priorities.expand(windows, -1, -1)
    by_priority = wide.masked_fill(~valid.unsqueeze(1), torch.inf).argsort(2)
    place = (valid.cumsum(1) - 1).clamp(min=0)  # number of each frame among the valid ones
    return by_priority.gather(2, place.unsqueeze(1).expand(-1, len(priorities), frames))


class FrameOrderLoss(nn.Module):
    """Cross-entropy of choosing the true order among K, with a learnt temperature.

    The mean is over the windows of all processes (see ``all_gather.global_mean``) with at least ``MIN_FRAMES`` frames
    at valid tokens; other windows contribute nothing.

    Args:
        temperature: initial value of the learnt temperature.
        min_temperature: lower bound of the learnt temperature.
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
        """Compute the loss, a scalar.

        Args:
            imu_tokens: (B, L, D), projected to the frames' width.
            token_times: (L,) seconds since the window's start.
            token_mask: (B, L) bool.
            frame_tokens: (B, F, D).
            frame_times: (B, F) seconds since the window's start.
            frame_mask: (B, F) bool.
            priorities: (K, F), equal on all processes; see ``draw_priorities``.
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
            equals_true = ((other == own) | ~valid.unsqueeze(1)).all(2)
            equals_true[:, 0] = False  # mask other orders that equal the true one, but not the true one itself
            # The similarity of invalid frames is zero already.
            total = (cosine.gather(2, other.transpose(1, 2)) * valid.unsqueeze(2)).sum(1)
            scale = self.log_scale.to(dtype).clamp(max=self.max_log_scale).exp()
            score = scale * total / count.clamp(min=1).unsqueeze(1)
            log_probability = score.masked_fill(equals_true, torch.finfo(dtype).min / 2).log_softmax(1)
            counted = count >= MIN_FRAMES
            return global_mean(-torch.where(counted, log_probability[:, 0], 0).sum(), counted.sum())
