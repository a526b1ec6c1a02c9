"""Any timm vision transformer over the frames of a clip, each an image by itself.

Shape legend: B batch, F frames, N = valid frames of the batch, D token width, G grid size, H = W frame size.

Frozen (the default), it has no gradients, never leaves eval mode, and puts nothing into a checkpoint but its
fingerprint, which is compared when the checkpoint is loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from encoders.contract import VideoEncoder, VideoFeatures
from encoders.masking import masked_mean
from encoders.registry import video_encoder
from encoders.vit_backbone import (
    BackboneParams,
    WeightsError,
    create_backbone,
    load_weights,
    normalisation,
    normalise_frames,
)

POOLINGS = ("cls", "mean", "grid", "joint")
PRECISIONS = ("auto", "float32", "bfloat16")


class FingerprintError(RuntimeError):
    """A checkpoint was trained against another video encoder than the one that is there."""


@dataclass
class VitParams(BackboneParams):
    """Settings of ``vit``, beside those of its backbone.

    Attributes:
        weights: ``pretrained`` (timm's), a path to a safetensors file (timm's naming, or a whole CLIP model's),
            or ``random``, which must be asked for.
        pooling: what becomes of a frame's patch tokens: ``cls`` (the class token), ``mean`` (over patches),
            ``grid`` (class token, if there is one, and the means over a G x G grid side by side: where
            things are in the picture survives), or ``joint`` (a CLIP model's image embedding: unit vectors in
            the space that it shares with text).
        grid_size: G.
        frozen: never trained, see the module's docstring.
        chunk: frames that go through the model at once; bounds its memory.
        precision: of a frozen encoder: ``float32``, ``bfloat16`` (autocast), or ``auto``, bfloat16 on CUDA
            only.
    """

    weights: str = "pretrained"
    pooling: str = "grid"
    grid_size: int = 3
    frozen: bool = True
    chunk: int = 256
    precision: str = "auto"


@video_encoder("vit", VitParams)
class VideoVit(VideoEncoder):
    """See the module's docstring.

    Attributes:
        weights_description: one line for people that says which weights are loaded.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, params: VitParams) -> None:
        """Make the encoder.

        Raises:
            ValueError: a setting doesn't fit.
            WeightsError: the weights can't be had or don't fit; says what to do.
        """
        super().__init__()
        if params.pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}; found '{params.pooling}'")
        if params.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; found '{params.precision}'")
        if params.chunk < 1 or params.grid_size < 1:
            raise ValueError(f"chunk and grid_size must be positive, found {params.chunk}, {params.grid_size}")
        self.params = params
        self.frame_size = params.frame_size
        joint = params.pooling == "joint"
        self.backbone = create_backbone(params, pretrained=params.weights == "pretrained", head=joint)
        self.weights_description = self._load()
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
        if params.frozen:
            self.backbone.requires_grad_(False)
            self.backbone.eval()
            self.register_state_dict_post_hook(_drop_weights)  # type: ignore[no-untyped-call]
            self.register_load_state_dict_pre_hook(_keep_weights)  # type: ignore[no-untyped-call]

    def _load(self) -> str:
        params = self.params
        if params.weights == "pretrained":
            config: Any = self.backbone.pretrained_cfg
            return f"timm's pretrained weights {config['architecture']}.{config['tag']}".rstrip(".")
        if params.weights == "random":
            return f"RANDOM weights for {params.model}, as weights=random asks for"
        load_weights(params.weights, self.backbone, params)
        return f"weights for {params.model} from {Path(params.weights)}"

    def _joint_width(self) -> int:
        """Width of the image projection; a classifier, which has a bias that is not zero, is refused."""
        head = self.backbone.head
        if isinstance(head, nn.Linear) and self.has_cls and (head.bias is None or not head.bias.any()):
            return head.out_features
        raise WeightsError(
            f"pooling 'joint' needs a CLIP model with its image projection, and '{self.params.model}' with these"
            " weights has none (weights that were fine-tuned end in a classifier): take e.g."
            " vit_base_patch32_clip_quickgelu_224.openai or vit_base_patch32_clip_224.laion2b"
        )

    def train(self, mode: bool = True) -> Self:
        """As every module's, but a frozen backbone stays in eval mode."""
        super().train(mode)
        if self.params.frozen:
            self.backbone.eval()
        return self

    def forward(self, frames: Tensor, frame_mask: Tensor) -> VideoFeatures:
        """See ``VideoEncoder``; masked frames are not looked at.

        Raises:
            ValueError: frames are not uint8, or not of the size that the encoder was built for.
        """
        B, n_frames = frames.shape[:2]
        if frames.dtype != torch.uint8 or frames.shape[2:] != (3, self.frame_size, self.frame_size):
            raise ValueError(
                f"frames must be uint8 (B, F, 3, {self.frame_size}, {self.frame_size}), "
                f"found {frames.dtype} {tuple(frames.shape)}"
            )
        valid = frames[frame_mask]
        tokens = torch.zeros(B, n_frames, self.token_width, device=frames.device)
        if len(valid):
            chunks = torch.split(valid, self.params.chunk)
            if self.params.frozen:
                with torch.no_grad(), self._autocast(frames.device.type):
                    encoded = torch.cat([self._encode(chunk).float() for chunk in chunks])
            else:
                encoded = torch.cat([self._encode(chunk).float() for chunk in chunks])
            tokens = tokens.masked_scatter(frame_mask.unsqueeze(2), encoded)
        return VideoFeatures(tokens, masked_mean(tokens, frame_mask))

    def _autocast(self, device: str) -> torch.autocast:
        low = self.params.precision == "bfloat16" or (self.params.precision == "auto" and device == "cuda")
        return torch.autocast(device, dtype=torch.bfloat16, enabled=low)

    def _encode(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) uint8 -> (N, D)."""
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

    def fingerprint(self) -> str:
        """SHA-256 over the settings that change the features, and every weight's name, type, shape and bytes.

        Where a file lies, whether the encoder is frozen and how many frames go at once are left out. With
        ``precision=auto`` features from CUDA and CPU differ by bfloat16's rounding under one fingerprint.
        """
        settings = asdict(self.params)
        for key in ("weights", "frozen", "chunk"):
            del settings[key]
        settings["mean"], settings["std"] = normalisation(self.params, self.backbone)
        if settings["pooling"] != "grid":
            del settings["grid_size"]
        digest = hashlib.sha256(f"vit 1 {json.dumps(settings, sort_keys=True)}".encode())
        for name, value in sorted(self.backbone.state_dict().items()):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return digest.hexdigest()

    def get_extra_state(self) -> dict[str, str]:
        """What a checkpoint holds beside (or, frozen, instead of) the weights."""
        return {"fingerprint": self.fingerprint() if self.params.frozen else ""}

    def set_extra_state(self, state: Mapping[str, str]) -> None:
        """Compare a checkpoint's fingerprint with this encoder's.

        Raises:
            FingerprintError: they differ.
        """
        expected = state["fingerprint"]
        if self.params.frozen and expected and (found := self.fingerprint()) != expected:
            raise FingerprintError(
                f"the checkpoint was trained against a video encoder with fingerprint {expected[:12]}, "
                f"this one ({self.weights_description}) has {found[:12]}: load the same "
                "weights, with the same model, frame size, normalisation and pooling"
            )


def _drop_weights(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for key in [key for key in state if key.startswith(f"{prefix}backbone.")]:
        del state[key]


def _keep_weights(module: nn.Module, state: dict[str, Any], prefix: str, *arguments: Any) -> None:
    assert isinstance(module, VideoVit)
    if any(key.startswith(f"{prefix}backbone.") for key in state):
        raise FingerprintError(
            "the checkpoint holds a trained video backbone, but this encoder is frozen: set frozen=false to load it"
        )
    # Strict loading looks for every weight; a frozen encoder offers those it has.
    for key, value in module.backbone.state_dict().items():
        state[f"{prefix}backbone.{key}"] = value
