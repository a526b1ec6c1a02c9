"""A whole CLIP model, small and with random weights, as a file that both our video encoders can load."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch
from safetensors.torch import save_file

SIZE, WIDTH = 32, 24
# The settings of ``vit`` that make the same image video encoder.
VIT = {"num_classes": WIDTH, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 4}


class MadeClip(NamedTuple):
    """open_clip's name of the model, its weights, and the model itself."""

    name: str
    weights: Path
    model: Any


def make_clip(folder: Path, name: str, quick_gelu: bool = False, seed: int = 0) -> MadeClip:
    """Tell open_clip of the model, and save one with random weights."""
    settings = {
        "embed_dim": WIDTH,
        "quick_gelu": quick_gelu,
        "vision_cfg": {"image_size": SIZE, "layers": 2, "width": 48, "head_width": 12, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    (folder / f"{name}.json").write_text(json.dumps(settings), encoding="utf-8")
    open_clip.add_model_config(folder / f"{name}.json")
    torch.manual_seed(seed)
    model = open_clip.create_model(name).eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "mlp" in key and key.endswith("weight"):
                value *= 4  # as much as a trained one's MLPs do: it matters whether GELU is the quick one
            if key.endswith("bias"):
                torch.nn.init.normal_(value, std=0.1)  # zeros would hide one that got lost
    weights = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, weights)
    return MadeClip(name, weights, model)
