"""The data of a pretraining run: shards, video encoder, features, batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.augment import ImuAugmentation
from datamodules.features.cache import FeatureCache
from datamodules.features.mixed import MixedFeatures
from datamodules.pretraining import PretrainingDataModule
from datamodules.shards.layout import ShardError
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet
from encoders.contract import VideoEncoder
from experiments.artifacts.shards import open_dataset
from experiments.artifacts.stores import check_order
from experiments.artifacts.video_encoder import features_of, open_video_encoder
from experiments.runtime.devices import is_main_process
from experiments.runtime.errors import UserError
from experiments.runtime.sole_writer import turn
from experiments.settings.schema import Config
from lightning_modules.objectives.build import targets_of, uses_video
from lightning_modules.settings import LossSettings

Shards = ShardSet | MixedShards
Features = FeatureCache | MixedFeatures


def prepare_data(config: Config) -> tuple[Shards, VideoEncoder | None, Features | None]:
    """Shards, video encoder and features; one process makes what is missing, the others wait for it.

    Where nothing is learnt from video there is no video encoder; where clips are encoded anew in each step, no
    features. Of several sets, those with a camera have features; the first of them trains the video encoder.
    """
    root = Path(config.paths.data)
    root.mkdir(parents=True, exist_ok=True)
    doing = f"prepares the data of {config.experiment}"
    with turn(root / f".{config.experiment}.lock", doing, is_main_process(config)):
        parts = [(name, open_dataset(config, name)) for name in config.pretraining.names()]
        shards = parts[0][1] if len(parts) == 1 else _mixed(parts)
        if not learns_from_video(config.loss):
            return shards, None, None
        with_video = [part for _, part in parts if part.settings.frames]
        video_encoder = open_video_encoder(config, with_video[0] if with_video else parts[0][1])
        if not config.video_encoder.cache:
            return shards, video_encoder, None
        caches = [
            features_of(config, part, name, video_encoder) if part.settings.frames else None for name, part in parts
        ]
    features = MixedFeatures(shards, caches) if isinstance(shards, MixedShards) else caches[0]
    return shards, video_encoder, features


def _mixed(parts: list[tuple[str, ShardSet]]) -> MixedShards:
    try:
        return MixedShards(parts)
    except ShardError as error:
        raise UserError(f"pretraining.datasets: {error}") from error


def parts_of(config: Config, shards: Shards) -> list[tuple[str, ShardSet]]:
    """List the sets of pretraining, by name."""
    return shards.parts if isinstance(shards, MixedShards) else [(config.pretraining.names()[0], shards)]


def make_data_module(config: Config, shards: Shards, features: Features | None) -> PretrainingDataModule:
    """The pretraining windows in their order, with their features where there are some."""
    p = config.pretraining
    check_order(p.order, shards, features)
    try:
        data = PretrainingDataModule(
            shards,
            features,
            batch_size=p.batch_size,
            weights=[each.weight for each in p.datasets],
            normalisation=p.normalisation,
            validation_share=p.validation_share,
            augmentation=ImuAugmentation(p.augment, p.normalisation),
            views=p.views,
            exclude_activities=p.exclude_activities,
            seed=config.run.seed,
            video=learns_from_video(config.loss),
            order=p.order,
            targets=targets_of(config.loss.chosen()),
            shuffle_video=p.shuffle_video,
        )
        data.check_processes(config.trainer.devices * config.trainer.num_nodes)
    except ValueError as error:
        raise UserError(str(error)) from error
    return data


def left_out(config: Config, shards: Shards) -> dict[str, list[str]]:
    """Name the damaged windows of each set that are left out (``run.on_damage=skip``), by recording and start."""
    found = {}
    for name, part in parts_of(config, shards):
        if part.damaged is not None:
            windows = np.flatnonzero(part.damaged)
            rows = zip(part.table["recording"][windows], part.start_s[windows].tolist(), strict=True)
            found[name] = [f"{recording} at {start_s:.1f} s" for recording, start_s in rows]
    return found


def namer(shards: Shards) -> Callable[[Mapping[str, Any]], list[str]]:
    """Make a function that names the windows of a batch: recording and start."""

    def names(batch: Mapping[str, Any]) -> list[str]:
        codes, first = np.unique(shards.codes("recording"), return_index=True)
        recordings = dict(zip(codes.tolist(), shards.table["recording"][first], strict=True))
        pairs = zip(batch["recording"].tolist(), batch["start_s"].tolist(), strict=True)
        return [f"{recordings[code]} at {start_s:.1f} s" for code, start_s in pairs]

    return names


def shows_frames(config: Config, shards: Shards) -> bool:
    """Say whether frames may be shown: they are there, and ``privacy.features_only`` is off."""
    return shards.frames_stored and not config.privacy.features_only


def learns_from_video(loss: LossSettings) -> bool:
    """Say whether any objective needs clips."""
    return uses_video(loss.chosen())
