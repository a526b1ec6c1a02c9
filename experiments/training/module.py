"""The module of a pretraining run."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from datamodules.features.cache import FeatureCache
from datamodules.pretraining import PretrainingDataModule
from datamodules.shards.reader import ShardSet
from encoders.contract import VideoEncoder
from encoders.video.heads import TemporalHead
from experiments.runtime.errors import UserError
from experiments.settings.schema import Config
from lightning_modules.pretraining import ImuPretraining, PretrainingSettings


def make_module(
    config: Config,
    shards: ShardSet,
    video_encoder: VideoEncoder | None,
    features: FeatureCache | None,
    data: PretrainingDataModule,
) -> ImuPretraining:
    """The module that the settings ask for, with weights from torch's random state.

    Raises:
        UserError: the queue of neighbours is too long for so few windows, or the video head needs cached features.
    """
    windows = len(data.training_windows)
    if config.loss.neighbour_weight and config.loss.queue_size >= windows:
        raise UserError(
            f"loss.queue_size is {config.loss.queue_size}, but an epoch has {windows} windows: "
            "the nearest neighbour of each would be itself, an epoch ago; expected less, e.g. a third of them"
        )
    module = ImuPretraining(**dataclasses.asdict(_settings(config, shards, video_encoder, data)))
    head = module.video_head
    standardises = isinstance(head, TemporalHead) and head.params.input_norm == "standard"
    if video_encoder is not None and features is None:
        if standardises:
            raise UserError(
                "video_head.params.input_norm is 'standard', which takes its statistics from the feature cache, but"
                " video_encoder.cache is false; expected 'layer'"
            )
        module.use_video_encoder(video_encoder)
    elif features is not None and isinstance(head, TemporalHead) and standardises:
        mean, deviation = features.statistics(data.training_windows)
        head.set_input_statistics(torch.from_numpy(mean), torch.from_numpy(deviation))
    return module


def _settings(
    config: Config, shards: ShardSet, video_encoder: VideoEncoder | None, data: PretrainingDataModule
) -> PretrainingSettings:
    source = config.datasets[config.pretraining.dataset].source.name
    encoder, loss, optim = config.imu_encoder, config.loss, config.optim
    subjects = np.unique(shards.codes("subject")).tolist()
    return PretrainingSettings(
        imu_encoder={"name": encoder.name, "params": encoder.params},
        imu_input={"samples": shards.settings.samples, "rate_hz": shards.settings.imu_rate_hz},
        video_head=None
        if video_encoder is None
        else {"name": config.video_head.name, "params": config.video_head.params},
        frame_width=0 if video_encoder is None else video_encoder.token_width,
        total_steps=config.trainer.max_epochs * -(-data.steps_per_epoch // config.trainer.accumulate),
        seed=config.run.seed,
        normalisation=config.pretraining.normalisation,
        same_recording_gap_s=config.pretraining.same_recording_gap_s,
        window=dataclasses.asdict(shards.settings),
        pretraining_subjects=[f"{source}/{shards.label_tables['subject'][code]}" for code in subjects],
        excluded_activities=list(config.pretraining.exclude_activities),
        video_encoder=None
        if video_encoder is None
        else {
            "name": config.video_encoder.name,
            "weights": config.video_encoder.weights,
            "fingerprint": video_encoder.fingerprint(),
            "frozen": config.video_encoder.params.get("frozen", True),
        },
        simulated=shards.simulated,
        contrastive=loss.contrastive,
        projection_width=loss.projection_width,
        projection_dropout=loss.projection_dropout,
        alignment_weight=loss.alignment_weight,
        alignment_width_s=loss.alignment_width_s,
        alignment_temperature=loss.alignment_temperature,
        alignment_max_shift_s=loss.alignment_max_shift_s,
        alignment_shift_step_s=loss.alignment_shift_step_s,
        alignment_dim=loss.alignment_dim,
        order_weight=loss.order_weight,
        order_count=loss.order_count,
        masked_weight=loss.masked_weight,
        masked_share=loss.masked_share,
        masked_patch=loss.masked_patch,
        neighbour_weight=loss.neighbour_weight,
        neighbour_temperature=loss.neighbour_temperature,
        queue_size=loss.queue_size,
        student_temperature=loss.student_temperature,
        teacher_temperature=loss.teacher_temperature,
        consistency_weight=loss.consistency_weight,
        consistency_temperature=loss.consistency_temperature,
        lr=optim.lr,
        min_lr=optim.min_lr,
        weight_decay=optim.weight_decay,
        scalar_lr_factor=optim.scalar_lr_factor,
        warmup_share=optim.warmup_share,
    )
