"""Pretraining of an IMU encoder: against a video encoder, with temporal alignment, or by itself.

Shape legend: B windows, V views, T samples, L IMU tokens, F frames, D token width, P pooled width, E width of
the shared space.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import CatMetric

from core.errors import first_line
from encoders.contract import ImuFeatures, ImuInput, VideoEncoder, VideoFeatures
from encoders.layers.dropout import draw_as_torch
from encoders.layers.projection import ProjectionHead
from encoders.registry import build_imu_encoder, build_video_head
from lightning_modules.checkpoint import CheckpointError, read_checkpoint
from lightning_modules.losses.negatives import neighbour_mask, other_sets_mask
from lightning_modules.losses.temporal_alignment import interpolate_tokens
from lightning_modules.migration import migrate
from lightning_modules.monitoring.clock_shift import alignment_error_ms
from lightning_modules.monitoring.figures import alignment_figure, similarity_figure
from lightning_modules.monitoring.pictures import log_figures
from lightning_modules.monitoring.retrieval import PartnerRetrieval
from lightning_modules.monitoring.sets import losses_of_sets
from lightning_modules.objectives.build import build_objectives
from lightning_modules.objectives.masked import MaskedObjective
from lightning_modules.objectives.objective import Parts
from lightning_modules.objectives.step import Step, rows_of
from lightning_modules.objectives.tokens import TokenObjective
from lightning_modules.optim import FusedTraining, adamw, warmup_cosine
from lightning_modules.settings import PretrainingSettings

Batch = dict[str, Any]
_DRAWS, PRECISION = "dropout_draws", "precision"  # entries of a checkpoint; earlier ones lack them


class ImuPretraining(FusedTraining):
    """The IMU encoder, a head over frozen frame features, projections and objectives.

    What no objective needs is not there: an encoder that is pretrained by itself has no video head.

    Args:
        settings: the fields of :class:`PretrainingSettings`; its groups as dataclasses or plain dicts.

    Raises:
        ValueError: settings that don't make a model.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.settings = PretrainingSettings.of(settings)
        self.save_hyperparameters(asdict(self.settings))
        s = self.settings
        imu_input = ImuInput(**s.imu_input)
        self.imu_encoder = build_imu_encoder(s.imu_encoder["name"], s.imu_encoder["params"], imu_input)
        head = build_video_head(s.video_head["name"], s.video_head["params"], s.frame_width) if s.video_head else None
        self.objectives, self.weights = build_objectives(
            s.loss.chosen(),
            Parts(self.imu_encoder, imu_input, head, s.shared_space.width, s.expert_width, [*s.labels.values()]),
        )
        self.video_head = head if any(o.uses_video for o in self.objectives.values()) else None
        self.shares_space = any(bool(o.shares_space) for o in self.objectives.values())
        if self.shares_space:
            assert head is not None
            # A student comes to its teacher's space; that must not come to the student's.
            in_teacher_space = "distillation" in self.objectives
            width = head.pooled_width if in_teacher_space else s.shared_space.width
            dropout = s.shared_space.dropout
            self.imu_projection = ProjectionHead(self.imu_encoder.pooled_width, width, dropout)
            self.video_projection = (
                nn.Identity() if in_teacher_space else ProjectionHead(head.pooled_width, width, dropout)
            )
        self.video_encoder: VideoEncoder | None = None
        self.retrieval = PartnerRetrieval()
        # A median needs all errors. NaN is where nothing could be compared.
        self.shift_errors = CatMetric(nan_strategy="disable", sync_on_compute=False)
        self._first_similarity: Tensor | None = None
        self._draws = "shared"

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note how dropout draws its random numbers, and in which precision this trains."""
        checkpoint[_DRAWS] = self._draws
        if self._trainer is not None:
            checkpoint[PRECISION] = str(self.trainer.precision)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the draws that the training began with."""
        self._draws = checkpoint.get(_DRAWS, "torch")
        if self._draws == "torch":
            draw_as_torch(self)

    def use_video_encoder(self, encoder: VideoEncoder) -> None:
        """Encode the batches' clips in every step, instead of reading cached features."""
        self.video_encoder = encoder

    @classmethod
    def load_pretrained(cls, path: str | Path, map_location: str = "cpu") -> ImuPretraining:
        """Load a checkpoint for use, in eval mode; a live video encoder's weights are left out.

        Raises:
            CheckpointError: the file is no checkpoint of this module.
        """
        content = read_checkpoint(path, map_location, needs=("hyper_parameters", "state_dict"))
        try:
            module = cls(**migrate(content["hyper_parameters"]))
        except Exception as error:  # whatever settings from outside make torch raise: sizes that no memory has, too
            raise CheckpointError(f"{path}: not a checkpoint of {cls.__name__}: {first_line(error)}") from error
        try:
            weights = {k: v for k, v in content["state_dict"].items() if not k.startswith("video_encoder.")}
            module.load_state_dict(weights)
        except Exception as error:  # as above
            raise CheckpointError(f"{path}: weights that do not fit its settings: {first_line(error)}") from error
        return module.eval()

    def encode_video(self, batch: Batch) -> VideoFeatures:
        """The video head's output for a batch with ``features`` or ``frames``."""
        if "features" in batch:
            features = batch["features"].float()
        elif self.video_encoder is not None:
            features = self.video_encoder(batch["frames"], batch["frame_mask"]).frame_tokens.float()
        else:
            raise ValueError("the batch has clips but no features, and no video encoder was given to encode them")
        assert self.video_head is not None
        video: VideoFeatures = self.video_head(features, batch["frame_times"], batch["frame_mask"])
        return video

    def embed_imu(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> Tensor:
        """IMU windows in the shared space, (B, E) unit vectors; arguments as :class:`ImuEncoder` takes them."""
        pooled = self.imu_encoder(imu, channel_mask, sample_mask).pooled
        return F.normalize(self.imu_projection(pooled), dim=1)

    def embed_video(self, frame_features: Tensor, frame_times: Tensor, frame_mask: Tensor) -> Tensor:
        """Clips in the shared space, (B, E) unit vectors, from frame features (B, F, D)."""
        assert self.video_head is not None
        pooled = self.video_head(frame_features, frame_times, frame_mask).pooled
        return F.normalize(self.video_projection(pooled), dim=1)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make dropout a function of (seed, batch, rank), so that a resumed run draws what it would have drawn."""
        torch.manual_seed(self._step_seed(self.global_rank, batch_idx))

    def _step_seed(self, rank: int, batch_idx: int) -> int:
        accumulated = 1 if self._trainer is None else self.trainer.accumulate_grad_batches
        number = self.global_step * accumulated + batch_idx % accumulated
        return int(((self.settings.seed * 1_000_003 + number) * 4096 + rank) % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted sum of the objectives, each averaged over views."""
        step, paired = self._steps(batch, batch_idx)
        if self.settings.sets and self._logs_now:
            found = losses_of_sets(self.settings.sets, self.objectives, step, paired, self._negative_mask)
            for name, value in found.items():  # of the queues that the step's own losses see
                self.log(f"training/{name}", value)
        parts = {name: self._value(objective, step, paired) for name, objective in self.objectives.items()}
        loss = torch.stack([self.weights[name] * value for name, value in parts.items()]).sum()
        for name, value in parts.items():
            self.log(f"training/{name}_loss", value, batch_size=len(batch["imu"]))
        # Not prog_bar=True, for which Lightning waits for the device in every step; the bar reads it now and then.
        self.log("training/loss", loss, batch_size=len(batch["imu"]))
        for objective in self.objectives.values():
            for name, value in objective.parameters_to_log().items():  # type: ignore[operator]
                self.log(f"training_parameters/{name}", value)
        return loss

    @property
    def _logs_now(self) -> bool:
        """Whether this step is logged; what the others compute to be logged is lost."""
        every: int = getattr(self._trainer, "log_every_n_steps", 0)  # which Lightning sets without declaring it
        return every > 0 and (self.global_step + 1) % every == 0

    def _value(self, objective: nn.Module, step: Step, paired: Step | None) -> Tensor:
        """The term of an objective, of the windows with video if it learns from video; 0 where there are none."""
        if not objective.uses_video:
            value: Tensor = objective(step)
        elif paired is not None:
            value = objective(paired)
        else:  # with a gradient of 0, which DDP waits for
            parts = [objective, self.video_head, *([self.imu_projection] if self.shares_space else [])]
            parts += [self.video_projection] if self.shares_space else []
            weights = [p for part in parts if part is not None for p in part.parameters() if p.requires_grad]
            value = 0 * step.imu.pooled.sum() + sum(0 * p.sum() for p in weights)
        return value

    def _steps(self, batch: Batch, batch_idx: int) -> tuple[Step, Step | None]:
        """Encode a batch: the step of all its windows, and that of those with video, the same where all have it."""
        views: list[Batch] = batch["views"]
        imu: ImuFeatures = self.imu_encoder(
            *(torch.cat([view[name] for view in views]) for name in ("imu", "channel_mask", "sample_mask"))
        )
        step = Step(
            batch,
            views,
            imu,
            (),
            None,
            None,
            None,
            self.imu_encoder,
            seed=self._step_seed(self.global_rank, batch_idx),
            common_seed=self._step_seed(0, batch_idx),
        )
        if self.video_head is None:
            return step, None
        if "paired" not in batch:
            step = self._with_video(step, batch)
            return step, step
        if not len(batch["paired"]):
            return step, None
        return step, self._with_video(step.of(batch["paired"]), _paired(batch))

    def _with_video(self, step: Step, batch: Batch) -> Step:
        """Add video and embeddings to the step of windows that all have video."""
        video = self.encode_video(batch)
        if not self.shares_space:
            return replace(step, video=video)
        return replace(
            step,
            video=video,
            imu_embeddings=self.imu_projection(step.imu.pooled).chunk(len(step.views)),
            video_embedding=self.video_projection(video.pooled),
            negatives=self._negative_mask(step.batch),
        )

    def _negative_mask(self, batch: Batch) -> Tensor | None:
        space = self.settings.shared_space
        gap_s = space.same_recording_gap_s
        mask = neighbour_mask(batch["recording"], batch["start_s"], gap_s) if gap_s > 0 else None
        if space.negatives == "own_set" and "set" in batch:
            others = other_sets_mask(batch["set"])
            mask = others if mask is None else mask | others
        return mask

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect embeddings, and errors of finding a shift put between the clocks; no labels are used."""
        if "masked" in self.objectives:
            masked = cast(MaskedObjective, self.objectives["masked"])
            loss = masked.of(self.imu_encoder, batch, batch_idx)  # the same patches in every epoch
            self.log("validation/masked_loss", loss, batch_size=len(batch["imu"]))
        if self.video_head is None:
            return
        if "paired" in batch:
            if not len(batch["paired"]):
                return
            batch = _paired(batch)
        imu: ImuFeatures = self.imu_encoder(batch["imu"], batch["channel_mask"], batch["sample_mask"])
        video = self.encode_video(batch)
        if self.shares_space:
            self.retrieval.update(
                F.normalize(self.imu_projection(imu.pooled).float(), dim=1),
                F.normalize(self.video_projection(video.pooled).float(), dim=1),
            )
        inside = [o for o in self.objectives.values() if isinstance(o, TokenObjective)]
        if inside:
            imu_tokens, frame_tokens = (tokens.float() for tokens in inside[0].tokens(imu, video))
            with torch.autocast(self.device.type, enabled=False):  # times are measured in 32 bits
                self.shift_errors.update(self._shift_errors(imu, imu_tokens, frame_tokens, batch, batch_idx))
                if batch_idx == 0:
                    self._first_similarity = _one_similarity(imu, imu_tokens, frame_tokens, batch)

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
        figures = {}
        if self.retrieval.update_called:
            for name, value in self.retrieval.compute().items():
                self.log(f"validation/{name}", value, prog_bar=name == "mrr", rank_zero_only=False)
            imu, video = self.retrieval.pairs()
            figures["similarity"] = similarity_figure(imu[:64], video[:64])
            self.retrieval.reset()
        if self.shift_errors.update_called:
            errors = self.shift_errors.compute()
            found = errors[~errors.isnan()]
            if len(found):
                self.log("validation/alignment_error_ms", found.abs().median())
            self.shift_errors.reset()
        if self._first_similarity is not None:
            figures["alignment"] = alignment_figure(self._first_similarity, self.settings.imu_input)
            self._first_similarity = None
        if self.trainer.is_global_zero:
            named = {f"validation/{name}": figure for name, figure in figures.items()}
            log_figures(self.trainer.loggers, named, self.global_step)

    def configure_optimizers(self) -> Any:
        """AdamW, warm-up and cosine over ``total_steps``."""
        s, total = self.settings.optim, self.settings.total_steps
        optimizer = adamw(self.named_parameters(), s.lr, s.weight_decay, s.scalar_lr_factor, fused=self.may_fuse())
        scheduler = warmup_cosine(optimizer, total, round(s.warmup_share * total), s.min_lr)
        # TensorBoard sorts its groups by name: all of training comes first.
        schedule = {"scheduler": scheduler, "interval": "step", "name": "training/learning_rate"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def _paired(batch: Batch) -> Batch:
    """The windows with video of a batch of several sets, with their features or frames."""
    return {
        **rows_of(batch, batch["paired"]),
        **{name: batch[name] for name in ("features", "frames") if name in batch},
    }


def _one_similarity(imu: ImuFeatures, imu_tokens: Tensor, frame_tokens: Tensor, batch: Batch) -> Tensor:
    """Cosine similarity of frames and the IMU at the frames' times in the batch's first window, (F, F)."""
    at_frames, valid = interpolate_tokens(imu_tokens[:1], imu.token_times, imu.token_mask[:1], batch["frame_times"][:1])
    valid = (valid & batch["frame_mask"][:1])[0]
    first, second = F.normalize(at_frames[0][valid], dim=1), F.normalize(frame_tokens[0][valid], dim=1)
    return first @ second.T
