"""Attention over valid tokens.

Shape legend: B batch, H heads, L tokens, E head width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from encoders.layers.dropout import dropout


def attend(q: Tensor, k: Tensor, v: Tensor, keys: Tensor, rate: float, as_torch: bool = False) -> Tensor:
    """Compute scaled dot-product attention.

    Args:
        q: (B, H, L, E).
        k: (B, H, L, E).
        v: (B, H, L, E).
        keys: bool, broadcast to (B, H, L, L); True where attention is allowed, at least once in each row.
        rate: dropout of the weights; 0 drops none.
        as_torch: whether dropout draws as torch's own does.

    Returns:
        (B, H, L, E).
    """
    if rate == 0 or as_torch or q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=keys, dropout_p=rate)
    # torch has no fused kernel with dropout for a processor; its unfused one draws slowly.
    allowed = torch.zeros(keys.shape, dtype=q.dtype).masked_fill(~keys, -torch.inf)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2) + allowed
    return dropout(scores.softmax(-1).to(v.dtype), rate) @ v
