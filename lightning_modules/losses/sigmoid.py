"""The sigmoid loss over pairs (Zhai et al. 2023, SigLIP), the paper's loss.

The loss is a sum over pairs, so no process needs the videos of all processes at once. The videos move around a ring,
and each process compares its own windows with one process's videos at a time, as in SigLIP. The gradients are computed
on the way. So the memory, for n x n pairs, does not depend on the number of processes.

Shape legend: n rows of this process, W processes, N = W n rows of all, E width.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from lightning_modules.losses.all_gather import rank, world_size
from lightning_modules.losses.negatives import check_pairs
from lightning_modules.losses.ring import RingExchange


def sigmoid_loss(
    imu: Tensor,
    video: Tensor,
    log_temperature: Tensor,
    bias: Tensor,
    negative_mask: Tensor | None = None,
) -> Tensor:
    """Compute ``-(1/n) sum_ij log sigmoid(z_ij (exp(t') i_i . v_j + b))``, with z = +1 for true pairs, else -1.

    With several processes, the sum is over this process's n IMU rows and the videos of all processes. The mean of the
    values over processes is the loss of the global batch; DDP's mean of the gradients is its gradient (see
    ``all_gather``). The precision is at least float32.

    Args:
        imu: (n, E), normalised here; row i and row i of ``video`` are a true pair.
        video: (n, E), normalised here.
        log_temperature: () t'.
        bias: () b.
        negative_mask: (n, N) bool, True for pairs to leave out; true pairs are never left out.

    Returns:
        (), differentiable once.

    Raises:
        ValueError: shapes don't match.
    """
    check_pairs(imu, video, negative_mask)
    dtype = torch.promote_types(imu.dtype, torch.float32)
    with torch.autocast(imu.device.type, enabled=False):
        rows, columns = F.normalize(imu.to(dtype), dim=1), F.normalize(video.to(dtype), dim=1)
        loss: Tensor = _RingSigmoid.apply(rows, columns, log_temperature.to(dtype), bias.to(dtype), negative_mask)
        return loss


class _RingSigmoid(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, columns: Tensor, log_temperature: Tensor, bias: Tensor, negative_mask: Tensor | None
    ) -> Tensor:
        n, processes, me = len(rows), world_size(), rank()
        scale = log_temperature.exp()
        loss, to_temperature, to_bias = (rows.new_zeros(()) for _ in range(3))
        to_rows, to_visitors, visitors = torch.zeros_like(rows), torch.zeros_like(columns), columns
        for hop in range(processes):
            owner = (me - hop) % processes
            last = hop == processes - 1
            next_visitors = None if last else RingExchange(visitors)
            products = rows @ visitors.T
            sign = -torch.ones_like(products)
            if owner == me:
                sign.fill_diagonal_(1)
            signed = sign * (scale * products + bias)
            likelihood = F.logsigmoid(signed)
            slope = -sign * torch.sigmoid(-signed)  # derivative of the loss by the logits
            if negative_mask is not None:
                left_out = negative_mask[:, owner * n : (owner + 1) * n] & (sign < 0)
                likelihood, slope = likelihood.masked_fill(left_out, 0), slope.masked_fill(left_out, 0)
            loss -= likelihood.sum()
            to_rows.addmm_(slope, visitors)
            to_visitors = to_visitors + slope.T @ rows
            to_temperature += (slope * products).sum()
            to_bias += slope.sum()
            if processes > 1:  # the videos' gradients move with the videos; the last exchange returns them to the owner
                to_visitors = RingExchange(to_visitors).wait()
            if next_visitors is not None:
                visitors = next_visitors.wait()
        ctx.save_for_backward(scale * to_rows / n, scale * to_visitors / n, scale * to_temperature / n, to_bias / n)
        return loss / n

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (*(gradient * each for each in ctx.saved_tensors), None)


class SigmoidLoss(nn.Module):
    """``sigmoid_loss`` with learnt temperature and bias.

    Args:
        log_temperature: initial value of t', ln 10 in the paper.
        bias: initial value of b, -10 in the paper: most pairs are negatives, and this value balances the loss.
    """

    def __init__(self, log_temperature: float = math.log(10), bias: float = -10.0) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.tensor(log_temperature))
        self.bias = nn.Parameter(torch.tensor(bias))

    @property
    def log_scale(self) -> Tensor:
        """Logarithm of the inverse temperature, (); t' in the paper."""
        return self.log_temperature

    def forward(self, imu: Tensor, video: Tensor, negative_mask: Tensor | None = None) -> Tensor:
        """Compute ``sigmoid_loss``."""
        return sigmoid_loss(imu, video, self.log_temperature, self.bias, negative_mask)
