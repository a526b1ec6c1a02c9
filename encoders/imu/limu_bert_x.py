"""LIMU-BERT-X's encoder: a small BERT over single samples at 20 Hz (Xu et al. 2021 and 2025).

Shape legend: B batch, T samples of a window, S = 20 samples a piece, Q pieces of a window, L = Q * S tokens, D width.

The model takes pieces of 1 s: 20 samples of acceleration in units of g, gravity included, and of angular rate in rad/s.
A linear layer, layer norm, a learnt position and *the same layer norm once more* embed each sample. One block is run
``depth`` times over, with the same weights: attention, whose output replaces its input; h = norm1(a + proj(a));
h = norm2(h + fc2(gelu(fc1(h)))). Names of the weights are those of the published file, whose ``transformer.*`` entries
are this encoder. Layer norms have their epsilon, 1e-12, inside the root.

Windows come at any rate, in units of ``physical`` normalisation (g, and pi rad/s) or in m/s^2 and rad/s (``none``), as
``units`` says. Each is resampled to 20 Hz and cut into pieces, which do not see one another. The first piece begins
with the first measured sample, and the last one ends with the last: the model never saw a short piece, nor padding.
(Pieces from the window's beginning, with padding masked, cost 13 points at k = 1 on UTD-MHAD's people 1, 3, 5, 7.)

* A sample at 20 Hz is the mean of the measured samples around it, with weights that fall linearly to 0 at 50 ms. So
  what was not measured has no part, and windows at 20 Hz are not changed at all.
* A token is valid if such a sample was measured. Invalid tokens are never attended to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.settings import setting
from encoders.contract import ImuEncoder, ImuFeatures, ImuInput
from encoders.layers.masking import attention_mask, masked_mean
from encoders.registry import imu_encoder

RATE_HZ = 20.0
PIECE = 20  # samples, 1 s
GRAVITY = 9.8  # m/s^2, as in the published preprocessing
STANDARD_GRAVITY = 9.80665  # m/s^2, the unit of ``physical`` normalisation


@dataclass
class LimuBertXParams:
    """Settings of ``limu_bert_x``; the defaults are those of the published weights."""

    width: int = setting(72, "D", at_least=1)
    heads: int = setting(4, "heads of the attention; they divide the width", at_least=1)
    hidden: int = setting(144, "hidden width of the feed-forward network", at_least=1)
    depth: int = setting(4, "how often the block is run", at_least=1)
    units: str = setting(
        "physical",
        "of the windows: g and pi rad/s ('physical'), or m/s^2 and rad/s ('none')",
        choices=("physical", "none"),
    )


class LayerNorm(nn.Module):
    """Layer normalisation with weights named as in the published file."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (..., D)."""
        return F.layer_norm(x, x.shape[-1:], self.gamma, self.beta, eps=1e-12)


