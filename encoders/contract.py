"""What every encoder takes and gives.

Shape legend: B batch, T IMU samples, C = 6 channels (ax ay az gx gy gz), L IMU tokens, F frames, H height,
W width, D token width, P pooled width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn


@dataclass(frozen=True)
class ImuInput:
    """The shape of the windows that an IMU encoder will see: ``samples`` at ``rate_hz``."""

    samples: int
    rate_hz: float
    channels: int = 6

    @property
    def duration_s(self) -> float:
        """Length of a window in seconds."""
        return self.samples / self.rate_hz


class ImuFeatures(NamedTuple):
    """What an IMU encoder gives.

    Attributes:
        tokens: (B, L, D).
        token_times: (L,) seconds since the window's start, the centre of what each token saw; ascending.
        token_mask: (B, L) bool, False where a token saw no valid sample; at least one True a row.
        pooled: (B, P), what a probe is fitted on.
    """

    tokens: Tensor
    token_times: Tensor
    token_mask: Tensor
    pooled: Tensor


class ImuEncoder(nn.Module, ABC):
    """Encodes IMU windows; subclasses set ``token_width`` (D) and ``pooled_width`` (P).

    Attributes:
        token_width: D.
        pooled_width: P.
        token_groups: G. Tokens are G equal parts side by side, part g about the g-th of G equal shares of the C
            channels and about no other channel; 1 where channels are mixed. Masked pretraining hides and predicts
            each part by itself.
    """

    token_width: int
    pooled_width: int
    token_groups: int = 1

    @abstractmethod
    def forward(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> ImuFeatures:
        """Encode a batch.

        Args:
            imu: (B, T, C) float32, normalised; zero wherever a mask is False.
            channel_mask: (B, C) bool, False for a channel that the device lacks.
            sample_mask: (B, T) bool, False where nothing was measured (padding, gaps).
        """


class VideoFeatures(NamedTuple):
    """What a video encoder gives: ``frame_tokens`` (B, F, D) and ``pooled`` (B, P)."""

    frame_tokens: Tensor
    pooled: Tensor


class VideoEncoder(nn.Module, ABC):
    """Encodes clips; subclasses set ``token_width`` (D), ``pooled_width`` (P) and ``frame_size`` (H = W)."""

    token_width: int
    pooled_width: int
    frame_size: int

    @abstractmethod
    def forward(self, frames: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """Encode a batch.

        Args:
            frames: (B, F, 3, H, W) uint8 RGB; normalising is the encoder's own business.
            frame_mask: (B, F) bool, False where there is no frame.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of architecture, weights and preprocessing; the feature cache is keyed by it."""


class VideoHead(nn.Module, ABC):
    """Turns frame features into what the loss sees; sets ``token_width`` (D) and ``pooled_width`` (P)."""

    token_width: int
    pooled_width: int

    @abstractmethod
    def forward(self, frame_features: Tensor, frame_times: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """Encode a batch.

        Args:
            frame_features: (B, F, D') a video encoder's frame tokens.
            frame_times: (B, F) seconds since the window's start; anything where the mask is False.
            frame_mask: (B, F) bool, False where there is no frame.
        """
