"""Base class of video transformers that divide a clip into tubelets, patches of a few frames.

Shape legend: B batch, F frames, H = W frame size, S side of the model's pictures, K = 2 frames per tubelet,
N = ceil(F / K) steps, R patches per step, D token width.

A frame's token is the mean over the patches of its tubelet's step, so the K frames of one tubelet have the same token.
Pooled is the mean over all tokens. If F is not a multiple of K, the last frame is repeated. A missing frame is
replaced by the nearest present one (of two, the earlier one), and its token is zero. All tokens of a clip without any
frame are zero. Frames of another size than the model's are resized, so the model keeps its trained positions.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from encoders.contract import VideoFeatures
from encoders.video.backbone_encoder import BackboneEncoder
from encoders.video.hub_weights import Architecture, HubParams, load_model
from encoders.video.vit_backbone import normalise_frames


@dataclass
class TubeletParams(HubParams):
    """Settings of a video transformer, in addition to those of its weights.

    Attributes:
        frame_size: height and width of the input frames, pixels.
        frozen: True never trains the model. False trains it, which needs clips instead of cached features in
            pretraining.
        chunk: clips per pass through the model, which bounds a frozen model's memory.
        precision: precision of a frozen encoder: ``float32``, ``bfloat16`` (autocast), or ``auto``, which is bfloat16
            on CUDA and float32 elsewhere.
    """

    frame_size: int = 224
    frozen: bool = True
    chunk: int = 16
    precision: str = "auto"


class TubeletEncoder(BackboneEncoder):
    """A video transformer over tubelets, see the module's docstring; subclasses name the model and run it.

    Attributes:
        architecture: classes of the model.
        config: configuration of the model.
        image_size: S.
        tubelet: K.
    """

    architecture: Architecture
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, params: TubeletParams) -> None:
        """Make the encoder.

        Raises:
            MissingPackageError: transformers is not installed.
            ValueError: a setting is invalid.
            WeightsError: the weights are unavailable or don't fit; the message names the remedy.
        """
        if params.chunk < 1 or params.frame_size < 1:
            raise ValueError(f"chunk and frame_size must be positive, found {params.chunk}, {params.frame_size}")
        loaded = load_model(self.architecture, params)
        super().__init__(self.trunk(loaded.model), loaded.description, params.frozen, params.precision)
        self.params = params
        self.config: Any = loaded.model.config
        self.frame_size = params.frame_size
        self.tubelet = int(self.config.tubelet_size)
        self.image_size = self.side()
        self.token_width = self.pooled_width = int(self.config.hidden_size)
        self.register_buffer("pixel_mean", torch.tensor(loaded.mean), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(loaded.std), persistent=False)
        self._normalisation = loaded.mean, loaded.std

    @staticmethod
    @abstractmethod
    def trunk(model: Any) -> torch.nn.Module:
        """Return the part of transformers' model that is run."""

    @abstractmethod
    def side(self) -> int:
        """Return S from the configuration."""

    @abstractmethod
    def encode(self, pixels: Tensor) -> Tensor:
        """Run the model: (B, N K, 3, S, S) float32, normalised -> (B, N R, D), the steps one after another."""

    def forward(self, frames: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """Encode a batch; see ``VideoEncoder``.

        Raises:
            ValueError: frames are not uint8, or differ from the encoder's frame size.
        """
        self.check_frames(frames)
        B, n_frames = frames.shape[:2]
        tokens = torch.zeros(B, n_frames, self.token_width, device=frames.device)
        pooled = torch.zeros(B, self.token_width, device=frames.device)
        there = frame_mask.any(1)
        if frames.device.type != "cpu":
            # Selecting clips would wait for the device to count them.
            steps = self._encoded(frames, frame_mask)
            tokens = steps.repeat_interleave(self.tubelet, dim=1)[:, :n_frames]
            pooled = torch.where(there[:, None], steps.mean(1), 0)
        elif there.any():
            steps = self._encoded(frames[there], frame_mask[there])
            per_frame = steps.repeat_interleave(self.tubelet, dim=1)[:, :n_frames]
            tokens = tokens.masked_scatter(there[:, None, None], per_frame)
            pooled = pooled.masked_scatter(there[:, None], steps.mean(1))
        return VideoFeatures(tokens * frame_mask.unsqueeze(2), pooled)

    def _encoded(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Encode clips chunk by chunk, (B, F, 3, H, W) -> (B, N, D)."""
        clips = self._fill_missing(frames, mask)
        with self.running(frames.device.type):
            return torch.cat([self._steps(chunk) for chunk in torch.split(clips, self.params.chunk)])

    def _fill_missing(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Replace missing frames by the nearest ones and pad to whole steps, (B, F, 3, H, W) -> (B, N K, 3, H, W)."""
        index = torch.arange(frames.shape[1], device=frames.device)
        distance = (index[:, None] - index).abs().expand(len(frames), -1, -1)
        nearest = distance.masked_fill(~mask.unsqueeze(1), len(index)).argmin(2)
        last = nearest[:, -1:].expand(-1, -len(index) % self.tubelet)
        chosen = torch.cat([nearest, last], dim=1)
        return frames[torch.arange(len(frames), device=frames.device)[:, None], chosen]

    def _steps(self, clips: Tensor) -> Tensor:
        """Run the model and average over each step's patches, (B, N K, 3, H, W) uint8 -> (B, N, D)."""
        pixels = normalise_frames(clips.flatten(0, 1), self.pixel_mean, self.pixel_std)
        if self.frame_size != self.image_size:
            pixels = F.interpolate(pixels, size=[self.image_size] * 2, mode="bilinear", antialias=True)
        B, n_frames = clips.shape[:2]
        tokens = self.encode(pixels.reshape(B, n_frames, *pixels.shape[1:]))
        return tokens.reshape(B, n_frames // self.tubelet, -1, self.token_width).mean(2).float()

    def identity(self) -> tuple[str, dict[str, Any]]:
        """See ``BackboneEncoder``."""
        # The values of the configuration that change the features and that the weights don't determine.
        names = ("patch_size", "tubelet_size", "num_attention_heads", "hidden_act", "layer_norm_eps")
        settings = {name: getattr(self.config, name) for name in names}
        mean, std = self._normalisation
        settings.update(
            frame_size=self.frame_size, image_size=self.image_size, precision=self.precision, mean=mean, std=std
        )
        return f"{self.architecture.name} 1", settings
