"""Pretraining of a small vision transformer on unlabelled frames by masked patches (He et al. 2022, MAE).

It is meant for machines without a network: the default experiment pretrains its ViT with this module, saves it, and
freezes it. ::

    module = MaskedVideoPretraining({"kwargs": {"embed_dim": 128, "depth": 4, "num_heads": 4}}, {"steps": 1000})
    Trainer(max_steps=1000).fit(module, frames)  # batches (N, 3, H, W), or (N, 2, 3, H, W): frame and later frame
    module.save_backbone("data/weights/vit.safetensors")

Shape legend: N frames, P patches of a frame, V visible patches, D encoder width, E decoder width, Q values of a patch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from core.registry import merge_params
from encoders.video.vit import VitParams
from encoders.video.vit_backbone import (
    BackboneParams,
    create_backbone,
    normalisation,
    normalise_frames,
    save_weights,
)
from lightning_modules.losses.patch_errors import patch_errors


@dataclass
class MaskedVideoParams:
    """Settings of the training.

    Attributes:
        mask_share: share of patches hidden from the encoder.
        decoder_width: E.
        decoder_depth: blocks of the decoder.
        decoder_heads: attention heads of the decoder.
        normalise_patches: True predicts each patch standardised by its own mean and deviation, as MAE does; False
            predicts the normalised pixels.
        difference_weight: weight of predicting the difference of the later frame, which makes the features represent
            moving objects; 0 leaves it out.
        difference_everywhere: True predicts the difference for all patches, False only for the masked ones.
        max_shift: largest random shift of a batch, as a share of the frames' size.
        max_zoom: largest random zoom of a batch, in or out.
        learning_rate: peak learning rate.
        weight_decay: weight decay of weights with two or more axes.
        warmup: steps until the peak.
        steps: length of the cosine schedule; set the trainer's ``max_steps`` to the same number.
    """

    mask_share: float = 0.75
    decoder_width: int = 96
    decoder_depth: int = 1
    decoder_heads: int = 4
    normalise_patches: bool = False
    difference_weight: float = 0.5
    difference_everywhere: bool = True
    max_shift: float = 0.06
    max_zoom: float = 1.1
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 50
    steps: int = 600  # as video_pretraining.steps


def patchify(images: Tensor, patch: tuple[int, int]) -> Tensor:
    """Cut images into patches in the transformer's order, (N, C, H, W) -> (N, P, Q); Q = C times the patch's pixels."""
    N, C, H, W = images.shape
    height, width = patch
    cut = images.reshape(N, C, H // height, height, W // width, width)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(N, -1, C * height * width)


def random_visible(count: int, patches: int, visible: int, device: torch.device) -> Tensor:
    """Draw the visible patches of each of ``count`` frames: (count, visible) distinct indices below ``patches``."""
    return torch.rand(count, patches, device=device).argsort(1)[:, :visible]


class PatchDecoder(nn.Module):
    """A decoder that predicts all patches from the visible ones."""

    def __init__(self, params: MaskedVideoParams, width: int, patches: int, values: int) -> None:
        super().__init__()
        self.input = nn.Linear(width, params.decoder_width)
        self.hole = nn.Parameter(0.02 * torch.randn(params.decoder_width))
        self.positions = nn.Parameter(0.02 * torch.randn(patches, params.decoder_width))
        self.blocks = nn.Sequential(
            *(
                Block(params.decoder_width, params.decoder_heads, mlp_ratio=2.0, qkv_bias=True)
                for _ in range(params.decoder_depth)
            )
        )
        self.norm = nn.LayerNorm(params.decoder_width)
        self.output = nn.Linear(params.decoder_width, values)

    def forward(self, prefix: Tensor, visible: Tensor, indices: Tensor) -> Tensor:
        """Predict from prefix tokens (N, ., D), visible tokens (N, V, D) and their indices (N, V) -> (N, P, values)."""
        prefix, visible = self.input(prefix), self.input(visible)
        everywhere = self.hole.to(visible.dtype).expand(len(visible), len(self.positions), -1)
        places = indices.unsqueeze(2).expand_as(visible)
        x = everywhere.scatter(1, places, visible) + self.positions
        x = self.blocks(torch.cat([prefix, x], dim=1))
        return self.output(self.norm(x[:, prefix.shape[1] :]))  # type: ignore[no-any-return]


class MaskedVideoPretraining(lightning.LightningModule):
    """Masked pretraining of a vision transformer, see the module's docstring.

    Args:
        vit: settings of the backbone or of the encoder ``vit`` (``weights``, ``pooling`` and others have no effect
            here), or a mapping of some of these settings.
        params: ``MaskedVideoParams``, or a mapping of some of these settings.

    Raises:
        ValueError: the model is not timm's plain vision transformer with learnt positions, or a share or
            weight is out of range.
    """

    def __init__(self, vit: BackboneParams | Mapping[str, Any], params: MaskedVideoParams | Mapping[str, Any]) -> None:
        super().__init__()
        if not isinstance(vit, BackboneParams):
            vit = merge_params("video encoder 'vit'", VitParams, vit)
        if not isinstance(params, MaskedVideoParams):
            params = merge_params("masked video pretraining", MaskedVideoParams, params)
        self.vit_params: BackboneParams = vit
        self.params = params
        if not 0 < self.params.mask_share < 1:
            raise ValueError(f"mask_share must lie between 0 and 1, found {self.params.mask_share}")
        backbone = create_backbone(self.vit_params)
        if not isinstance(backbone, VisionTransformer) or backbone.pos_embed is None:
            raise ValueError(
                f"masked-patch training needs timm's VisionTransformer with learnt positions; "
                f"'{self.vit_params.model}' is a {type(backbone).__name__}"
            )
        self.backbone: Any = backbone
        self.patch: tuple[int, int] = tuple(backbone.patch_embed.patch_size)
        if any(self.vit_params.frame_size % side for side in self.patch):
            raise ValueError(f"frames of {self.vit_params.frame_size} px can't be cut into patches of {self.patch}")
        self.patches = int(backbone.patch_embed.num_patches)
        self.visible = max(1, round(self.patches * (1 - self.params.mask_share)))
        if self.visible == self.patches:
            raise ValueError(f"mask_share {self.params.mask_share} masks none of {self.patches} patches")
        self.values = 3 * self.patch[0] * self.patch[1]
        self.paints_difference = self.params.difference_weight > 0
        outputs = self.values * (2 if self.paints_difference else 1)
        self.decoder = PatchDecoder(self.params, backbone.embed_dim, self.patches, outputs)
        mean, std = normalisation(self.vit_params, backbone)
        self.register_buffer("pixel_mean", torch.tensor(mean), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(std), persistent=False)

    def encode(self, pixels: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Run the encoder on the visible patches only.

        Args:
            pixels: (N, 3, H, W) normalised.
            indices: (N, V).

        Returns:
            Prefix tokens (N, ., D) and visible tokens (N, V, D).
        """
        return self._encode_patches(patchify(pixels, self.patch), indices)

    def _encode_patches(self, patches: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """As ``encode``, from the patches (N, P, Q) of all pixels; only the visible ones are embedded."""
        vit = self.backbone
        embed, prefix = vit.patch_embed, vit.num_prefix_tokens
        shown = patches.gather(1, indices.unsqueeze(2).expand(-1, -1, patches.shape[2]))
        visible = embed.norm(F.linear(shown, embed.proj.weight.flatten(1), embed.proj.bias))
        # Positions are added to tokens: those of zeros are the positions themselves, behind the prefix tokens.
        grid = embed.grid_size if vit.dynamic_img_size else (self.patches,)
        positions = vit._pos_embed(patches.new_zeros(1, *grid, vit.embed_dim))
        # Not by an index: on several threads, its gradient is summed in whatever order they come.
        places = indices.unsqueeze(2).expand(-1, -1, vit.embed_dim)
        visible = visible + positions[:, prefix:].expand(len(patches), -1, -1).gather(1, places)
        x = torch.cat([positions[:, :prefix].expand(len(patches), -1, -1), visible], dim=1)
        x = vit.norm(vit.blocks(vit.norm_pre(x)))
        return x[:, :prefix], x[:, prefix:]

    def losses(self, pixels: Tensor, later: Tensor | None, indices: Tensor) -> dict[str, Tensor]:
        """Compute the mean squared errors over the masked patches (for the difference, see ``difference_everywhere``).

        Args:
            pixels: (N, 3, H, W) normalised frames.
            later: (N, 3, H, W) normalised later frames; None leaves the difference out.
            indices: (N, V) visible patches.

        Returns:
            ``reconstruction`` and, with ``later``, ``difference``. The latter is relative to the difference's mean
            square, so predicting no difference gives 1.
        """
        target = patchify(pixels, self.patch)
        painted = self.decoder(*self._encode_patches(target, indices), indices)
        masked = torch.ones(len(pixels), self.patches, dtype=torch.bool, device=pixels.device)
        masked = masked.scatter(1, indices, False)
        if self.params.normalise_patches:
            # A floor of two grey levels prevents amplifying compression noise in flat background.
            floor = (2 / 255 / self.pixel_std.mean()) ** 2  # type: ignore[operator]
            centred = target - target.mean(2, keepdim=True)
            target = centred * torch.rsqrt(centred.square().mean(2, keepdim=True) + floor)
        # In two, not by two slices, whose gradients would each be filled up with zeros.
        picture, *difference = painted.split(self.values, dim=2)
        errors = patch_errors(picture, target)
        found = {"reconstruction": errors[masked].mean()}
        if later is not None:
            change = patchify(later - pixels, self.patch)
            size = change.square().mean().clamp(min=1e-6)
            errors = patch_errors(difference[0], change.mul_(torch.rsqrt(size)))
            found["difference"] = (errors if self.params.difference_everywhere else errors[masked]).mean()
        return found

    def _prepared(self, frames: Tensor) -> tuple[Tensor, Tensor | None]:
        size = self.vit_params.frame_size
        pair = frames.ndim == 5
        shape = (2, 3, size, size) if pair else (3, size, size)
        if frames.dtype != torch.uint8 or frames.shape[1:] != shape:
            raise ValueError(
                f"frames must be uint8 (N, 3, {size}, {size}) or (N, 2, 3, {size}, {size}), "
                f"found {frames.dtype} {tuple(frames.shape)}"
            )
        if self.paints_difference and not pair:
            raise ValueError("difference_weight > 0 needs pairs of frames (N, 2, 3, H, W): pass them, or set it to 0")
        flat = normalise_frames(frames.reshape(-1, 3, size, size), self.pixel_mean, self.pixel_std)  # type: ignore[arg-type]
        if self.training:
            flat = self._moved(flat)
        if not pair:
            return flat, None
        now, later = flat.reshape(len(frames), 2, 3, size, size).unbind(1)
        return now, later if self.paints_difference else None

    def _moved(self, pixels: Tensor) -> Tensor:
        """Shift and zoom the whole batch equally, so that frame and later frame stay aligned."""
        if self.params.max_shift == 0 and self.params.max_zoom == 1:
            return pixels
        shift = (torch.rand(2, device=pixels.device) * 2 - 1) * 2 * self.params.max_shift
        zoom = self.params.max_zoom ** float(torch.rand(()) * 2 - 1)
        theta = torch.zeros(1, 2, 3, device=pixels.device)
        theta[0, 0, 0] = theta[0, 1, 1] = 1 / zoom
        theta[0, :, 2] = shift
        grid = F.affine_grid(theta, [1, 3, *pixels.shape[2:]], align_corners=False)
        # Frames and colours are channels of an image, so that its grid is looked up once; of an image for each thread,
        # since torch shares images between threads, not channels.
        channels = pixels.flatten(0, 1)
        most = torch.get_num_threads() if pixels.device.type == "cpu" else 1
        images = max(count for count in range(1, most + 1) if len(channels) % count == 0)
        stacked, grids = channels.view(images, -1, *channels.shape[1:]), grid.expand(images, -1, -1, -1)
        moved = F.grid_sample(stacked, grids, padding_mode="border", align_corners=False)
        return moved.reshape(pixels.shape)

    def _step(self, batch: Tensor, stage: str) -> Tensor:
        pixels, later = self._prepared(batch)
        indices = random_visible(len(pixels), self.patches, self.visible, pixels.device)
        losses = self.losses(pixels, later, indices)
        total = losses["reconstruction"]
        if "difference" in losses:
            total = total + self.params.difference_weight * losses["difference"]
        for name, value in {**losses, "loss": total}.items():
            self.log(f"video_encoder/{stage}_{name}", value, batch_size=len(pixels), sync_dist=stage == "val")
        return total

    def on_fit_start(self) -> None:
        """Choose the attention.

        On a processor torch's fused one takes two to eight times as long in bfloat16, and as long in float32.
        """
        module: Any
        for module in self.modules():
            if hasattr(module, "fused_attn"):  # timm's
                module.fused_attn = self.device.type != "cpu"

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Compute the loss of a batch of uint8 frames (N, 3, H, W), or of pairs (N, 2, 3, H, W)."""
        return self._step(batch, "train")

    def validation_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Compute the loss of a batch without shift and zoom."""
        return self._step(batch, "val")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Create AdamW and a schedule per step with warm-up and cosine."""
        params = self.params
        matrices = [p for p in self.parameters() if p.ndim > 1]
        vectors = [p for p in self.parameters() if p.ndim <= 1]
        optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": params.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=params.learning_rate,
            betas=(0.9, 0.95),
        )

        def share(step: int) -> float:
            done = min(1.0, step / max(1, params.steps))
            return min(1.0, (step + 1) / max(1, params.warmup)) * max(0.01, 0.5 * (1 + math.cos(math.pi * done)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, share)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def save_backbone(self, path: str | Path) -> Path:
        """Write the encoder to a safetensors file, completely or not at all, for the setting ``weights`` of ``vit``."""
        return save_weights(path, self.backbone, self.vit_params)
