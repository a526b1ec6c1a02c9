"""The batch of all processes, with gradients, and averages over it.

Shape legend: n rows of this process, W processes, N = W n rows of all.

How a loss over the global batch gives one process's gradient: DDP *averages* the gradients of the W
processes. A process therefore returns ``W / N`` times the sum over its own rows, so that the average over
processes is the global mean; and ``all_gather_rows`` hands each row the gradient of *every* process's loss,
not only of its own. Averaged by DDP, each weight (a loss's temperature and bias too) then has the gradient
that one process would compute on the N rows. The value that a process returns is its own share; the mean over
processes is the loss.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Processes that train together; 1 when nothing is distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number among them."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.rows = rows.shape[0]
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # all_reduce and not reduce_scatter: gloo, which CPUs train with, has only the former everywhere.
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[rank() * ctx.rows : (rank() + 1) * ctx.rows]


def all_gather_rows(rows: Tensor) -> Tensor:
    """Rows of all processes in the order of their ranks; differentiable.

    The gradient of a row is the *sum* of the gradients that all processes have for it. Every process must
    bring the same number of rows and take part in both passes.

    Args:
        rows: (n, ...).

    Returns:
        (N, ...); ``rows`` itself with one process.
    """
    if world_size() == 1:
        return rows
    if rows.requires_grad:
        gathered: Tensor = _GatherRows.apply(rows)
        return gathered
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def global_mean(total: Tensor, count: Tensor) -> Tensor:
    """This process's share of a mean over all processes' items, when they have different numbers of them.

    Args:
        total: () sum over this process's items, differentiable.
        count: () number of this process's items.

    Returns:
        () ``W total / (count over all processes)``; its mean over processes, and the mean of its gradients,
        are those of the global mean. Zero (with a gradient of zero) where nobody has an item.
    """
    everywhere = count.detach().to(total.dtype)
    if world_size() > 1:
        everywhere = everywhere.clone()
        dist.all_reduce(everywhere)
    return world_size() * total / everywhere.clamp(min=1)
