"""Softmax over pairs whose targets are how alike the windows are within their own modalities.

This is the loss of the code released with the paper (Cheshmi et al. 2025), for its IMU2CLIP baseline and for its
softmax ablation; it is the one known from small CLIP tutorials. IMU2CLIP's own code (Moon et al. 2023) has plain
InfoNCE instead: see ``softmax``.

What that code does, and this one with it:

- Targets are ``softmax((V V' + I I') / 2 * T)``: *times* the temperature. At T = 0.1 the largest target weighs
  exp(0.1) = 1.1 times what an unrelated pair does, so the targets are all but uniform and pairs are hardly told
  apart. ``sharp=True`` divides by T, as the logits do, which is what the form needs to work.
- Each row of the targets sums to 1; the other direction takes their transpose, whose rows need not.
- The gradient flows through the targets too.

Shape legend: n rows of this process, N rows of all, E width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.all_gather import all_gather_rows, rank


def soft_target_loss(
    imu: Tensor, video: Tensor, log_scale: Tensor, negative_mask: Tensor | None = None, sharp: bool = False
) -> Tensor:
    """Cross-entropy of the similarities between modalities against those within, both ways.

    Several processes: this one's rows against all processes' rows; the column-wise softmaxes are made by the
    processes that own the columns. Values and gradients average to those of the global batch (see
    ``all_gather``). Computed in float32 at least.

    Args:
        imu: (n, E), brought to unit length here; row i belongs with ``video``'s row i.
        video: (n, E).
        log_scale: () logarithm of one over the temperature T.
        negative_mask: (n, N) bool, True for pairs that are left out of logits and targets; pairs that belong
            together never are. Over the global batch it must be symmetric, as ``neighbour_mask`` is.
        sharp: divide the targets' similarities by T, rather than multiply.

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
        all_imu, all_video = all_gather_rows(imu), all_gather_rows(video)
        scale = log_scale.to(dtype).exp()
        by_video = scale * (video @ all_imu.T)  # row: this process's video, column: any IMU
        by_imu = scale * (imu @ all_video.T)
        within = (video @ all_video.T + imu @ all_imu.T) / 2
        within = within * scale if sharp else within / scale
        left_out = torch.zeros_like(by_video, dtype=torch.bool)
        if negative_mask is not None:
            if negative_mask.shape != by_video.shape:
                raise ValueError(f"negative_mask must be {tuple(by_video.shape)}, found {tuple(negative_mask.shape)}")
            own = torch.arange(n, device=imu.device)
            left_out = negative_mask.clone()
            left_out[own, own + rank() * n] = False
        target = within.masked_fill(left_out, -torch.inf).softmax(1)
        rows = by_video - by_video.masked_fill(left_out, -torch.inf).logsumexp(1, keepdim=True)
        # Column j of by_video is row j of by_imu, which is on the process that owns IMU j.
        columns = by_video - all_gather_rows(by_imu.masked_fill(left_out, -torch.inf).logsumexp(1))
        return -(target * (rows + columns)).sum() / (2 * n)


class SoftTargetLoss(nn.Module):
    """``soft_target_loss`` with a learnt temperature.

    Args:
        temperature: where it starts, 0.1 in the paper's IMU2CLIP. (Its softmax ablation starts at ln 10 = 2.3,
            which that code takes from the sigmoid loss.)
        min_temperature: it is held above this, as in CLIP. The source has no bound.
        sharp: see ``soft_target_loss``; the source is not.
    """

    def __init__(self, temperature: float = 0.1, min_temperature: float = 0.01, sharp: bool = False) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.max_log_scale = -math.log(min_temperature)
        self.sharp = sharp

    def forward(self, imu: Tensor, video: Tensor, negative_mask: Tensor | None = None) -> Tensor:
        """See ``soft_target_loss``."""
        return soft_target_loss(imu, video, self.log_scale.clamp(max=self.max_log_scale), negative_mask, self.sharp)
