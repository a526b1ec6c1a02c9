"""Pre-norm transformer over tokens with times and a mask.

Shape legend: B batch, L tokens, D width, H heads.
"""

from __future__ import annotations

from torch import Tensor, nn

from encoders.layers.attention import attend
from encoders.layers.dropout import Dropout
from encoders.layers.masking import attention_mask, zero_invalid
from encoders.layers.rotary import Rotary, rotate


class RotaryAttention(nn.Module):
    """Multi-head self-attention with rotary positions."""

    as_torch = False  # see encoders.layers.dropout.draw_as_torch

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], keys: Tensor) -> Tensor:
        """Apply attention to ``x`` (B, L, D), with ``rotation`` from ``Rotary`` and ``keys`` (B, 1, 1, L) bool."""
        B, L, D = x.shape
        # One copy into the order of the products, instead of one for each kernel on the way there.
        qkv = self.qkv(x).reshape(B, L, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4).contiguous()
        both, v = qkv.split((2, 1))
        q, k = rotate(both, rotation)
        mixed = attend(q, k, v[0], keys, self.dropout if self.training else 0.0, self.as_torch)
        return self.output(mixed.transpose(1, 2).reshape(B, L, D))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and a feed-forward network, each with a layer norm before it and a residual connection."""

    def __init__(self, width: int, heads: int, ffn_ratio: float, dropout: float) -> None:
        super().__init__()
        hidden = round(width * ffn_ratio)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = RotaryAttention(width, heads, dropout)
        self.ffn_norm = nn.LayerNorm(width)
        self.ffn = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, width))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], keys: Tensor) -> Tensor:
        """Apply the block; shapes as in ``RotaryAttention``."""
        x = x + self.dropout(self.attention(self.attention_norm(x), rotation, keys))
        return x + self.dropout(self.ffn(self.ffn_norm(x)))  # type: ignore[no-any-return]


class TimedTransformer(nn.Module):
    """A stack of blocks with rotary positions in seconds and a last layer normalisation.

    Args:
        width: D, a multiple of ``2 * heads``.
        depth: number of blocks.
        heads: H.
        ffn_ratio: hidden width of the feed-forward network over ``width``.
        dropout: dropout of attention weights and of the output of each sublayer.
        shortest_period_s: period of the fastest rotation, seconds.
        longest_period_s: period of the slowest rotation, seconds.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        ffn_ratio: float,
        dropout: float,
        shortest_period_s: float,
        longest_period_s: float,
    ) -> None:
        super().__init__()
        if width % (2 * heads):
            raise ValueError(f"width {width} must be a multiple of twice the {heads} heads")
        self.rotary = Rotary(width // heads, shortest_period_s, longest_period_s)
        self.blocks = nn.ModuleList(Block(width, heads, ffn_ratio, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """Mix tokens.

        Args:
            x: (B, L, D).
            times: (B, L) or (L,) seconds; finite even where the mask is False.
            mask: (B, L) bool.

        Returns:
            (B, L, D), zero where the mask is False; no valid token depends on an invalid one.
        """
        cos, sin = self.rotary(times)
        rotation = (cos.float(), sin.float())
        keys = attention_mask(mask)
        for block in self.blocks:
            x = block(x, rotation, keys)
        return zero_invalid(self.norm(x), mask.unsqueeze(-1))
