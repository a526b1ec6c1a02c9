"""Mean squared errors of painted patches, with few passes over memory.

``F.mse_loss`` and a mean over pixels write all squares, and in the backward pass all shares of the mean. On a processor
these passes take longer than the decoder's last product.

Shape legend: N frames, P patches, Q values of a patch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def patch_errors(painted: Tensor, target: Tensor) -> Tensor:
    """Compute the mean squared error of each patch, in the higher of both precisions, and in 32 bits at least.

    Args:
        painted: (N, P, Q), of any precision.
        target: (N, P, Q), which gets no gradient.

    Returns:
        (N, P).
    """
    return _PatchErrors.apply(painted, target)  # type: ignore[no-any-return]


class _PatchErrors(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, painted: Tensor, target: Tensor) -> Tensor:
        dtype = torch.promote_types(torch.promote_types(painted.dtype, target.dtype), torch.float32)
        difference = painted.to(dtype, copy=True).sub_(target)
        ctx.save_for_backward(difference)
        ctx.dtype = painted.dtype
        norm: Tensor = torch.linalg.vector_norm(difference, dim=2)
        return norm.square_().div_(difference.shape[2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (difference,) = ctx.saved_tensors
        share = grad.mul(2 / difference.shape[2]).unsqueeze(2)
        return (difference * share).to(ctx.dtype), None
