"""Softmax loss over pairs with soft targets: the similarities of windows within each modality.

The code released with the paper (Cheshmi et al. 2025) uses this loss for its IMU2CLIP baseline and for its softmax
ablation; small CLIP tutorials use it too. IMU2CLIP's own code (Moon et al. 2023) has plain InfoNCE instead: see
``softmax``.

This module follows the released code:

- Targets are ``softmax((V V' + I I') / 2 * T)``: *times* the temperature. At T = 0.1 the largest target is only
  exp(0.1) = 1.1 times that of an unrelated pair. So the targets are nearly uniform and hardly separate pairs.
  ``sharp=True`` divides by T, like the logits, which the loss needs to work.
- Each row of the targets sums to 1; the other direction uses their transpose, whose rows need not sum to 1.
- The gradient flows through the targets too.

Shape legend: n rows of this process, N rows of all, E width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.all_gather import all_gather_rows
from lightning_modules.losses.negatives import check_pairs, keep_true_pairs


def soft_target_loss(
    imu: Tensor, video: Tensor, log_scale: Tensor, negative_mask: Tensor | None = None, sharp: bool = False
) -> Tensor:
    """Compute the cross-entropy of similarities between modalities against those within, in both directions.

    With several processes, this process's rows are compared with the rows of all processes; each column's softmax is
    computed by the process that owns the column. The averages of values and gradients are those of the global batch
    (see ``all_gather``). The precision is at least float32.

    Args:
        imu: (n, E), normalised here; row i and row i of ``video`` are a true pair.
        video: (n, E), normalised here.
        log_scale: () logarithm of one over the temperature T.
        negative_mask: (n, N) bool, True for pairs to leave out of logits and targets; true pairs are never left out.
            Over the global batch it must be symmetric, like ``neighbour_mask``.
        sharp: True divides the targets' similarities by T, False multiplies them.

    Returns:
        ().

    Raises:
        ValueError: shapes don't match.
    """
    check_pairs(imu, video, negative_mask)
    dtype = torch.promote_types(imu.dtype, torch.float32)
    with torch.autocast(imu.device.type, enabled=False):
        imu, video = F.normalize(imu.to(dtype), dim=1), F.normalize(video.to(dtype), dim=1)
        all_imu, all_video = all_gather_rows(imu), all_gather_rows(video)
        scale = log_scale.to(dtype).exp()
        by_video = scale * (video @ all_imu.T)  # rows: videos of this process, columns: IMU windows of all
        by_imu = scale * (imu @ all_video.T)
        within = (video @ all_video.T + imu @ all_imu.T) / 2
        within = within * scale if sharp else within / scale
        left_out = torch.zeros_like(by_video, dtype=torch.bool)
        if negative_mask is not None:
            left_out = keep_true_pairs(negative_mask)
        target = within.masked_fill(left_out, -torch.inf).softmax(1)
        rows = by_video - by_video.masked_fill(left_out, -torch.inf).logsumexp(1, keepdim=True)
        # Column j of the global by_video is row j of by_imu on the process that owns IMU window j.
        columns = by_video - all_gather_rows(by_imu.masked_fill(left_out, -torch.inf).logsumexp(1))
        return -(target * (rows + columns)).sum() / (2 * len(imu))


class SoftTargetLoss(nn.Module):
    """``soft_target_loss`` with a learnt temperature.

    Args:
        temperature: initial value, 0.1 in the paper's IMU2CLIP. (The paper's softmax ablation starts at ln 10 = 2.3,
            a value that its code takes from the sigmoid loss.)
        min_temperature: lower bound, as in CLIP; the released code has none.
        sharp: see ``soft_target_loss``; False in the released code.
    """

    def __init__(self, temperature: float = 0.1, min_temperature: float = 0.01, sharp: bool = False) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.max_log_scale = -math.log(min_temperature)
        self.sharp = sharp

    def forward(self, imu: Tensor, video: Tensor, negative_mask: Tensor | None = None) -> Tensor:
        """Compute ``soft_target_loss``."""
        return soft_target_loss(imu, video, self.log_scale.clamp(max=self.max_log_scale), negative_mask, self.sharp)
