"""Video encoder that runs a timm vision transformer on each frame of a clip separately.

Shape legend: B batch, F frames, N = valid frames of the batch, D token width, G grid size, H = W frame size.

It is tested with timm's CLIP, SigLIP, DINOv2 and DINOv3 models, with each model's own normalisation. See
:mod:`encoders.video.backbone_encoder` for frozen models (the default).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.contract import VideoFeatures
from encoders.layers.masking import masked_mean
from encoders.registry import video_encoder
from encoders.video.backbone_encoder import BackboneEncoder
from encoders.video.vit_backbone import (
    BackboneParams,
    create_backbone,
    load_weights,
    normalisation,
    normalise_frames,
)
from encoders.weights import WeightsError

POOLINGS = ("cls", "mean", "grid", "joint")


@dataclass
class VitParams(BackboneParams):
    """Settings of ``vit``, in addition to those of its backbone.

    Attributes:
        weights: ``pretrained`` (timm's), a path to a safetensors file (timm's naming, or a whole CLIP model's),
            or ``random``, which must be set explicitly.
        pooling: pooling of a frame's patch tokens: ``cls`` (the class token), ``mean`` (over patches),
            ``grid`` (the class token, if there is one, concatenated with the means over a G x G grid, which keep the
            places of objects), or ``joint`` (a CLIP model's image embedding: unit vectors in the common space with
            text).
        grid_size: G.
        frozen: True never trains the model.
        chunk: frames per pass through the model, which bounds its memory.
        precision: precision of a frozen encoder: ``float32``, ``bfloat16`` (autocast), or ``auto``, which is bfloat16
            on CUDA and float32 elsewhere.
    """

    weights: str = "pretrained"
    pooling: str = "grid"
    grid_size: int = 3
    frozen: bool = True
    chunk: int = 256
    precision: str = "auto"


@video_encoder("vit", VitParams)
class VideoVit(BackboneEncoder):
    """The video encoder ``vit``; see the module's docstring."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, params: VitParams) -> None:
        """Make the encoder.

        Raises:
            ValueError: a setting is invalid.
            WeightsError: the weights are unavailable or don't fit; the message names the remedy.
        """
        if params.pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}; found '{params.pooling}'")
        if params.chunk < 1 or params.grid_size < 1:
            raise ValueError(f"chunk and grid_size must be positive, found {params.chunk}, {params.grid_size}")
        joint = params.pooling == "joint"
        backbone = create_backbone(params, pretrained=params.weights == "pretrained", head=joint)
        super().__init__(backbone, _load(backbone, params), params.frozen, params.precision)
        self.params = params
        self.frame_size = params.frame_size
        mean, std = normalisation(params, self.backbone)
        self.register_buffer("pixel_mean", torch.tensor(mean), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(std), persistent=False)
        self.prefix = int(self.backbone.num_prefix_tokens)  # type: ignore[arg-type]
        self.has_cls = getattr(self.backbone, "cls_token", None) is not None
        if params.pooling == "cls" and not self.has_cls:
            raise ValueError(f"timm model '{params.model}' has no class token: pooling can't be 'cls'")
        width = int(self.backbone.num_features)  # type: ignore[arg-type]
        pieces = {"cls": 1, "mean": 1, "grid": params.grid_size**2 + int(self.has_cls)}
        widths = {name: width * count for name, count in pieces.items()}
        self.token_width = self.pooled_width = self._joint_width() if joint else widths[params.pooling]
        if not joint:
            # These layers after the tokens are unused; distributed training would wait for their gradients in vain.
            for name in ("attn_pool", "fc_norm"):
                if isinstance(part := getattr(self.backbone, name, None), nn.Module):
                    part.requires_grad_(False)

    def _joint_width(self) -> int:
        """Return the width of the image projection; refuse a classifier, which has a non-zero bias."""
        head = self.backbone.head
        if isinstance(head, nn.Linear) and self.has_cls and (head.bias is None or not head.bias.any()):
            return head.out_features
        raise WeightsError(
            f"pooling 'joint' needs a CLIP model with its image projection, and '{self.params.model}' with these"
            " weights has none (weights that were fine-tuned end in a classifier): take e.g."
            " vit_base_patch32_clip_quickgelu_224.openai or vit_base_patch32_clip_224.laion2b"
        )

    def forward(self, frames: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """Encode a batch, see ``VideoEncoder``; the content of masked frames has no effect.

        Raises:
            ValueError: frames are not uint8, or differ from the encoder's frame size.
        """
        self.check_frames(frames)
        # On a GPU, selecting the valid frames would wait for the device to count them; most frames are valid.
        tokens = (self.tokens_of_valid if frames.device.type == "cpu" else self.tokens_of_all)(frames, frame_mask)
        return VideoFeatures(tokens, masked_mean(tokens, frame_mask))

    def tokens_of_valid(self, frames: Tensor, frame_mask: Tensor) -> Tensor:
        """Encode only the valid frames, (B, F, D), zero where the mask is False."""
        tokens = torch.zeros(*frame_mask.shape, self.token_width, device=frames.device)
        valid = frames[frame_mask]
        return tokens.masked_scatter(frame_mask.unsqueeze(2), self._encode_some(valid)) if len(valid) else tokens

    def tokens_of_all(self, frames: Tensor, frame_mask: Tensor) -> Tensor:
        """Encode all frames, without waiting for the device; (B, F, D), zero where the mask is False."""
        encoded = self._encode_some(frames.flatten(0, 1)).view(*frame_mask.shape, -1)
        return torch.where(frame_mask.unsqueeze(2), encoded, 0)

    def _encode_some(self, frames: Tensor) -> Tensor:
        """Encode frames chunk by chunk, (N, 3, H, W) uint8 -> (N, D) float32."""
        with self.running(frames.device.type):
            return torch.cat([self._encode(chunk).float() for chunk in torch.split(frames, self.params.chunk)])

    def _encode(self, frames: Tensor) -> Tensor:
        """Encode one chunk of frames, (N, 3, H, W) uint8 -> (N, D)."""
        pixels = normalise_frames(frames, self.pixel_mean, self.pixel_std)
        tokens: Tensor = self.backbone.forward_features(pixels)  # type: ignore[operator]
        if self.params.pooling == "cls":
            return tokens[:, 0]
        if self.params.pooling == "joint":
            return F.normalize(self.backbone.forward_head(tokens).float(), dim=1)  # type: ignore[operator]
        patches = tokens[:, self.prefix :]
        if self.params.pooling == "mean":
            return patches.mean(1)
        grid: Any = self.backbone.patch_embed.grid_size  # type: ignore[union-attr]
        pictures = patches.transpose(1, 2).reshape(len(patches), -1, *grid)
        cells = F.adaptive_avg_pool2d(pictures, self.params.grid_size).flatten(2).transpose(1, 2)
        return torch.cat(([tokens[:, :1]] if self.has_cls else []) + [cells], dim=1).flatten(1)

    def identity(self) -> tuple[str, dict[str, Any]]:
        """See ``BackboneEncoder``."""
        settings = asdict(self.params)
        for key in ("weights", "frozen", "chunk"):
            del settings[key]
        settings["mean"], settings["std"] = normalisation(self.params, self.backbone)
        if settings["pooling"] != "grid":
            del settings["grid_size"]
        return "vit 1", settings


def _load(backbone: nn.Module, params: VitParams) -> str:
    """Load weights from a file, unless timm loaded them already; return a description of the weights."""
    if params.weights == "pretrained":
        config: Any = backbone.pretrained_cfg
        return f"timm's pretrained weights {config['architecture']}.{config['tag']}".rstrip(".")
    if params.weights == "random":
        return f"RANDOM weights for {params.model}, as weights=random asks for"
    load_weights(params.weights, backbone, params)
    return f"weights for {params.model} from {Path(params.weights)}"
