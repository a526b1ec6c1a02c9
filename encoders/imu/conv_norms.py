"""A small convolutional encoder that also sees the norms of acceleration and angular rate.

Shape legend: B batch, T samples, L tokens, W width of the last convolution.

Norms do not depend on how a sensor is turned, and the mask of channels says what a device lacks. With both as inputs,
few labelled sets of different sensors are enough to train it. Four strided convolutions give tokens 16 samples apart
(0.32 s at 50 Hz); pooled features are their mean and maximum.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.contract import ImuEncoder, ImuFeatures, ImuInput
from encoders.layers.masking import MaskedGroupNorm, mean_and_max
from encoders.layers.orientation import OrientationParams
from encoders.registry import imu_encoder

_STRIDE = 2


@dataclass
class ConvNormsParams(OrientationParams):
    """Settings of ``conv_norms``.

    Attributes:
        channels: output channels of each convolution; each halves the rate.
        kernels: kernel of each convolution, odd, samples of its own input.
        groups: groups of the normalisations.
    """

    channels: list[int] = field(default_factory=lambda: [64, 96, 128, 128])
    kernels: list[int] = field(default_factory=lambda: [7, 5, 5, 5])
    groups: int = 8


@imu_encoder("conv_norms", ConvNormsParams)
class ConvNorms(ImuEncoder):
    """The IMU encoder ``conv_norms``; see the module's docstring."""

    def __init__(self, params: ConvNormsParams, imu_input: ImuInput) -> None:
        """Make the encoder.

        Raises:
            ValueError: lists of different lengths, or an even kernel.
        """
        super().__init__()
        if not params.channels or len(params.channels) != len(params.kernels):
            raise ValueError(f"conv_norms: {len(params.channels)} channels and {len(params.kernels)} kernels")
        if any(kernel < 1 or kernel % 2 == 0 for kernel in params.kernels):
            raise ValueError(f"conv_norms: expected odd kernels, found {params.kernels}")
        self.rate_hz = imu_input.rate_hz
        self.token_width = params.channels[-1]
        self.pooled_width = 2 * self.token_width
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        inputs = 2 * imu_input.channels + 2  # values, two norms, and which channels there are
        for outputs, kernel in zip(params.channels, params.kernels, strict=True):
            self.convolutions.append(nn.Conv1d(inputs, outputs, kernel, _STRIDE, padding=kernel // 2))
            self.norms.append(MaskedGroupNorm(params.groups, outputs))
            inputs = outputs

    def forward(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> ImuFeatures:
        """Encode a batch with any T, see ``ImuEncoder``. A row without a valid sample gives zeros."""
        measured = sample_mask[..., None] & channel_mask[:, None]
        values = torch.where(measured, imu, 0)
        norms = [values[..., part].norm(dim=-1, keepdim=True) for part in (slice(0, 3), slice(3, 6))]
        x = torch.cat([values, *norms, measured.to(values.dtype)], dim=-1).transpose(1, 2)
        mask = sample_mask
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = convolution(x)
            # A step is valid if a sample of its own stride is.
            mask = F.max_pool1d(mask.float()[:, None], _STRIDE, ceil_mode=True)[:, 0, : x.shape[2]] > 0
            x = F.gelu(norm(x, mask)) * mask[:, None]
        tokens = x.transpose(1, 2)
        stride = _STRIDE ** len(self.convolutions)
        times = torch.arange(tokens.shape[1], device=imu.device, dtype=torch.float32) * stride / self.rate_hz
        return ImuFeatures(tokens, times, mask, mean_and_max(tokens, mask))
