"""The paper's IMU encoder: PatchTST (Nie et al., ICLR 2023), with a separate sequence of patches per channel.

Shape legend: B batch, T samples, C channels, L patches, D width of one channel's token.

With copied weights, the output equals that of ``transformers.PatchTSTModel`` with ``use_cls_token=True`` (a test checks
this to 1e-5). This encoder also supports masks: attention and the batch normalisation's statistics leave out patches
without a valid sample and missing channels, whose outputs are zeros. Invalid samples inside a partly valid patch are
zeros (after an optional scaling).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from encoders.contract import ImuEncoder, ImuFeatures, ImuInput
from encoders.layers.attention import attend
from encoders.layers.dropout import Dropout
from encoders.layers.masking import attention_mask
from encoders.layers.orientation import OrientationParams
from encoders.registry import imu_encoder


@dataclass
class PatchTSTParams(OrientationParams):
    """Settings of ``patchtst``; the defaults are the paper's (its context is the window, 250 samples).

    Attributes:
        patch: samples per patch.
        stride: samples between patches; samples at the window's start that fill no patch are cut off.
        width: D.
        depth: transformer blocks.
        heads: attention heads.
        ffn_width: hidden width of the feed-forward networks.
        dropout: dropout of attention weights, in the feed-forward networks and on the output of each sublayer.
        norm: ``batch`` (over width, as in the original) or ``layer``.
        pre_norm: True normalises before each sublayer, False after it.
        positions: ``sincos`` (fixed) or ``learnt``.
        pooling: ``cls`` (the paper's), or ``mean`` of each channel's tokens. Masked reconstruction alone does not train
            the CLS token, so it needs ``mean``.
        scaling: ``none``, or ``standard``: standardise each channel of each window by its own mean and standard
            deviation, which removes gravity and amplitude.
    """

    patch: int = 16
    stride: int = 16
    width: int = 128
    depth: int = 3
    heads: int = 4
    ffn_width: int = 512
    dropout: float = 0.0
    norm: str = "batch"
    pre_norm: bool = True
    positions: str = "sincos"
    pooling: str = "cls"
    scaling: str = "none"


class TokenBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over all valid tokens of (N, L, D)."""

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Normalise ``x``; in training, only tokens where ``valid`` (N, L) is True count, and the others become 0.

        Valid tokens are weighted, not selected, so the host need not wait for their number. Fewer than two valid tokens
        have no variance, and do not change the running statistics.
        """
        if not self.training or valid is None:
            return super().forward(x.reshape(-1, x.shape[-1])).reshape(x.shape)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        given, x = x.dtype, torch.where(valid.unsqueeze(2), x, 0).to(torch.promote_types(x.dtype, torch.float32))
        weight = valid.unsqueeze(2).to(x.dtype)
        count = weight.sum().clamp(min=1)
        mean = x.sum((0, 1)) / count
        apart = (x - mean) * weight
        variance = apart.square().sum((0, 1)) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            share = self.momentum * (count > 1).to(x.dtype)
            for kept, found in (
                (self.running_mean, mean),
                (self.running_var, variance * count / (count - 1).clamp(min=1)),
            ):
                kept.lerp_(found.to(kept.dtype), share.to(kept.dtype))
        return ((apart * (variance + self.eps).rsqrt() * self.weight + self.bias) * weight).to(given)


class TokenLayerNorm(nn.LayerNorm):
    """Layer normalisation with the same signature as ``TokenBatchNorm``."""

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Normalise each token of ``x`` separately."""
        return super().forward(x)


def _norm(kind: str, width: int) -> nn.Module:
    if kind == "batch":
        return TokenBatchNorm(width)
    if kind == "layer":
        return TokenLayerNorm(width)
    raise ValueError(f"norm must be 'batch' or 'layer', found '{kind}'")


class PatchBlock(nn.Module):
    """Self-attention over one channel's tokens, then a feed-forward network."""

    as_torch = False  # see encoders.layers.dropout.draw_as_torch

    def __init__(self, params: PatchTSTParams) -> None:
        super().__init__()
        self.heads = params.heads
        self.pre_norm = params.pre_norm
        self.attention_dropout = params.dropout
        self.qkv = nn.Linear(params.width, 3 * params.width)
        self.output = nn.Linear(params.width, params.width)
        self.ffn = nn.Sequential(
            nn.Linear(params.width, params.ffn_width),
            nn.GELU(),
            Dropout(params.dropout),
            nn.Linear(params.ffn_width, params.width),
        )
        self.attention_norm = _norm(params.norm, params.width)
        self.ffn_norm = _norm(params.norm, params.width)
        self.dropout = Dropout(params.dropout)

    def attend(self, x: Tensor, keys: Tensor) -> Tensor:
        """Attend to the tokens where ``keys`` (N, 1, 1, L) is True, (N, L, D) -> (N, L, D)."""
        N, L, D = x.shape
        q, k, v = self.qkv(x).reshape(N, L, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        mixed = attend(q, k, v, keys, self.attention_dropout if self.training else 0.0, self.as_torch)
        return self.output(mixed.transpose(1, 2).reshape(N, L, D))  # type: ignore[no-any-return]

    def forward(self, x: Tensor, valid: Tensor, keys: Tensor) -> Tensor:
        """Apply the block to tokens (N, L, D) with mask ``valid`` (N, L) -> (N, L, D)."""
        if self.pre_norm:
            x = x + self.dropout(self.attend(self.attention_norm(x, valid), keys))
            return x + self.dropout(self.ffn(self.ffn_norm(x, valid)))  # type: ignore[no-any-return]
        x = self.attention_norm(x + self.dropout(self.attend(x, keys)), valid)
        return self.ffn_norm(x + self.dropout(self.ffn(x)), valid)  # type: ignore[no-any-return]


def sincos_positions(count: int, width: int) -> Tensor:
    """Compute fixed sinusoids (count, width), centred and scaled to a standard deviation of 0.1, as in PatchTST."""
    steps = torch.arange(count, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * -(math.log(10_000.0) / width))
    table = torch.zeros(count, width)
    table[:, 0::2] = torch.sin(steps * rates)
    table[:, 1::2] = torch.cos(steps * rates)
    table -= table.mean()
    return table / (10 * table.std())


@imu_encoder("patchtst", PatchTSTParams)
class PatchTST(ImuEncoder):
    """The IMU encoder ``patchtst``; see the module's docstring.

    A token is the concatenation of the C channels' tokens at one patch, C D wide. Pooled is the concatenation of the C
    channels' CLS outputs, or of the means of their tokens, C D wide (768 in the paper).
    """

    positions: Tensor

    def __init__(self, params: PatchTSTParams, imu_input: ImuInput) -> None:
        super().__init__()
        if imu_input.samples <= params.patch:
            raise ValueError(f"a window of {imu_input.samples} samples is too short for patches of {params.patch}")
        if params.width % params.heads:
            raise ValueError(f"width {params.width} is not a multiple of the {params.heads} heads")
        if params.scaling not in ("none", "standard"):
            raise ValueError(f"scaling must be 'none' or 'standard', found '{params.scaling}'")
        if params.pooling not in ("cls", "mean"):
            raise ValueError(f"pooling must be 'cls' or 'mean', found '{params.pooling}'")
        self.params = params
        self.imu_input = imu_input
        self.patches = (imu_input.samples - params.patch) // params.stride + 1
        self.first = imu_input.samples - params.patch - params.stride * (self.patches - 1)
        self.token_groups = imu_input.channels
        self.token_width = self.pooled_width = imu_input.channels * params.width
        self.embed = nn.Linear(params.patch, params.width)
        self.cls = nn.Parameter(0.02 * torch.randn(params.width))
        if params.positions == "sincos":
            self.register_buffer("positions", sincos_positions(self.patches + 1, params.width))
        elif params.positions == "learnt":
            self.positions = nn.Parameter(torch.randn(self.patches + 1, params.width))
        else:
            raise ValueError(f"positions must be 'sincos' or 'learnt', found '{params.positions}'")
        self.blocks = nn.ModuleList(PatchBlock(params) for _ in range(params.depth))

    def token_times(self, device: torch.device) -> Tensor:
        """Return the centres of the patches, (L,) float32 seconds since sample 0."""
        starts = self.first + self.params.stride * torch.arange(self.patches, device=device)
        return (starts + (self.params.patch - 1) / 2) / self.imu_input.rate_hz

    def _scaled(self, x: Tensor, measured: Tensor) -> Tensor:
        if self.params.scaling == "none":
            return x
        count = measured.sum(1, keepdim=True).clamp(min=1)
        mean = x.sum(1, keepdim=True) / count
        centred = torch.where(measured, x - mean, 0)
        variance = centred.square().sum(1, keepdim=True) / count
        return centred * torch.rsqrt(variance + 1e-5)

    def forward(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> ImuFeatures:
        """Encode a batch, see ``ImuEncoder``. A row without a valid sample gives zeros.

        Raises:
            ValueError: T differs from the window length that the encoder was built for.
        """
        B, T, C = imu.shape
        if self.imu_input.samples != T:
            raise ValueError(f"patchtst was built for windows of {self.imu_input.samples} samples, found {T}")
        measured = sample_mask.unsqueeze(2) & channel_mask.unsqueeze(1)
        values = self._scaled(torch.where(measured, imu, 0), measured)
        cut = values[:, self.first :].unfold(1, self.params.patch, self.params.stride)  # (B, L, C, patch)
        patches = self.embed(cut.transpose(1, 2)) + self.positions[1:]
        cls = (self.cls + self.positions[0]).expand(B, C, 1, -1)
        x = torch.cat([cls, patches], dim=2).reshape(B * C, self.patches + 1, -1)

        token_mask = sample_mask[:, self.first :].unfold(1, self.params.patch, self.params.stride).any(2)
        heard = token_mask.any(1, keepdim=True)
        valid = torch.cat([heard, token_mask], dim=1).unsqueeze(1) & channel_mask.unsqueeze(2)  # (B, C, 1 + L)
        flat = valid.reshape(B * C, -1)
        keys = attention_mask(flat)
        for block in self.blocks:
            x = block(x, flat, keys)
        x = torch.where(valid.unsqueeze(3), x.reshape(B, C, self.patches + 1, -1), 0)
        tokens = x[:, :, 1:].transpose(1, 2).reshape(B, self.patches, -1)
        pooled = x[:, :, 0]
        if self.params.pooling == "mean":  # invalid tokens are zero
            pooled = x[:, :, 1:].sum(2) / token_mask.sum(1).clamp(min=1)[:, None, None]
        return ImuFeatures(tokens, self.token_times(imu.device), token_mask, pooled.reshape(B, -1))
