"""Labelled windows for fine-tuning and training from scratch, and the windows to be predicted.

A training batch is a dict of tensors (B windows, T samples): ``imu`` (B, T, 6) float32, normalised and
augmented anew in each step, ``sample_mask`` (B, T) and ``channel_mask`` (B, 6) bool, ``label`` (B,) int64. A
batch to predict is the same without ``label``: what is tested never meets its labels here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.augment import Draws, ImuAugmentation
from datamodules.augment.draws import window_keys
from datamodules.sampling.loader import Batch, BatchLoader
from datamodules.sampling.order import BatchPlan, WindowOrder
from datamodules.signal import normalise
from datamodules.windows.cut import WindowSettings


class ImuWindows(Protocol):
    """Shards, or a view of shards, as far as motion goes."""

    @property
    def settings(self) -> WindowSettings:
        """How windows were cut."""

    def imu(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Values (B, T, 6), sample mask (B, T), channel mask (B, 6)."""


class ImuBatches:
    """Windows in the order given, in batches of up to ``size``."""

    def __init__(self, shards: ImuWindows, windows: NDArray[np.int64], normalisation: str, size: int = 256) -> None:
        self.shards = shards
        self.windows = windows
        self.normalisation = normalisation
        self.size = size

    def __len__(self) -> int:
        return -(-len(self.windows) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.windows), self.size):
            yield read_imu(self.shards, self.windows[start : start + self.size], self.normalisation)


class LabelledDataModule(L.LightningDataModule):
    """A few labelled windows of a set of shards to train on, others to predict.

    Args:
        shards: where the windows come from.
        training: windows to train on, (N,).
        labels: of ``training``, (N,) int64.
        prediction: windows to predict, in this order.
        max_batch_size: the training windows are cut into as few equal batches as this allows; the few left
            over are others in each epoch.
        normalisation: "physical", "window" or "none"; see :func:`datamodules.signal.normalise`.
        augmentation: of the training windows; None leaves them as they are.
        seed: of order and augmentations.

    Raises:
        ValueError: nothing to train on, or windows and labels differ in number.
    """

    def __init__(
        self,
        shards: ImuWindows,
        training: NDArray[np.int64],
        labels: NDArray[np.int64],
        prediction: NDArray[np.int64],
        *,
        max_batch_size: int = 32,
        normalisation: str = "physical",
        augmentation: ImuAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if len(training) == 0 or len(training) != len(labels):
            raise ValueError(f"{len(training)} windows to train on with {len(labels)} labels; expected as many, not 0")
        self.shards = shards
        self.training = training
        self.labels = labels
        self.prediction = prediction
        self.normalisation = normalisation
        self.augmentation = augmentation
        self.seed = seed
        self.batch_size = len(training) // -(-len(training) // max_batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps an epoch."""
        return len(self.training) // self.batch_size

    def train_dataloader(self) -> BatchLoader:
        """Whole batches; their order is a pure function of seed and epoch."""
        trainer = self.trainer
        assert trainer is not None
        plan = BatchPlan(WindowOrder(len(self.training), self.seed), self.batch_size)
        return BatchLoader(plan, self._read_training, lambda: trainer.global_step)

    def predict_dataloader(self) -> ImuBatches:
        """All windows to predict, in order."""
        return ImuBatches(self.shards, self.prediction, self.normalisation)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment training batches on the device; the draws depend on (seed, epoch, window) alone."""
        trainer = self.trainer
        if self.augmentation is None or trainer is None or not trainer.training:
            return batch
        imu = batch["imu"]
        no_frames = imu.new_zeros(len(imu), 0)
        rate_hz = self.shards.settings.imu_rate_hz
        view = self.augmentation(
            imu, batch["sample_mask"], batch["channel_mask"], no_frames, rate_hz, Draws(batch["draws"])
        )
        return {**batch, "imu": view.imu, "sample_mask": view.sample_mask, "channel_mask": view.channel_mask}

    def _read_training(self, positions: NDArray[np.int64], epoch: int) -> Batch:
        windows = self.training[positions]
        batch = read_imu(self.shards, windows, self.normalisation)
        label = torch.from_numpy(self.labels[positions])
        return {**batch, "label": label, "draws": window_keys(self.seed, epoch, windows)}


def read_imu(shards: ImuWindows, windows: NDArray[np.int64], normalisation: str) -> Batch:
    """Normalised windows and their masks, as tensors."""
    imu, sample_mask, channel_mask = shards.imu(windows)
    return {
        "imu": torch.from_numpy(normalise(imu, sample_mask, channel_mask, normalisation)),
        "sample_mask": torch.from_numpy(sample_mask),
        "channel_mask": torch.from_numpy(channel_mask),
    }
