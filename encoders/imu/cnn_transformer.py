"""The default IMU encoder: a strided 1-D CNN stem, then a transformer with rotary positions in seconds.

Shape legend: B batch, T samples, C channels, L tokens, D width, S total stride of the stem.

Sample i is at ``i / rate_hz`` seconds, i = 0 ... T - 1. Token j owns the samples j S ... (j + 1) S - 1, and is valid if
any of them is valid. Invalid samples are zeroed before each convolution, like the convolutions' own zero padding.
Statistics and attention leave them out. So padding a window with any number of invalid samples after its end changes
no valid token.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.contract import ImuEncoder, ImuFeatures, ImuInput
from encoders.layers.dropout import Dropout
from encoders.layers.masking import MaskedGroupNorm, StepLayerNorm, mean_and_max, zero_invalid
from encoders.layers.orientation import OrientationParams
from encoders.layers.transformer import TimedTransformer
from encoders.registry import imu_encoder


@dataclass
class CnnTransformerParams(OrientationParams):
    """Settings of ``cnn_transformer``.

    Attributes:
        width: D, width of the tokens.
        depth: transformer blocks.
        heads: attention heads.
        ffn_ratio: hidden width of the feed-forward networks over ``width``.
        dropout: dropout after the stem and inside the transformer.
        stem_kernels: kernel of each convolution, samples of its own input; at least its stride.
        stem_strides: stride of each convolution; their product is the samples per token (4: 80 ms at 50 Hz).
        stem_channels: output channels of each convolution.
        stem_norm: ``layer`` (over the channels of each step), ``group`` (over channels and valid steps, which removes
            the window's amplitude) or ``none``.
        stem_groups: number of groups of the ``group`` norm.
        shortest_period_s: period of the fastest rotary rotation, seconds.
        longest_period_s: period of the slowest rotation, seconds; several windows long.
    """

    width: int = 128
    depth: int = 4
    heads: int = 4
    ffn_ratio: float = 2.0
    dropout: float = 0.1
    stem_kernels: list[int] = field(default_factory=lambda: [8, 6])
    stem_strides: list[int] = field(default_factory=lambda: [2, 2])
    stem_channels: list[int] = field(default_factory=lambda: [64, 128])
    stem_norm: str = "layer"
    stem_groups: int = 8
    shortest_period_s: float = 0.5
    longest_period_s: float = 40.0


class StemStage(nn.Module):
    """One strided convolution whose output step j is centred on the inputs j s ... (j + 1) s - 1."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, norm: str, groups: int) -> None:
        super().__init__()
        if kernel < stride or stride < 1:
            raise ValueError(f"stem: a kernel of {kernel} with stride {stride} would skip samples")
        self.kernel = kernel
        self.stride = stride
        self.before = (kernel - stride) // 2
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride)
        self.norm: nn.Module | None
        if norm == "layer":
            self.norm = StepLayerNorm(outputs)
        elif norm == "group":
            self.norm = MaskedGroupNorm(groups, outputs)
        elif norm == "none":
            self.norm = None
        else:
            raise ValueError(f"stem_norm must be 'layer', 'group' or 'none', found '{norm}'")

    @property
    def centre(self) -> float:
        """Centre of output 0, in input steps; half a step off its cell if kernel - stride is odd."""
        return (self.kernel - 1) / 2 - self.before

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, T) and mask (B, T) to (B, C', ceil(T / s)), zero where invalid, and its mask."""
        # kernel - 1 zeros in all give ceil(T / s) steps for every T: no condition that would fix T in an export.
        steps = F.pad(x.transpose(1, 2), (0, 0, self.before, self.kernel - 1 - self.before))
        if self.training:
            # As a picture of one row: torch has kernels with the channels last for pictures only, and they need no
            # copies. Not in an export, whose weights have to stay as they are to become 8 bits.
            picture, weight = steps.transpose(1, 2).unsqueeze(2), self.conv.weight.unsqueeze(2)
            y = F.conv2d(picture, weight, self.conv.bias, (1, self.stride)).squeeze(2)
        else:
            y = self.conv(steps.transpose(1, 2))
        cells = F.pad(mask.float(), (0, self.stride - 1)).unsqueeze(1)
        y_mask = F.avg_pool1d(cells, self.stride, self.stride).squeeze(1) > 0  # any valid sample in the cell
        if self.norm is not None:
            y = self.norm(y, y_mask)
        return zero_invalid(F.gelu(y), y_mask.unsqueeze(1)), y_mask


@imu_encoder("cnn_transformer", CnnTransformerParams)
class CnnTransformer(ImuEncoder):
    """The IMU encoder ``cnn_transformer``; see the module's docstring.

    The stem has C + C inputs: the values, and a flag per channel and sample that is 1 if measured. The flag
    distinguishes a missing channel or a gap from a reading of zero.
    """

    def __init__(self, params: CnnTransformerParams, imu_input: ImuInput) -> None:
        super().__init__()
        counts = {len(params.stem_kernels), len(params.stem_strides), len(params.stem_channels)}
        if len(counts) != 1 or 0 in counts:
            raise ValueError(
                "stem_kernels, stem_strides and stem_channels must have one entry a stage each, found "
                f"{params.stem_kernels}, {params.stem_strides} and {params.stem_channels}"
            )
        self.rate_hz = imu_input.rate_hz
        self.token_width = params.width
        self.pooled_width = 2 * params.width
        self.stem = nn.ModuleList()
        inputs, self.stride, self.first_centre = 2 * imu_input.channels, 1, 0.0
        for kernel, stride, channels in zip(
            params.stem_kernels, params.stem_strides, params.stem_channels, strict=True
        ):
            stage = StemStage(inputs, channels, kernel, stride, params.stem_norm, params.stem_groups)
            self.stem.append(stage)
            self.first_centre += stage.centre * self.stride
            self.stride *= stride
            inputs = channels
        self.embed = nn.Sequential(nn.Linear(inputs, params.width), Dropout(params.dropout))
        self.transformer = TimedTransformer(
            params.width,
            params.depth,
            params.heads,
            params.ffn_ratio,
            params.dropout,
            params.shortest_period_s,
            params.longest_period_s,
        )

    def token_times(self, count: int, device: torch.device) -> Tensor:
        """Return the centres of the first ``count`` tokens' receptive fields, (L,) float32 seconds since sample 0."""
        steps = torch.arange(count, device=device, dtype=torch.float32)
        return (steps * self.stride + self.first_centre) / self.rate_hz

    def forward(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> ImuFeatures:
        """Encode a batch with any T, see ``ImuEncoder``. A row without a valid sample gives zeros and a False mask."""
        measured = sample_mask.unsqueeze(2) & channel_mask.unsqueeze(1)
        values = torch.where(measured, imu, 0)
        # (B, C + C, T) with the channels last in memory, as all stages keep them.
        x, mask = torch.cat([values, measured.to(values.dtype)], dim=2).transpose(1, 2), sample_mask
        for stage in self.stem:
            x, mask = stage(x, mask)
        times = self.token_times(mask.shape[1], imu.device)
        tokens = self.transformer(self.embed(x.transpose(1, 2)), times, mask)
        return ImuFeatures(tokens, times, mask, mean_and_max(tokens, mask))
