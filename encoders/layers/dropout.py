"""Dropout whose random numbers are cheap on a processor.

``F.dropout`` draws one number after another there, and takes longer than the layer before it. Here a draw of 64 bits
decides on four values: the rate is rounded to a multiple of 2^-16 (0.1 becomes 0.100006), and values that stay are
scaled by the rounded rate, so means stay exact. On other devices it is ``F.dropout``, and in a training that began
with it, see :func:`draw_as_torch`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_STEPS = 1 << 16


def dropout(x: Tensor, rate: float, as_torch: bool = False) -> Tensor:
    """Zero values of ``x``, of any shape, with the probability ``rate``, and scale the others; for training only."""
    if as_torch or x.device.type != "cpu":
        return F.dropout(x, rate)
    dropped = round(rate * _STEPS)
    if dropped in (0, _STEPS):
        return x if dropped == 0 else x * 0
    # Not a draw in place, which torch.func.vmap refuses.
    draws = torch.randint(-(1 << 63), (1 << 63) - 1, ((x.numel() + 3) // 4,))
    bits = draws.view(torch.int16)[: x.numel()].view(x.shape)
    least = dropped - _STEPS // 2
    # 1 or 0 by whole numbers: comparing, and turning bool into numbers, takes torch ten times as long on a processor.
    kept = bits.clamp(least - 1, least) - (least - 1)
    scale = _STEPS / (_STEPS - dropped)
    if x.dtype in (torch.bfloat16, torch.float16):
        pattern = int(torch.tensor(scale, dtype=x.dtype).view(torch.int16))
        return x * (kept * pattern).view(x.dtype)
    return x * kept.to(x.dtype).mul_(scale)


class Dropout(nn.Dropout):
    """``nn.Dropout`` by :func:`dropout`.

    Attributes:
        as_torch: whether to draw as ``F.dropout`` does.
    """

    as_torch = False

    def forward(self, x: Tensor) -> Tensor:
        """Drop values in training."""
        return dropout(x, self.p, self.as_torch) if self.training and self.p else x


def draw_as_torch(model: nn.Module) -> None:
    """Let all dropout of a model draw as ``F.dropout`` does: an earlier training then goes on to the same weights."""
    for module in model.modules():
        if hasattr(module, "as_torch"):
            module.as_torch = True  # type: ignore[assignment]
