"""The sigmoid loss over pairs (Zhai et al. 2023, SigLIP), which the paper trains with.

Shape legend: n rows of this process, N rows of all, E width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.losses.all_gather import all_gather_rows, rank


def sigmoid_loss(
    imu: Tensor,
    video: Tensor,
    log_temperature: Tensor,
    bias: Tensor,
    negative_mask: Tensor | None = None,
) -> Tensor:
    """``-(1/n) sum_ij log sigmoid(z_ij (exp(t') i_i . v_j + b))`` with z = +1 where i and j belong together.

    Several processes: this one's IMU rows against all processes' videos, over this one's n. The mean of the
    values over processes is the loss of the global batch, and so is DDP's mean of the gradients (see
    ``all_gather``). Computed in float32 at least.

    Args:
        imu: (n, E), brought to unit length here; row i belongs with ``video``'s row i.
        video: (n, E).
        log_temperature: () t'.
        bias: () b.
        negative_mask: (n, N) bool, True for pairs that are left out; pairs that belong together never are.

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
        rows = F.normalize(imu.to(dtype), dim=1)
        columns = all_gather_rows(F.normalize(video.to(dtype), dim=1))
        logits = log_temperature.to(dtype).exp() * (rows @ columns.T) + bias.to(dtype)
        together = torch.zeros_like(logits, dtype=torch.bool)
        own = torch.arange(n, device=imu.device)
        together[own, own + rank() * n] = True
        log_likelihood = F.logsigmoid(torch.where(together, logits, -logits))
        if negative_mask is not None:
            if negative_mask.shape != logits.shape:
                raise ValueError(f"negative_mask must be {tuple(logits.shape)}, found {tuple(negative_mask.shape)}")
            log_likelihood = log_likelihood.masked_fill(negative_mask & ~together, 0)
        return -log_likelihood.sum() / n


class SigmoidLoss(nn.Module):
    """``sigmoid_loss`` with learnt temperature and bias.

    Args:
        log_temperature: where t' starts, ln 10 in the paper.
        bias: where b starts, -10 in the paper: most pairs are negatives, and that is where the loss is even.
    """

    def __init__(self, log_temperature: float = math.log(10), bias: float = -10.0) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(log_temperature))
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, imu: Tensor, video: Tensor, negative_mask: Tensor | None = None) -> Tensor:
        """See ``sigmoid_loss``."""
        return sigmoid_loss(imu, video, self.log_temperature, self.bias, negative_mask)
