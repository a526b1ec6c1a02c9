"""Small video models of transformers with random weights, as encoders and as folders that are like the hub's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from encoders.registry import build_video_encoder
from encoders.video.tubelets import TubeletEncoder

MAE: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": 32,
}
JEPA: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "crop_size": 32,
    "pred_hidden_size": 24,
    "pred_num_hidden_layers": 1,
    "pred_num_attention_heads": 2,
}
SMALL: dict[str, dict[str, Any]] = {"video_mae": MAE, "vjepa2": JEPA}
NAMES = list(SMALL)


def make_tubelets(name: str, **params: Any) -> TubeletEncoder:
    torch.manual_seed(0)
    settings = {"weights": "random", "frame_size": 32, **params}
    if settings["weights"] == "random":
        settings.setdefault("config", SMALL[name])
    encoder = build_video_encoder(name, settings)
    assert isinstance(encoder, TubeletEncoder)
    return encoder


def made_clip(n_frames: int, count: int = 2, side: int = 32) -> tuple[Tensor, Tensor]:
    frames = torch.randint(0, 256, (count, n_frames, 3, side, side), dtype=torch.uint8)
    return frames, torch.ones(count, n_frames, dtype=torch.bool)


def spread(model: torch.nn.Module) -> None:
    """Random weights as large as trained ones: with those that transformers draws, layers hardly do anything."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))


def saved_model(folder: Path, name: str) -> Any:
    """A whole model of transformers with random weights, written to a folder as it would be on the hub."""
    import transformers  # optional

    torch.manual_seed(3)
    model: Any
    if name == "video_mae":
        settings = {**MAE, "use_mean_pooling": False, "decoder_num_attention_heads": 2}
        model = transformers.VideoMAEForPreTraining(transformers.VideoMAEConfig(**settings))
    else:
        model = transformers.VJEPA2ForVideoClassification(transformers.VJEPA2Config(**JEPA, num_pooler_layers=1))
    spread(model)
    model.eval().save_pretrained(folder)
    return model
