"""The symmetric softmax loss over pairs (van den Oord et al. 2018; Radford et al. 2021), used by IMU2CLIP.

Shape legend: n rows of this process, N rows of all, E width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.all_gather import all_gather_rows
from lightning_modules.losses.negatives import check_pairs, keep_true_pairs, own_columns


def softmax_loss(imu: Tensor, video: Tensor, log_scale: Tensor, negative_mask: Tensor | None = None) -> Tensor:
    """Compute the mean cross-entropy of finding each window's video by its IMU, and its IMU by its video.

    With several processes, this process's rows of each modality are compared with the other modality's rows of all
    processes. The averages of values and gradients are those of the global batch (see ``all_gather``). The precision
    is at least float32.

    Args:
        imu: (n, E), normalised here; row i and row i of ``video`` are a true pair.
        video: (n, E), normalised here.
        log_scale: () logarithm of one over the temperature.
        negative_mask: (n, N) bool, True for pairs to leave out in both directions (rows: windows of this process,
            columns: windows of all); true pairs are never left out.

    Returns:
        ().

    Raises:
        ValueError: shapes don't match.
    """
    check_pairs(imu, video, negative_mask)
    dtype = torch.promote_types(imu.dtype, torch.float32)
    with torch.autocast(imu.device.type, enabled=False):
        imu, video = F.normalize(imu.to(dtype), dim=1), F.normalize(video.to(dtype), dim=1)
        scale = log_scale.to(dtype).exp()
        by_imu = scale * (imu @ all_gather_rows(video).T)
        by_video = scale * (video @ all_gather_rows(imu).T)
        target = own_columns(len(imu), imu.device)
        if negative_mask is not None:
            left_out = keep_true_pairs(negative_mask)
            by_imu, by_video = (
                by_imu.masked_fill(left_out, -torch.inf),
                by_video.masked_fill(left_out, -torch.inf),
            )
        return (F.cross_entropy(by_imu, target) + F.cross_entropy(by_video, target)) / 2


class SoftmaxLoss(nn.Module):
    """``softmax_loss`` with a learnt temperature.

    Args:
        temperature: initial value, 0.1 in IMU2CLIP.
        min_temperature: lower bound, as in CLIP: below it, gradients explode.
    """

    def __init__(self, temperature: float = 0.1, min_temperature: float = 0.01) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.max_log_scale = -math.log(min_temperature)

    def forward(self, imu: Tensor, video: Tensor, negative_mask: Tensor | None = None) -> Tensor:
        """Compute ``softmax_loss``."""
        return softmax_loss(imu, video, self.log_scale.clamp(max=self.max_log_scale), negative_mask)
