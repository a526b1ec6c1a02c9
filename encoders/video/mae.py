"""The paper's video encoder: VideoMAE (Tong et al., NeurIPS 2022), by transformers, whose numbers it gives.

Shape legend: B batch, N steps, R patches a step, D token width; the rest is said in :mod:`encoders.video.tubelets`.

VideoMAE adds fixed sinusoids to its patches. They are those of Vaswani et al. (2017) over a patch's place in the whole
clip counted through, step by step, row by row, so a place's sinusoid does not depend on how many follow. For a clip of
any length the table is computed for its N R places: for 10 frames that is the first 5 of the trained table's 8 steps;
beyond 16 frames the sinusoids go on as they would, untrained.

The paper's code takes ``MCG-NJU/videomae-base-ssv2``: pretrained on Something-Something v2, without its labels.
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
    """Settings of ``video_mae``, those of :class:`TubeletParams`."""

    model: str = "MCG-NJU/videomae-base-ssv2"


def sinusoids(count: int, width: int) -> Tensor:
    """Sinusoids for the places 0 ... ``count`` - 1, (count, width) float32, computed in float64."""
    places = torch.arange(count, dtype=torch.float64)[:, None]
    pairs = torch.arange(width, dtype=torch.float64) // 2 * 2
    angles = places / 10_000.0 ** (pairs / width)
    table = torch.where(torch.arange(width) % 2 == 0, angles.sin(), angles.cos())
    return table.float()


@video_encoder("video_mae", VideoMaeParams)
class VideoMae(TubeletEncoder):
    """See the module's docstring."""

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
        """All of it."""
        return model  # type: ignore[no-any-return]

    def side(self) -> int:
        """S."""
        return square_side("video_mae, image_size", self.config.image_size)

    def encode(self, pixels: Tensor) -> Tensor:
        """See ``TubeletEncoder``."""
        model: Any = self.backbone
        patches: Tensor = model.embeddings.patch_embeddings(pixels)
        if patches.shape[1] > len(self.positions):
            self.positions = sinusoids(patches.shape[1], self.token_width).to(patches.device)
        tokens: Tensor = model.encoder(patches + self.positions[: patches.shape[1]]).last_hidden_state
        return tokens if model.layernorm is None else model.layernorm(tokens)
