"""The paper's video encoder: VideoMAE (Tong et al., NeurIPS 2022) of transformers, with identical outputs.

Shape legend: B batch, N steps, R patches per step, D token width; see also :mod:`encoders.video.tubelets`.

VideoMAE adds the fixed sinusoids of Vaswani et al. (2017) to its patches. The position of a patch is its number in the
whole clip, counted step by step and row by row, so its sinusoid does not depend on the clip's length. The table is
computed for the N R positions of each clip. A clip of 10 frames uses the first 5 of the trained table's 8 steps. A clip
of more than 16 frames uses further, untrained sinusoids.

The paper's code uses ``MCG-NJU/videomae-base-ssv2``, pretrained on Something-Something v2 without labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from encoders.registry import video_encoder
from encoders.video.hub_weights import Architecture, square_side
from encoders.video.tubelets import TubeletEncoder, TubeletParams


@dataclass
class VideoMaeParams(TubeletParams):
    """Settings of ``video_mae``; see :class:`TubeletParams`."""

    model: str = "MCG-NJU/videomae-base-ssv2"


def sinusoids(count: int, width: int) -> Tensor:
    """Compute sinusoids for the positions 0 ... ``count`` - 1, (count, width) float32, in float64."""
    places = torch.arange(count, dtype=torch.float64)[:, None]
    pairs = torch.arange(width, dtype=torch.float64) // 2 * 2
    angles = places / 10_000.0 ** (pairs / width)
    table = torch.where(torch.arange(width) % 2 == 0, angles.sin(), angles.cos())
    return table.float()


@video_encoder("video_mae", VideoMaeParams)
class VideoMae(TubeletEncoder):
    """The video encoder ``video_mae``; see the module's docstring."""

    architecture = Architecture(
        "video_mae",
        "models.videomae",
        "VideoMAEModel",
        "VideoMAEConfig",
        left_out=("decoder.", "encoder_to_decoder.", "mask_token", "classifier.", "fc_norm."),
    )
    positions: Tensor

    def __init__(self, params: VideoMaeParams) -> None:
        """Make the encoder; raises as ``TubeletEncoder`` does."""
        super().__init__(params)
        places = int(self.backbone.embeddings.num_patches)  # type: ignore[union-attr,arg-type]
        self.register_buffer("positions", sinusoids(places, self.token_width), persistent=False)

    @staticmethod
    def trunk(model: Any) -> nn.Module:
        """Return the whole model."""
        return model  # type: ignore[no-any-return]

    def side(self) -> int:
        """Return S, the side of the model's pictures."""
        return square_side("video_mae, image_size", self.config.image_size)

    def encode(self, pixels: Tensor) -> Tensor:
        """Run the model; see ``TubeletEncoder``."""
        model: Any = self.backbone
        patches: Tensor = model.embeddings.patch_embeddings(pixels)
        if patches.shape[1] > len(self.positions):
            self.positions = sinusoids(patches.shape[1], self.token_width).to(patches.device)
        tokens: Tensor = model.encoder(patches + self.positions[: patches.shape[1]]).last_hidden_state
        return tokens if model.layernorm is None else model.layernorm(tokens)
