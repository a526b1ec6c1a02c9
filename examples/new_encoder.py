"""A new IMU encoder: put this file into encoders/imu/, and every command knows `imu_encoder.name=mean_pool`.

A file of another package works too, once it is imported.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.settings import setting
from encoders.contract import ImuEncoder, ImuFeatures, ImuInput
from encoders.layers.masking import masked_mean
from encoders.registry import imu_encoder


@dataclass
class MeanPoolParams:
    """Settings; `imu_encoder.params.width=64` changes one."""

    width: int = setting(32, "width of the tokens", at_least=1)
    patch: int = setting(10, "samples a token", at_least=1)


@imu_encoder("mean_pool", MeanPoolParams)
class MeanPool(ImuEncoder):
    """Linear patches of all channels, without overlap, and their mean.

    Args:
        params: width and patch.
        imu_input: shape of the windows.
    """

    def __init__(self, params: MeanPoolParams, imu_input: ImuInput) -> None:
        super().__init__()
        self.patch, self.imu_input = params.patch, imu_input
        self.token_width = self.pooled_width = params.width
        self.embed = nn.Linear(params.patch * imu_input.channels, params.width)

    def forward(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> ImuFeatures:
        """Encode windows (B, T, C) with masks (B, C) and (B, T)."""
        L = imu.shape[1] // self.patch
        imu = (imu * (channel_mask[:, None] & sample_mask[..., None]))[:, : L * self.patch]
        tokens = self.embed(imu.reshape(len(imu), L, -1))
        valid = sample_mask[:, : L * self.patch].reshape(len(imu), L, self.patch).any(dim=2)
        valid[:, 0] |= ~valid.any(dim=1)  # the contract: at least one valid token a window
        times = (torch.arange(L, device=imu.device) + 0.5) * self.patch / self.imu_input.rate_hz
        return ImuFeatures(tokens, times, valid, masked_mean(tokens, valid))
