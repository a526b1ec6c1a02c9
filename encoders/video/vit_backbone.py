"""A timm vision transformer, its settings, and its weights on disk.

``encoders.video.vit`` runs such a backbone over frames, and ``lightning_modules.masked_video`` trains one. Both create
it here, so that the encoder can load the trained weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn

from core.durable import write_atomically
from core.errors import first_line
from core.suggestions import did_you_mean
from encoders.video.hub import hub_or_cache
from encoders.weights import WeightsError, read_safetensors

FORMAT = "imu-video-har vit 1"
_NO_DIGEST = ""  # files of version 0.2.0 and earlier have none


@dataclass
class BackboneParams:
    """Settings of a backbone, without its weights.

    Attributes:
        model: timm's name of the architecture, e.g. ``vit_tiny_patch16_224``.
        kwargs: overrides for timm, e.g. ``{embed_dim: 128, depth: 4, num_heads: 4, patch_size: 16}``.
        frame_size: height and width of the frames, pixels.
        mean: mean of each colour of a frame in 0 ... 1, which is subtracted; empty takes the model's own.
        std: standard deviation of each colour, the divisor; empty takes the model's own.
    """

    model: str = "vit_tiny_patch16_224"
    kwargs: dict[str, Any] = field(default_factory=dict)
    frame_size: int = 112
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)


def create_backbone(params: BackboneParams, pretrained: bool = False, head: bool = False) -> nn.Module:
    """Make the timm model of ``params``, without a classifier.

    Args:
        params: settings of the backbone.
        pretrained: True loads timm's weights.
        head: True keeps the model's own head, which in a CLIP model is the image projection.

    Raises:
        ValueError: timm doesn't know the name or an override, or the model is not a vision transformer.
        WeightsError: timm's pretrained weights are unavailable.
    """
    if not timm.is_model(params.model):
        hint = did_you_mean(params.model, timm.list_models("vit_*"), most=5) or "; timm.list_models('vit_*') lists them"
        raise ValueError(f"timm {timm.__version__} has no model '{params.model}'{hint}")
    if pretrained and not timm.is_model_pretrained(params.model):
        raise WeightsError(f"timm has no pretrained weights for '{params.model}'; {_REMEDY}")
    if head and pretrained and "num_classes" in params.kwargs:
        raise ValueError(f"leave kwargs.num_classes out: the head of '{params.model}' comes with its weights")
    no_head: dict[str, Any] = {} if head else {"num_classes": 0}
    settings = {"img_size": params.frame_size, **params.kwargs, **no_head}
    try:
        backbone = _pretrained(params.model, settings) if pretrained else timm.create_model(params.model, **settings)
    except TypeError as error:
        raise ValueError(f"timm model '{params.model}' can't be made with {settings}: {error}") from error
    if not hasattr(backbone, "patch_embed") or not hasattr(backbone, "num_prefix_tokens"):
        raise ValueError(f"timm model '{params.model}' is not a vision transformer: it has no patch tokens")
    if pretrained and params.kwargs:
        _check_overrides(backbone, params, no_head)
    return backbone


def _pretrained(model: str, settings: dict[str, Any]) -> nn.Module:
    with hub_or_cache() as hub:
        try:
            made: nn.Module = timm.create_model(model, pretrained=True, **settings)
        except (OSError, RuntimeError) as error:
            raise WeightsError(
                f"timm's pretrained weights for '{model}' could not be loaded ({hub.why(error)}). {_REMEDY}"
            ) from error
    return made


def _check_overrides(backbone: nn.Module, params: BackboneParams, no_head: dict[str, Any]) -> None:
    # Without a classifier, timm loads leniently: weights added by an override would silently stay random.
    with torch.device("meta"):
        plain = timm.create_model(params.model, **no_head)
    added = sorted(backbone.state_dict().keys() - plain.state_dict().keys())
    if added:
        raise WeightsError(
            f"timm's pretrained weights for '{params.model}' lack {added[:4]}"
            f"{'...' if len(added) > 4 else ''}, which kwargs {dict(params.kwargs)} add"
        )


_REMEDY = (
    "Offline, either fill timm's cache on a machine with a network (HF_HOME) and copy it here, or set "
    "weights to a local .safetensors file (e.g. one that masked_video saved). Random weights must "
    "be set explicitly: weights=random."
)


def normalisation(params: BackboneParams, backbone: nn.Module) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each colour, from ``params`` or else from the model's training.

    Raises:
        ValueError: there are not three values each, or a standard deviation is not positive.
    """
    config: Any = backbone.pretrained_cfg
    mean = [float(value) for value in (params.mean or config["mean"])]
    std = [float(value) for value in (params.std or config["std"])]
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(f"mean and std need three values each, std above zero; found {mean} and {std}")
    return mean, std


