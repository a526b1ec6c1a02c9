"""V-JEPA 2 (Assran et al. 2025), a self-supervised video model of transformers, with identical outputs.

Shape legend: see :mod:`encoders.video.tubelets`.

The model rotates queries and keys by a patch's step, row and column, so it accepts clips of any length. Only the
encoder is kept; the predictor, and the attentive pooler of fine-tuned models, are left out. The smallest published
model has 300 million weights (``facebook/vjepa2-vitl-fpc64-256``); it was trained on 64 frames, at about 4 a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from encoders.registry import video_encoder
from encoders.video.hub_weights import Architecture, square_side
from encoders.video.tubelets import TubeletEncoder, TubeletParams


@dataclass
class Vjepa2Params(TubeletParams):
    """Settings of ``vjepa2``; see :class:`TubeletParams`."""

    model: str = "facebook/vjepa2-vitl-fpc64-256"
    frame_size: int = 256


@video_encoder("vjepa2", Vjepa2Params)
class Vjepa2(TubeletEncoder):
    """The video encoder ``vjepa2``; see the module's docstring."""

    architecture = Architecture(
        "vjepa2",
        "models.vjepa2",
        "VJEPA2Model",
        "VJEPA2Config",
        left_out=("predictor.", "pooler.", "classifier."),
        needed="encoder.",
    )

    @staticmethod
    def trunk(model: Any) -> nn.Module:
        """Return the model's encoder."""
        return model.encoder  # type: ignore[no-any-return]

    def side(self) -> int:
        """Return S, the side of the model's pictures."""
        return square_side("vjepa2, crop_size", self.config.crop_size)

    def encode(self, pixels: Tensor) -> Tensor:
        """Run the model; see ``TubeletEncoder``."""
        model: Any = self.backbone
        return model(pixel_values_videos=pixels).last_hidden_state  # type: ignore[no-any-return]
