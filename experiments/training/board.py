"""Callback that adds to TensorBoard what needs the data: clips, the row of hyperparameters, the projector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from datamodules.pretraining import PretrainingDataModule
from datamodules.shards.mixed import MixedShards
from experiments.settings.schema import Config
from experiments.training.data import Shards, shows_frames
from lightning_modules.monitoring import hparams
from lightning_modules.monitoring.pictures import add_encoded
from lightning_modules.pretraining import ImuPretraining

WINDOWS = 500  # in the projector
_SPRITE = 48  # pixels of a window's picture there; TensorBoard takes 8192 x 8192 for all together
_BATCH = 128
COLUMNS = ("activity", "subject", "device", "placement", "recording")


class Board(L.Callback):
    """A callback that writes clips and hyperparameters at the start of a run, and the projector at its end.

    Args:
        config: the run's settings.
        data: whose validation windows are shown.
        clips: makes moving pictures by name; called once.
    """

    def __init__(self, config: Config, data: PretrainingDataModule, clips: Callable[[], Mapping[str, bytes]]) -> None:
        self.config = config
        self.data = data
        self.clips = clips

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the run's hyperparameters, and clips, unless the run is continued."""
        if trainer.global_step or not trainer.is_global_zero or not writers(trainer):
            return
        clips = self.clips()
        for writer in writers(trainer):
            hparams.begin(writer, row_of(self.config))
            for name, gif in clips.items():
                add_encoded(writer, f"validation_clips/{name}", gif, 0)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the projector's windows, in the features of the last step."""
        assert isinstance(pl_module, ImuPretraining)
        if not trainer.is_global_zero or not writers(trainer):
            return
        windows = shown_windows(self.data)
        features = features_of(pl_module, self.data, windows)
        rows, pictures = metadata_of(self.data.shards, windows), self._sprites(windows)
        for writer in writers(trainer):
            writer.add_embedding(
                features,
                rows,
                pictures,
                trainer.global_step,
                "IMU features of held-out windows",
                list(COLUMNS),
            )
            hparams.end(writer)

    def _sprites(self, windows: NDArray[np.int64]) -> torch.Tensor | None:
        return sprites_of(self.data.shards, windows) if shows_frames(self.config, self.data.shards) else None


def writers(trainer: L.Trainer) -> list[SummaryWriter]:
    """List the TensorBoard writers of a trainer."""
    return [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


def row_of(config: Config) -> dict[str, str | float]:
    """Return the run's columns in the table of hyperparameters."""
    weights = {name: settings.weight for name, settings in config.loss.chosen().items()}
    return {
        "run": f"{config.experiment}/{config.run.name}",
        "system": Path(config.system).stem,  # it may be a path
        "seed": config.run.seed,
        "IMU encoder": config.imu_encoder.name,
        "video encoder": config.video_encoder.name,
        "objectives": ", ".join(f"{name} {weight:g}" for name, weight in weights.items()),
        "epochs": config.trainer.max_epochs,
        "batch size": config.pretraining.batch_size,
        "learning rate": config.optim.lr,
    }


def shown_windows(data: PretrainingDataModule) -> NDArray[np.int64]:
    """Draw validation windows; without any, windows of training."""
    windows = data.validation_windows if len(data.validation_windows) else data.training_windows
    if len(windows) <= WINDOWS:
        return windows
    return np.sort(np.random.default_rng(0).choice(windows, WINDOWS, replace=False))


def features_of(module: ImuPretraining, data: PretrainingDataModule, windows: NDArray[np.int64]) -> torch.Tensor:
    """Pooled IMU features, (N, P), of windows as they are."""
    training = module.training
    module.eval()
    found = []
    with torch.no_grad():
        for start in range(0, len(windows), _BATCH):
            batch = data.read(windows[start : start + _BATCH])
            inputs = (batch[name].to(module.device) for name in ("imu", "channel_mask", "sample_mask"))
            found.append(module.imu_encoder(*inputs).pooled.float().cpu())
    module.train(training)
    return torch.cat(found)


def metadata_of(shards: Shards, windows: NDArray[np.int64]) -> list[list[str]]:
    """List the projector's ``COLUMNS`` of each window."""
    columns = [shards.table[name][windows] for name in COLUMNS]
    return [[str(value) or "none" for value in row] for row in zip(*columns, strict=True)]


def sprites_of(shards: Shards, windows: NDArray[np.int64]) -> torch.Tensor | None:
    """Return the middle frame of each window, (N, 3, S, S) from 0 to 1; grey without a frame; None without video."""
    paired: Any = shards.paired[windows] if isinstance(shards, MixedShards) else np.ones(len(windows), bool)
    if not shards.settings.frames or not paired.any():
        return None
    pictures = torch.full((len(windows), 3, _SPRITE, _SPRITE), 0.5)
    with_video = np.flatnonzero(paired)
    for start in range(0, len(with_video), _BATCH):  # a batch's pixels are in memory, not all
        places = with_video[start : start + _BATCH]
        middle = shards.frames(windows[places])[:, shards.settings.frames // 2]
        frames = torch.from_numpy(np.ascontiguousarray(middle)).permute(0, 3, 1, 2).float() / 255
        pictures[torch.from_numpy(places)] = F.interpolate(frames, (_SPRITE, _SPRITE), mode="area")
    return pictures
