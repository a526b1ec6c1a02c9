"""Contracts of the encoders: their inputs and outputs.

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
    """Shape of an IMU encoder's windows: ``samples`` at ``rate_hz``."""

    samples: int
    rate_hz: float
    channels: int = 6

    @property
    def duration_s(self) -> float:
        """Length of a window, seconds."""
        return self.samples / self.rate_hz


class ImuFeatures(NamedTuple):
    """Output of an IMU encoder.

    Attributes:
        tokens: (B, L, D).
        token_times: (L,) centre of each token's receptive field, seconds since the window's start; ascending.
        token_mask: (B, L) bool, False for a token without a valid sample; at least one True per row.
        pooled: (B, P), the features for probes.
    """

    tokens: Tensor
    token_times: Tensor
    token_mask: Tensor
    pooled: Tensor


class ImuEncoder(nn.Module, ABC):
    """Base class of IMU encoders; subclasses set ``token_width`` (D) and ``pooled_width`` (P).

    Attributes:
        token_width: D.
        pooled_width: P.
        token_groups: G. A token is a concatenation of G equal parts. Part g depends on the g-th of G equal shares of
            the C channels only. G is 1 if the encoder mixes channels. Masked pretraining hides and predicts each part
            separately.
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
            sample_mask: (B, T) bool, False for samples that were not measured (padding, gaps).
        """


class VideoFeatures(NamedTuple):
    """Output of a video encoder: ``frame_tokens`` (B, F, D) and ``pooled`` (B, P)."""

    frame_tokens: Tensor
    pooled: Tensor


class VideoEncoder(nn.Module, ABC):
    """Base class of video encoders; subclasses set ``token_width`` (D), ``pooled_width`` (P) and ``frame_size``."""

    token_width: int
    pooled_width: int
    frame_size: int

    @abstractmethod
    def forward(self, frames: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """Encode a batch.

        Args:
            frames: (B, F, 3, H, W) uint8 RGB; the encoder normalises colours itself.
            frame_mask: (B, F) bool, False where there is no frame.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hex digest of architecture, weights and preprocessing, the key of the feature cache."""


class VideoHead(nn.Module, ABC):
    """Base class of heads on frame features; subclasses set ``token_width`` (D) and ``pooled_width`` (P)."""

    token_width: int
    pooled_width: int

    @abstractmethod
    def forward(self, frame_features: Tensor, frame_times: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """Encode a batch.

        Args:
            frame_features: (B, F, D') frame tokens of a video encoder.
            frame_times: (B, F) seconds since the window's start; arbitrary where the mask is False.
            frame_mask: (B, F) bool, False where there is no frame.
        """
