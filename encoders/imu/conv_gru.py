"""IMU2CLIP's IMU encoder: three convolutions with pooling, then a GRU (Moon et al., EMNLP Findings 2023).

Shape legend: B batch, T samples, C channels, L tokens, D width of the GRU.

GroupNorm(2, C); 3 x [Conv1d(32 channels, kernel 10 / 5 / 5, dilation 2, no bias), MaxPool 3]; GroupNorm(4, 32);
GRU(32 -> 512), whose last hidden state is the result. The maxima are the only nonlinearity of the stages. The paper's
text and code (facebookresearch/imu2clip, ``MW2StackRNNPooling``) agree on all of this, on the sizes, and so on the
number of weights, 850,892. They differ in one point: the code passes the convolutions' output (B, 32 channels, L) to
a GRU that takes (B, steps, inputs). So in the code the *channels* are the steps, and the L moments the inputs. The code
runs only because L is 32 for that paper's windows (5 s at 200 Hz). Here the steps are moments, as in the text. This
works for windows of any length, and gives tokens with times.

Windows with gaps or missing channels need some additions. Without gaps and missing channels, the output equals the
original's, which a test checks to 1e-5:

* Values that were not measured are zeros after the first normalisation, whose statistics leave them out.
* A step without a valid sample never wins a maximum.
* A token owns one stride of samples around its centre; the first token also owns all samples before, the last token
  all samples after. A token is valid if any of its own samples is valid.
* The second normalisation leaves invalid tokens out of its statistics, and the GRU skips them; the hidden state
  after the last valid token is the result.

At 50 Hz a window of 5 s gives 5 tokens, 0.54 s apart, each with a receptive field of 2.8 s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.contract import ImuEncoder, ImuFeatures, ImuInput
from encoders.layers.masking import MaskedGroupNorm
from encoders.registry import imu_encoder


@dataclass
class ConvGruParams:
    """Settings of ``conv_gru``; the defaults are the paper's.

    Attributes:
        channels: output channels of each convolution.
        kernels: kernel of each convolution, samples of its own input.
        dilation: dilation of all convolutions.
        pool: steps per maximum.
        input_groups: groups of the input's normalisation; two separate accelerometer and gyroscope.
        groups: groups of the normalisation before the GRU.
        width: D.
    """

    channels: int = 32
    kernels: list[int] = field(default_factory=lambda: [10, 5, 5])
    dilation: int = 2
    pool: int = 3
    input_groups: int = 2
    groups: int = 4
    width: int = 512


class ConvPool(nn.Module):
    """A dilated convolution without bias or padding, then the maxima of neighbouring steps."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int, pool: int) -> None:
        super().__init__()
        self.kernel, self.dilation, self.pool = kernel, dilation, pool
        self.conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, bias=False)

    def forward(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, T), zero where invalid, and mask (B, T) to (B, C', T') and the mask of steps with valid input."""
        mask = F.max_pool1d(seen.float(), self.kernel, stride=1, dilation=self.dilation)
        y = self.conv(x).masked_fill(mask.unsqueeze(1) == 0, -math.inf)
        after = F.max_pool1d(mask, self.pool) > 0
        return torch.where(after.unsqueeze(1), F.max_pool1d(y, self.pool), 0), after


@imu_encoder("conv_gru", ConvGruParams)
class ConvGru(ImuEncoder):
    """The IMU encoder ``conv_gru``; see the module's docstring.

    Tokens are the GRU's outputs at each step; pooled is the output at the last valid step.

    Attributes:
        stride: samples between tokens.
        field: samples in a token's receptive field, and so the shortest window.
    """

    def __init__(self, params: ConvGruParams, imu_input: ImuInput) -> None:
        """Make the encoder.

        Raises:
            ValueError: a setting is invalid, or windows are too short for a single token.
        """
        super().__init__()
        if not params.kernels or min(*params.kernels, params.dilation, params.pool) < 1:
            raise ValueError(
                "conv_gru: expected at least one kernel, and kernels, dilation and pool of at least 1; found "
                f"{params.kernels}, {params.dilation} and {params.pool}"
            )
        self.rate_hz = imu_input.rate_hz
        self.token_width = self.pooled_width = params.width
        self.stride, self.field = 1, 1
        for kernel in params.kernels:
            self.field += (params.dilation * (kernel - 1) + params.pool - 1) * self.stride
            self.stride *= params.pool
        self._refuse_short(imu_input.samples)
        self.input_norm = MaskedGroupNorm(params.input_groups, imu_input.channels)
        self.stages = nn.ModuleList()
        inputs = imu_input.channels
        for kernel in params.kernels:
            self.stages.append(ConvPool(inputs, params.channels, kernel, params.dilation, params.pool))
            inputs = params.channels
        self.norm = MaskedGroupNorm(params.groups, inputs)
        self.gru = nn.GRU(inputs, params.width, batch_first=True)

    def _refuse_short(self, samples: int) -> None:
        if samples < self.field:
            raise ValueError(
                f"conv_gru needs windows of at least {self.field} samples ({self.field / self.rate_hz:.2f} s at"
                f" {self.rate_hz:g} Hz), found {samples}"
            )

    def token_times(self, count: int, device: torch.device) -> Tensor:
        """Centres of the first ``count`` tokens' receptive fields, (L,) float32 seconds since sample 0."""
        steps = torch.arange(count, device=device, dtype=torch.float32)
        return (steps * self.stride + (self.field - 1) / 2) / self.rate_hz

    def _token_mask(self, sample_mask: Tensor, count: int) -> Tensor:
        """Mark the tokens that own a valid sample, (B, T) -> (B, L)."""
        centre = torch.arange(sample_mask.shape[1], device=sample_mask.device) - (self.field - 1) / 2
        owner = torch.round(centre / self.stride).long().clamp(0, count - 1)
        found = torch.zeros(sample_mask.shape[0], count, device=sample_mask.device)
        return found.index_add(1, owner, sample_mask.float()) > 0

    def forward(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> ImuFeatures:
        """Encode a batch with any T >= ``field``, see ``ImuEncoder``. A row without a valid sample gives zeros.

        Raises:
            ValueError: the windows are shorter than ``field``.
        """
        self._refuse_short(imu.shape[1])
        measured = sample_mask.unsqueeze(1) & channel_mask.unsqueeze(2)
        values = torch.where(measured, imu.transpose(1, 2), 0)
        x, seen = torch.where(measured, self.input_norm(values, measured), 0), sample_mask
        for stage in self.stages:
            x, seen = stage(x, seen)
        L = x.shape[2]
        mask = self._token_mask(sample_mask, L)
        steps = self.norm(x, mask).transpose(1, 2)
        # Put valid steps first: later steps do not influence them, so the GRU needs no mask.
        # Each key is another, so that no stable sort is needed: ONNX has none.
        order = torch.argsort((~mask).long() * L + torch.arange(L, device=mask.device), dim=1)
        outputs, _ = self.gru(steps.gather(1, order.unsqueeze(2).expand_as(steps)))
        back = torch.argsort(order, dim=1).unsqueeze(2)
        tokens = torch.where(mask.unsqueeze(2), outputs.gather(1, back.expand_as(outputs)), 0)
        last = (mask.sum(1) - 1).clamp(min=0)
        state = outputs.gather(1, last[:, None, None].expand(-1, 1, outputs.shape[2])).squeeze(1)
        pooled = torch.where(mask.any(1, keepdim=True), state, 0)
        return ImuFeatures(tokens, self.token_times(L, imu.device), mask, pooled)
