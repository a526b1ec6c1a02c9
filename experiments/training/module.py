"""The module of a pretraining run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from datamodules.pretraining import PretrainingDataModule
from datamodules.pretraining.shuffle import UNSHUFFLED
from datamodules.pretraining.targets import ExpertTargets, LabelTargets
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet
from encoders.contract import VideoEncoder
from encoders.video.heads import TemporalHead
from experiments.runtime.errors import UserError
from experiments.settings.load import plain
from experiments.settings.schema import Config
from experiments.training.data import Features, Shards, parts_of
from lightning_modules.pretraining import ImuPretraining
from lightning_modules.settings import PretrainingSettings


def make_module(
    config: Config,
    shards: Shards,
    video_encoder: VideoEncoder | None,
    features: Features | None,
    data: PretrainingDataModule,
) -> ImuPretraining:
    """The module that the settings ask for, with weights from torch's random state.

    Raises:
        UserError: the queue of neighbours is too long for so few windows, or the video head needs cached features.
    """
    for name, objective in config.loss.chosen().items():
        try:
            objective.check_windows(data.windows_between)
        except ValueError as error:
            raise UserError(f"loss.{name}.{error}") from error
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
    config: Config, shards: Shards, video_encoder: VideoEncoder | None, data: PretrainingDataModule
) -> PretrainingSettings:
    encoder = config.imu_encoder
    return PretrainingSettings(
        imu_encoder={"name": encoder.name, "params": encoder.params},
        imu_input={"samples": shards.settings.samples, "rate_hz": shards.settings.imu_rate_hz},
        video_head=None
        if video_encoder is None
        else {"name": config.video_head.name, "params": config.video_head.params},
        frame_width=0 if video_encoder is None else video_encoder.token_width,
        total_steps=config.trainer.max_epochs * steps_of_epoch(config, data.steps_per_epoch),
        seed=config.run.seed,
        normalisation=config.pretraining.normalisation,
        window=dataclasses.asdict(shards.settings),
        pretraining_subjects=_subjects(config, parts_of(config, shards)),
        excluded_activities=list(config.pretraining.exclude_activities),
        video_encoder=None
        if video_encoder is None
        else {
            "name": config.video_encoder.name,
            "weights": plain(config)["video_encoder"]["weights"],  # without a path, where paths are hidden
            "fingerprint": video_encoder.fingerprint(),
            "frozen": config.video_encoder.params.get("frozen", True),
        },
        simulated=shards.simulated,
        development_subjects=[f"{source}/{name}" for source, names in config.development.items() for name in names],
        shuffled_video=config.pretraining.shuffle_video if video_encoder is not None else UNSHUFFLED,
        labels=_labels(parts_of(config, shards), data),
        expert_width=expert.width if isinstance(expert := data.targets.get("expert"), ExpertTargets) else 0,
        sets=[name for name, _ in shards.parts] if isinstance(shards, MixedShards) else [],
        loss=config.loss,
        shared_space=config.shared_space,
        optim=config.optim,
    )


def steps_of_epoch(config: Config, batches: int) -> int:
    """Count the optimiser steps of an epoch with so many batches; ``limit_train_batches`` may allow fewer."""
    limit = config.trainer.kwargs.get("limit_train_batches")
    if isinstance(limit, int) and not isinstance(limit, bool):
        batches = min(batches, limit)
    elif isinstance(limit, float):
        batches = int(batches * limit)
    if batches < 1:
        raise UserError(f"trainer.kwargs.limit_train_batches is {limit}, which leaves no batch to learn from")
    return -(-batches // config.trainer.accumulate)


def _labels(parts: Sequence[tuple[str, ShardSet]], data: PretrainingDataModule) -> dict[str, list[str]]:
    """List the activities whose labels are learnt from, of each set by its name."""
    targets = data.targets.get("labels")
    if not isinstance(targets, LabelTargets):
        return {}
    return {name: classes for (name, _), classes in zip(parts, targets.classes, strict=True)}


def _subjects(config: Config, parts: Sequence[tuple[str, ShardSet]]) -> list[str]:
    """List the subjects of all sets as "source/subject", each once."""
    found = []
    for name, shards in parts:
        source = config.datasets[name].source.name
        codes = np.unique(shards.codes("subject")).tolist()
        found += [f"{source}/{shards.label_tables['subject'][code]}" for code in codes]
    return list(dict.fromkeys(found))
