"""The symmetric softmax loss over pairs (van den Oord et al. 2018; Radford et al. 2021), IMU2CLIP's.

Shape legend: n rows of this process, N rows of all, E width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.all_gather import all_gather_rows, rank


def softmax_loss(imu: Tensor, video: Tensor, log_scale: Tensor, negative_mask: Tensor | None = None) -> Tensor:
    """Mean of the cross-entropies of picking each window's video by its IMU, and its IMU by its video.

    Several processes: this one's rows of either kind against all processes' rows of the other; values and
    gradients average to those of the global batch (see ``all_gather``). Computed in float32 at least.

    Args:
        imu: (n, E), brought to unit length here; row i belongs with ``video``'s row i.
        video: (n, E).
        log_scale: () logarithm of one over the temperature.
        negative_mask: (n, N) bool, True for pairs that are left out, in both directions (row: this process's
            window, column: any); pairs that belong together never are.

    Returns:
        ().

    Raises:
        ValueError: shapes don't match.
    """
    if imu.shape != video.shape or imu.ndim != 2:
        raise ValueError(f"imu and video must both be (n, E), found {tuple(imu.shape)}, {tuple(video.shape)}")
    n = len(imu)
    dtype = torch.promote_types(imu.dtype, torch.float32)
    with torch.autocast(imu.device.type, enabled=False):
        imu, video = F.normalize(imu.to(dtype), dim=1), F.normalize(video.to(dtype), dim=1)
        scale = log_scale.to(dtype).exp()
        by_imu = scale * (imu @ all_gather_rows(video).T)
        by_video = scale * (video @ all_gather_rows(imu).T)
        own = torch.arange(n, device=imu.device)
        target = own + rank() * n
        if negative_mask is not None:
            if negative_mask.shape != by_imu.shape:
                raise ValueError(f"negative_mask must be {tuple(by_imu.shape)}, found {tuple(negative_mask.shape)}")
            left_out = negative_mask.clone()
            left_out[own, target] = False
            by_imu, by_video = (
                by_imu.masked_fill(left_out, -torch.inf),
                by_video.masked_fill(left_out, -torch.inf),
            )
        return (F.cross_entropy(by_imu, target) + F.cross_entropy(by_video, target)) / 2


class SoftmaxLoss(nn.Module):
    """``softmax_loss`` with a learnt temperature.

    Args:
        temperature: where it starts, 0.1 in IMU2CLIP.
        min_temperature: it is held above this, as in CLIP: below it, gradients explode.
    """

    def __init__(self, temperature: float = 0.1, min_temperature: float = 0.01) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.max_log_scale = -math.log(min_temperature)

    def forward(self, imu: Tensor, video: Tensor, negative_mask: Tensor | None = None) -> Tensor:
        """See ``softmax_loss``."""
        return softmax_loss(imu, video, self.log_scale.clamp(max=self.max_log_scale), negative_mask)