class Embedding(nn.Module):
    """Linear layer, layer norm, position, and the same layer norm."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.lin = nn.Linear(channels, width)
        self.pos_embed = nn.Embedding(PIECE, width)
        self.norm = LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Embed (B, S, C) as (B, S, D)."""
        return self.norm(self.norm(self.lin(x)) + self.pos_embed.weight)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Multi-head attention without a last linear layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.proj_q, self.proj_k, self.proj_v = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor, keys: Tensor) -> Tensor:
        """Mix (B, S, D); ``keys`` (B, 1, 1, S) are the positions that may be attended to."""
        B, S, D = x.shape
        split = (B, S, self.heads, D // self.heads)
        q, k, v = (layer(x).reshape(split).transpose(1, 2) for layer in (self.proj_q, self.proj_k, self.proj_v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=keys).transpose(1, 2).flatten(2)


class FeedForward(nn.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, S, D) to (B, S, D)."""
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """The embedding, then one block, run several times with the same weights."""

    def __init__(self, params: LimuBertXParams, channels: int) -> None:
        super().__init__()
        self.depth = params.depth
        self.embed = Embedding(channels, params.width)
        self.attn = Attention(params.width, params.heads)
        self.proj = nn.Linear(params.width, params.width)
        self.norm1, self.norm2 = LayerNorm(params.width), LayerNorm(params.width)
        self.pwff = FeedForward(params.width, params.hidden)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Encode pieces (B, S, C) with a mask of valid samples (B, S) as (B, S, D)."""
        h, keys = self.embed(x), attention_mask(mask)
        for _ in range(self.depth):
            h = self.attn(h, keys)
            h = self.norm1(h + self.proj(h))
            h = self.norm2(h + self.pwff(h))
        return h  # type: ignore[no-any-return]


@imu_encoder("limu_bert_x", LimuBertXParams)
class LimuBertX(ImuEncoder):
    """The IMU encoder ``limu_bert_x``; see the module's docstring. Pooled is the mean over valid tokens."""

    resampling: Tensor
    scale: Tensor

    def __init__(self, params: LimuBertXParams, imu_input: ImuInput) -> None:
        """Make the encoder.

        Raises:
            ValueError: the heads do not divide the width, or windows are shorter than a sample at 20 Hz.
        """
        super().__init__()
        if params.width % params.heads:
            raise ValueError(f"limu_bert_x: {params.heads} heads do not divide the width of {params.width}")
        self.token_width = self.pooled_width = params.width
        self.transformer = Transformer(params, imu_input.channels)
        weights = resampling_weights(imu_input)
        if not len(weights):
            raise ValueError(
                f"limu_bert_x needs windows of at least {1 / RATE_HZ:g} s, found {imu_input.duration_s:.3f} s"
            )
        acceleration, rate = (STANDARD_GRAVITY / GRAVITY, math.pi) if params.units == "physical" else (1 / GRAVITY, 1.0)
        half = imu_input.channels // 2
        # Both follow from the settings, and are no part of the weights.
        self.register_buffer("resampling", weights, persistent=False)
        self.register_buffer("scale", torch.tensor([acceleration] * half + [rate] * half), persistent=False)

    def forward(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> ImuFeatures:
        """Encode a batch, see ``ImuEncoder``. A row without a valid sample gives zeros."""
        measured = sample_mask.unsqueeze(2) & channel_mask.unsqueeze(1)
        values = torch.where(measured, imu, 0) * self.scale
        weight = sample_mask.to(imu.dtype) @ self.resampling.T  # (B, L')
        mask = weight > 1e-6
        samples = torch.einsum("lt,btc->blc", self.resampling, values) / weight.clamp(min=1e-6).unsqueeze(2)
        count = samples.shape[1]
        index, back = _pieces(mask)
        rows = torch.arange(imu.shape[0], device=imu.device)[:, None, None]
        flat = mask[rows, index].reshape(-1, PIECE)
        h = self.transformer(samples[rows, index].reshape(-1, PIECE, samples.shape[2]), flat)
        tokens = h.reshape(imu.shape[0], -1, h.shape[2]).gather(1, back.unsqueeze(2).expand(-1, -1, h.shape[2]))
        tokens = torch.where(mask.unsqueeze(2), tokens, 0)
        times = torch.arange(count, device=imu.device, dtype=torch.float32) / RATE_HZ
        return ImuFeatures(tokens, times, mask, masked_mean(tokens, mask))


def _pieces(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Lay pieces over the measured part of each window: from its first sample on, and the last one up to its last.

    Args:
        mask: (B, L) measured samples at 20 Hz.

    Returns:
        Numbers of each piece's samples, (B, Q, S), and, for each of the L samples, its place among the Q * S.
    """
    count = mask.shape[1]
    pieces = -(-count // PIECE)
    at = torch.arange(count, device=mask.device)
    first = mask.int().argmax(dim=1, keepdim=True)
    end = count - mask.flip(1).int().argmax(dim=1, keepdim=True)
    # A last piece that would be short begins earlier. Its first samples are then met twice, and kept from the former.
    starts = first + PIECE * torch.arange(pieces, device=mask.device)
    starts = torch.minimum(starts, (end - PIECE).clamp(min=0)).maximum(first.clamp(max=max(count - PIECE, 0)))
    index = (starts.unsqueeze(2) + torch.arange(PIECE, device=mask.device)).clamp(max=count - 1)
    piece = ((at - first) // PIECE).clamp(0, pieces - 1)
    place = (at - starts.gather(1, piece)).clamp(0, PIECE - 1)
    return index, piece * PIECE + place


def resampling_weights(imu_input: ImuInput) -> Tensor:
    """Compute weights of a window's samples in each sample at 20 Hz, (L', T); rows are not normalised.

    Weights fall linearly from 1 at a sample's own time to 0 one step of 20 Hz away (or one of the window's own steps,
    where these are longer), so that neighbours at least are met.
    """
    count = math.floor(imu_input.duration_s * RATE_HZ + 1e-6)
    wanted = torch.arange(count, dtype=torch.float64) / RATE_HZ
    given = torch.arange(imu_input.samples, dtype=torch.float64) / imu_input.rate_hz
    reach = max(1 / RATE_HZ, 1 / imu_input.rate_hz)
    weights = 1 - (wanted[:, None] - given).abs() / reach
    return weights.clamp(min=0).round(decimals=9).float()  # a step that is met exactly has a weight of 1e-15 or so
