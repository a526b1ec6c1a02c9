"""Contrastive pretraining of an IMU encoder against a frozen video tower, with temporal alignment.

Shape legend: B windows, V views, T samples, L IMU tokens, F frames, D token width, P pooled width, E width of
the shared space.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from encoders.contract import ImuFeatures, ImuInput, VideoEncoder, VideoFeatures
from encoders.projection import ProjectionHead
from encoders.registry import build_imu_encoder, build_video_head
from lightning_modules.figures import alignment_figure, similarity_figure
from lightning_modules.losses.clock_shift import alignment_error_ms
from lightning_modules.losses.negatives import neighbour_mask
from lightning_modules.losses.sigmoid import SigmoidLoss
from lightning_modules.losses.softmax import SoftmaxLoss
from lightning_modules.losses.temporal_alignment import (
    TemporalAlignmentLoss,
    TemporalAlignmentParams,
    interpolate_tokens,
)
from lightning_modules.losses.view_consistency import view_consistency_loss
from lightning_modules.optim import adamw, warmup_cosine
from lightning_modules.retrieval import retrieval_metrics

Batch = dict[str, Any]


class CheckpointError(ValueError):
    """A checkpoint that can't be used; the message names the file and what is wrong."""


@dataclass(frozen=True)
class PretrainingSettings:
    """What the module is made from; plain values, since they are a checkpoint's hyper-parameters.

    Attributes:
        imu_encoder: ``{"name": ..., "params": {...}}`` for the registry.
        imu_input: ``{"samples": T, "rate_hz": ...}``.
        video_head: as ``imu_encoder``.
        frame_width: width of the video encoder's frame tokens.
        contrastive: "sigmoid" or "softmax".
        alignment_weight: of the temporal alignment loss; 0 leaves it out.
        alignment_width_s: of its Gaussian target.
        alignment_temperature: at the start.
        alignment_dim: width of the space in which tokens are compared with frames.
        consistency_weight: of the view consistency loss; 0 leaves it out.
        consistency_temperature: its temperature.
        projection_width: E.
        projection_dropout: in both projection heads.
        same_recording_gap_s: windows of one recording closer than this are no negatives.
        lr: peak learning rate.
        min_lr: at the last step.
        weight_decay: decoupled.
        scalar_lr_factor: temperatures and the sigmoid's bias learn at this times the rate.
        warmup_share: share of the steps in which the rate rises.
        total_steps: optimiser steps of the whole run.
        seed: of dropout; with the step and rank it fixes every draw.
        max_shift_s: validation finds shifts up to this.
        normalisation: of the IMU, for whoever uses the encoder later.
        window: the settings that the windows were cut with, likewise.
        pretraining_subjects: "source/subject" of every person seen, for the guard of the evaluation.
        excluded_activities: windows with these labels were left out.
        video_encoder: what the frame features came from: name, weights, fingerprint.
        simulated: trained on simulated data.
    """

    imu_encoder: dict[str, Any]
    imu_input: dict[str, Any]
    video_head: dict[str, Any]
    frame_width: int
    contrastive: str = "sigmoid"
    alignment_weight: float = 0.5
    alignment_width_s: float = 0.25
    alignment_temperature: float = 0.1
    alignment_dim: int = 128
    consistency_weight: float = 0.0
    consistency_temperature: float = 0.2
    projection_width: int = 512
    projection_dropout: float = 0.1
    same_recording_gap_s: float = 0.0
    lr: float = 1e-3
    min_lr: float = 1e-7
    weight_decay: float = 0.05
    scalar_lr_factor: float = 10.0
    warmup_share: float = 0.05
    total_steps: int = 1
    seed: int = 0
    max_shift_s: float = 1.0
    normalisation: str = "physical"
    window: dict[str, Any] | None = None
    pretraining_subjects: list[str] | None = None
    excluded_activities: list[str] | None = None
    video_encoder: dict[str, Any] | None = None
    simulated: bool = False


