"""The data of a pretraining run: shards, video encoder, features, batches."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from datamodules.augment import ImuAugmentation
from datamodules.features.cache import FeatureCache
from datamodules.pretraining import PretrainingDataModule
from datamodules.shards.reader import ShardSet
from encoders.contract import VideoEncoder
from experiments.artifacts.shards import open_dataset
from experiments.artifacts.stores import check_order
from experiments.artifacts.video_encoder import features_of, open_video_encoder
from experiments.runtime.errors import UserError
from experiments.settings.schema import Config
from lightning_modules.objectives.build import uses_video
from lightning_modules.settings import LossSettings


def prepare_data(config: Config) -> tuple[ShardSet, VideoEncoder | None, FeatureCache | None]:
    """Shards, video encoder and features; one process makes what is missing, the others wait for it.

    Where nothing is learnt from video there is no video encoder; where clips are encoded anew in each step, no
    features.
    """
    root = Path(config.paths.data)
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f".{config.experiment}.lock"):
        shards = open_dataset(config, config.pretraining.dataset)
        if not learns_from_video(config.loss):
            return shards, None, None
        video_encoder = open_video_encoder(config, shards)
        features = (
            features_of(config, shards, config.pretraining.dataset, video_encoder)
            if config.video_encoder.cache
            else None
        )
    return shards, video_encoder, features


def make_data_module(config: Config, shards: ShardSet, features: FeatureCache | None) -> PretrainingDataModule:
    """The pretraining windows in their order, with their features where there are some."""
    p = config.pretraining
    check_order(p.order, shards, features)
    try:
        return PretrainingDataModule(
            shards,
            features,
            batch_size=p.batch_size,
            normalisation=p.normalisation,
            validation_share=p.validation_share,
            augmentation=ImuAugmentation(p.augment, p.normalisation),
            views=p.views,
            exclude_activities=p.exclude_activities,
            seed=config.run.seed,
            video=learns_from_video(config.loss),
            order=p.order,
        )
    except ValueError as error:
        raise UserError(str(error)) from error


def learns_from_video(loss: LossSettings) -> bool:
    """Say whether any objective needs clips."""
    return uses_video(loss.chosen())