def save_weights(path: str | Path, backbone: nn.Module, params: BackboneParams) -> Path:
    """Write a backbone's weights and settings to a safetensors file, completely or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    mean, std = normalisation(params, backbone)
    metadata = {
        "format": FORMAT,
        "model": params.model,
        "kwargs": json.dumps(dict(params.kwargs), sort_keys=True),
        "frame_size": str(params.frame_size),
        "mean": json.dumps(mean),
        "std": json.dumps(std),
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in backbone.state_dict().items()}
    metadata["digest"] = _digest(tensors)
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata=metadata))
    return path


def load_weights(path: str | Path, backbone: nn.Module, params: BackboneParams) -> None:
    """Load a safetensors file into ``backbone``, completely or not at all.

    The names of weights are timm's, or those of a whole CLIP model by OpenAI or open_clip, whose image half is used. A
    classifier in the file is ignored, and absolute position embeddings are resampled to the frames' size. A file from
    ``save_weights`` must have the same model and normalisation.

    Raises:
        WeightsError: the file is missing, is not a safetensors file, or doesn't fit.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}. {_REMEDY}")
    try:
        tensors, metadata = read_safetensors(path)
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a readable safetensors file: {error}") from error
    if metadata.get("format") == FORMAT:
        if metadata.get("digest", _NO_DIGEST) not in (_NO_DIGEST, _digest(tensors)):
            raise WeightsError(f"{path}: damaged: its weights differ from their digest; delete it, or use a copy")
        _check_settings(path, metadata, backbone, params)
    wanted = backbone.state_dict()
    if "visual.class_embedding" in tensors:
        tensors = checkpoint_filter_fn(tensors, backbone)  # type: ignore[arg-type]
    tensors = {name: value for name, value in tensors.items() if name in wanted or not _is_classifier(name)}
    old, new = tensors.get("pos_embed"), wanted.get("pos_embed")
    if old is not None and new is not None and old.shape != new.shape and old.shape[-1] == new.shape[-1]:
        tensors["pos_embed"] = _resampled(old, new, backbone)
    missing = sorted(wanted.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - wanted.keys())
    misshapen = [
        f"{name} is {tuple(tensors[name].shape)} in the file and {tuple(wanted[name].shape)} in the model"
        for name in sorted(wanted.keys() & tensors.keys())
        if tensors[name].shape != wanted[name].shape
    ]
    if missing or unexpected or misshapen:
        raise WeightsError(
            f"{path} doesn't fit the timm model '{params.model}' with {dict(params.kwargs)}: "
            f"missing {missing[:4]}{'...' if len(missing) > 4 else ''}, "
            f"unexpected {unexpected[:4]}{'...' if len(unexpected) > 4 else ''}, shapes: {misshapen[:4]}"
        )
    backbone.load_state_dict(tensors)


def _is_classifier(name: str) -> bool:
    return name.split(".")[0] in ("head", "head_dist", "fc")


def _resampled(old: Tensor, new: Tensor, backbone: nn.Module) -> Tensor:
    prefix = 0 if getattr(backbone, "no_embed_class", False) else int(backbone.num_prefix_tokens)  # type: ignore[arg-type]
    grid: Any = backbone.patch_embed.grid_size  # type: ignore[union-attr]
    side = round((old.shape[1] - prefix) ** 0.5)
    if side * side + prefix != old.shape[1]:
        return old  # not a square grid: the caller reports the shape
    resampled: Tensor = resample_abs_pos_embed(old, list(grid), [side, side], prefix)
    return resampled


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        digest.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _check_settings(path: Path, metadata: dict[str, str], backbone: nn.Module, params: BackboneParams) -> None:
    mean, std = normalisation(params, backbone)
    try:
        found = {
            "model": metadata["model"],
            "mean": json.loads(metadata["mean"]),
            "std": json.loads(metadata["std"]),
        }
    except (KeyError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: damaged: its settings can't be read: {first_line(error)}") from error
    expected = {"model": params.model, "mean": mean, "std": std}
    for key, value in expected.items():
        if found[key] != value:
            raise WeightsError(f"{path} was trained with {key} {found[key]}; the settings have {value}")


def normalise_frames(frames: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Convert uint8 RGB (N, 3, H, W) to float32: (colour / 255 - ``mean``) / ``std``; ``mean`` and ``std`` are (3,)."""
    # In place: clearing fresh memory for each of these takes a processor longer than computing them.
    return frames.to(torch.float32).div_(255).sub_(mean[:, None, None]).div_(std[:, None, None])