class ContrastivePretraining(L.LightningModule):
    """The IMU encoder, a head over frozen frame features, projections and losses."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = PretrainingSettings(**settings)
        self.save_hyperparameters(asdict(self.settings))
        s = self.settings
        self.imu_encoder = build_imu_encoder(s.imu_encoder["name"], s.imu_encoder["params"], ImuInput(**s.imu_input))
        self.video_head = build_video_head(s.video_head["name"], s.video_head["params"], s.frame_width)
        self.imu_projection = ProjectionHead(self.imu_encoder.pooled_width, s.projection_width, s.projection_dropout)
        self.video_projection = ProjectionHead(self.video_head.pooled_width, s.projection_width, s.projection_dropout)
        self.contrastive_loss: nn.Module = SigmoidLoss() if s.contrastive == "sigmoid" else SoftmaxLoss()
        if s.alignment_weight:
            self.imu_token_projection = nn.Linear(self.imu_encoder.token_width, s.alignment_dim)
            self.frame_token_projection = nn.Linear(self.video_head.token_width, s.alignment_dim)
            self.alignment_loss = TemporalAlignmentLoss(
                TemporalAlignmentParams(width_s=s.alignment_width_s, temperature=s.alignment_temperature)
            )
        if s.consistency_weight:
            width = self.imu_encoder.pooled_width
            self.consistency_projection = nn.Sequential(nn.Linear(width, 256), nn.GELU(), nn.Linear(256, 128))
        self.video_encoder: VideoEncoder | None = None
        self._validation: list[dict[str, Tensor]] = []

    def use_video_encoder(self, encoder: VideoEncoder) -> None:
        """Encode the batches' clips in every step, instead of reading cached features."""
        self.video_encoder = encoder

    @classmethod
    def load_pretrained(cls, path: str | Path, map_location: str = "cpu") -> ContrastivePretraining:
        """Load a checkpoint for use, in eval mode; a live video encoder's weights are left out.

        Raises:
            CheckpointError: the file is no checkpoint of this module.
        """
        try:
            content = torch.load(path, map_location=map_location, weights_only=True)
        except (UnpicklingError, RuntimeError, EOFError) as error:
            raise CheckpointError(f"{path}: not a checkpoint, or a torn one: torch can't read the file") from error
        if not isinstance(content, dict) or not {"hyper_parameters", "state_dict"} <= content.keys():
            raise CheckpointError(f"{path}: not a checkpoint: 'hyper_parameters' or 'state_dict' is missing")
        try:
            module = cls(**content["hyper_parameters"])
        except TypeError as error:
            raise CheckpointError(f"{path}: not a checkpoint of {cls.__name__}: {error}") from error
        weights = {k: v for k, v in content["state_dict"].items() if not k.startswith("video_encoder.")}
        try:
            module.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(f"{path}: weights that do not fit its settings: {error}") from error
        return module.eval()

    def encode_video(self, batch: Batch) -> VideoFeatures:
        """The video head's output for a batch with ``features`` or ``frames``."""
        if "features" in batch:
            features = batch["features"].float()
        elif self.video_encoder is not None:
            features = self.video_encoder(batch["frames"], batch["frame_mask"]).frame_tokens.float()
        else:
            raise ValueError("the batch has clips but no features, and no video encoder was given to encode them")
        video: VideoFeatures = self.video_head(features, batch["frame_times"], batch["frame_mask"])
        return video

    def embed_imu(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> Tensor:
        """IMU windows in the shared space, (B, E) unit vectors; arguments as :class:`ImuEncoder` takes them."""
        pooled = self.imu_encoder(imu, channel_mask, sample_mask).pooled
        return F.normalize(self.imu_projection(pooled), dim=1)

    def embed_video(self, frame_features: Tensor, frame_times: Tensor, frame_mask: Tensor) -> Tensor:
        """Clips in the shared space, (B, E) unit vectors, from frame features (B, F, D)."""
        pooled = self.video_head(frame_features, frame_times, frame_mask).pooled
        return F.normalize(self.video_projection(pooled), dim=1)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make dropout a function of (seed, step, rank), so that a resumed run draws what it would have drawn."""
        key = (self.settings.seed * 1_000_003 + self.global_step) * 4096 + self.global_rank
        torch.manual_seed(key % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Contrastive loss, alignment inside windows, and consistency of the views; each averaged over views."""
        s = self.settings
        views: list[Batch] = batch["views"]
        n_views = len(views)
        video = self.encode_video(batch)
        video_embedding = self.video_projection(video.pooled)
        imu = self._encode_views(batch, views)
        imu_embeddings = self.imu_projection(imu.pooled).chunk(n_views)
        negatives = self._negative_mask(batch)
        contrastive = torch.stack([self.contrastive_loss(e, video_embedding, negatives) for e in imu_embeddings]).mean()
        loss = contrastive
        parts = {"contrastive": contrastive}
        if s.alignment_weight:
            parts["alignment"] = self._alignment(imu, video, views, batch["frame_mask"])
            loss = loss + s.alignment_weight * parts["alignment"]
        if s.consistency_weight and n_views > 1:
            first, second = self.consistency_projection(imu.pooled).chunk(n_views)[:2]
            parts["consistency"] = view_consistency_loss(first, second, s.consistency_temperature)
            loss = loss + s.consistency_weight * parts["consistency"]
        for name, value in parts.items():
            self.log(f"training/{name}_loss", value, batch_size=len(video_embedding))
        self.log("training/loss", loss, prog_bar=True, batch_size=len(video_embedding))
        self._log_loss_parameters()
        return loss

    def _encode_views(self, batch: Batch, views: list[Batch]) -> ImuFeatures:
        features: ImuFeatures = self.imu_encoder(
            torch.cat([v["imu"] for v in views]),
            batch["channel_mask"].repeat(len(views), 1),
            torch.cat([v["sample_mask"] for v in views]),
        )
        return features

    def _alignment(self, imu: ImuFeatures, video: VideoFeatures, views: list[Batch], frame_mask: Tensor) -> Tensor:
        n_views = len(views)
        loss: Tensor = self.alignment_loss(
            self.imu_token_projection(imu.tokens),
            imu.token_times,
            imu.token_mask,
            self.frame_token_projection(video.frame_tokens).repeat(n_views, 1, 1),
            torch.cat([v["frame_times"] for v in views]),
            frame_mask.repeat(n_views, 1),
        )
        return loss

    def _negative_mask(self, batch: Batch) -> Tensor | None:
        gap_s = self.settings.same_recording_gap_s
        return neighbour_mask(batch["recording"], batch["start_s"], gap_s) if gap_s > 0 else None

    def _log_loss_parameters(self) -> None:
        if isinstance(self.contrastive_loss, SigmoidLoss):
            self.log("parameters/temperature", self.contrastive_loss.log_temperature.detach().exp())
            self.log("parameters/bias", self.contrastive_loss.bias.detach())
        elif isinstance(self.contrastive_loss, SoftmaxLoss):
            self.log("parameters/temperature", self.contrastive_loss.log_scale.detach().exp())

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the gradient's norm, before it is clipped."""
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        self.log("training/gradient_norm", torch.nn.utils.get_total_norm(gradients))

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect embeddings, and errors of finding a shift put between the clocks; no labels are used."""
        imu: ImuFeatures = self.imu_encoder(batch["imu"], batch["channel_mask"], batch["sample_mask"])
        video = self.encode_video(batch)
        kept = {
            "imu": F.normalize(self.imu_projection(imu.pooled).float(), dim=1),
            "video": F.normalize(self.video_projection(video.pooled).float(), dim=1),
        }
        if self.settings.alignment_weight:
            imu_tokens = self.imu_token_projection(imu.tokens).float()
            frame_tokens = self.frame_token_projection(video.frame_tokens).float()
            kept["error_ms"] = self._shift_errors(imu, imu_tokens, frame_tokens, batch, batch_idx)
            if batch_idx == 0:
                kept["alignment"] = _one_similarity(imu, imu_tokens, frame_tokens, batch)
        self._validation.append(kept)

    def _shift_errors(
        self, imu: ImuFeatures, imu_tokens: Tensor, frame_tokens: Tensor, batch: Batch, batch_idx: int
    ) -> Tensor:
        limit = self.settings.max_shift_s
        generator = torch.Generator().manual_seed(batch_idx)  # the same shifts in every epoch
        shifts = (torch.rand(len(imu_tokens), generator=generator) * 2 - 1).to(imu_tokens.device) * limit / 2
        candidates = torch.arange(-limit, limit + 0.01, 0.05, device=imu_tokens.device)
        return alignment_error_ms(
            imu_tokens,
            imu.token_times,
            imu.token_mask,
            frame_tokens,
            batch["frame_times"],
            batch["frame_mask"],
            shifts,
            candidates,
        )

    def on_validation_epoch_end(self) -> None:
        """Log retrieval in the whole pool, the alignment's error, and pictures of both."""
        if not self._validation:
            return
        imu = torch.cat([kept["imu"] for kept in self._validation])
        video = torch.cat([kept["video"] for kept in self._validation])
        for name, value in retrieval_metrics(imu, video).items():
            self.log(f"validation/{name}", value, prog_bar=name == "mrr", rank_zero_only=False)
        figures = {"similarity": similarity_figure(imu[:64], video[:64])}
        if "error_ms" in self._validation[0]:
            errors = torch.cat([kept["error_ms"] for kept in self._validation])
            found = errors[~errors.isnan()]
            if len(found):
                self.log("validation/alignment_error_ms", found.abs().median())
            similarity = self._validation[0]["alignment"]
            figures["alignment"] = alignment_figure(similarity, self.settings.imu_input)
        self._validation.clear()
        writer: Any = getattr(self.logger, "experiment", None)
        if self.trainer.is_global_zero and hasattr(writer, "add_figure"):
            for name, figure in figures.items():
                writer.add_figure(f"validation/{name}", figure, self.global_step)

    def configure_optimizers(self) -> Any:
        """AdamW, warm-up and cosine over ``total_steps``."""
        s = self.settings
        optimizer = adamw(self.named_parameters(), s.lr, s.weight_decay, s.scalar_lr_factor)
        scheduler = warmup_cosine(optimizer, s.total_steps, round(s.warmup_share * s.total_steps), s.min_lr)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _one_similarity(imu: ImuFeatures, imu_tokens: Tensor, frame_tokens: Tensor, batch: Batch) -> Tensor:
    """Cosine similarity of frames and the IMU at the frames' times in the batch's first window, (F, F)."""
    at_frames, valid = interpolate_tokens(imu_tokens[:1], imu.token_times, imu.token_mask[:1], batch["frame_times"][:1])
    valid = (valid & batch["frame_mask"][:1])[0]
    first, second = F.normalize(at_frames[0][valid], dim=1), F.normalize(frame_tokens[0][valid], dim=1)
    return first @ second.T
