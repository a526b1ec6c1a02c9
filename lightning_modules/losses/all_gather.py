"""Gathering of the global batch from all processes, with gradients, and means over it.

Shape legend: n rows of this process, W processes, N = W n rows of all.

DDP *averages* the gradients of the W processes. Therefore a process returns ``W / N`` times the sum over its own rows;
the average over processes is then the mean over the global batch. ``all_gather_rows`` gives each row the gradient of
*every* process's loss, not only of its own process's. After DDP's average, each weight (including a loss's temperature
and bias) has the gradient that one process would compute on the N rows. The value that a process returns is its share;
the mean over processes is the loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_alone = False


@contextmanager
def alone() -> Iterator[None]:
    """Compute losses of this process's rows only, without a word to the others: for what is logged, not learnt."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def world_size() -> int:
    """Return the number of processes that train together; 1 without distributed training."""
    if _alone:
        return 1
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    if _alone:
        return 0
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
        # all_reduce instead of reduce_scatter: gloo, the backend for CPUs, does not have the latter everywhere.
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[rank() * ctx.rows : (rank() + 1) * ctx.rows]


def all_gather_rows(rows: Tensor) -> Tensor:
    """Gather the rows of all processes in the order of their ranks; differentiable.

    The gradient of a row is the *sum* of its gradients in all processes. Every process must pass the same number of
    rows and take part in both the forward and the backward pass.

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
    """Compute this process's share of the mean over all items, for processes with different numbers of items.

    Args:
        total: () sum over this process's items, differentiable.
        count: () number of this process's items.

    Returns:
        () ``W total / (count over all processes)``. Its mean over processes is the global mean, and so are its
        gradients. Zero, with a gradient of zero, if no process has an item.
    """
    everywhere = count.detach().to(total.dtype)
    if world_size() > 1:
        everywhere = everywhere.clone()
        dist.all_reduce(everywhere)
    return world_size() * total / everywhere.clamp(min=1)
