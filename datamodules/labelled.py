"""Labelled windows for training, and the windows to predict.

A training batch is a dict of tensors (B windows, T samples): ``imu`` (B, T, 6) float32, normalised and
augmented anew in each step, ``sample_mask`` (B, T) and ``channel_mask`` (B, 6) bool, ``label`` (B,) int64. A
batch to predict has the same tensors except ``label``: labels of test windows are never loaded.
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
    """The motion of a set of shards, or of a view of one."""

    @property
    def settings(self) -> WindowSettings:
        """Settings that the windows were cut with."""

    def imu(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Read values (B, T, 6), sample mask (B, T) and channel mask (B, 6) of these windows."""


class ImuBatches:
    """Batches of up to ``size`` windows, in the given order."""

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
    """Labelled training windows and windows to predict, from one set of shards.

    Args:
        shards: source of the windows.
        training: windows to train on, (N,).
        labels: labels of ``training``, (N,) int64.
        prediction: windows to predict, in this order.
        max_batch_size: largest batch. The training windows form as few equal batches as this allows. An epoch leaves
            out the remainder, which differs from epoch to epoch.
        normalisation: "physical", "window" or "none"; see :func:`datamodules.signal.normalise`.
        augmentation: augmentation of the training windows; None leaves them unchanged.
        seed: seed of the order and of the augmentations.

    Raises:
        ValueError: there are no training windows, or windows and labels differ in number.
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
            raise ValueError(
                f"{len(training)} training windows and {len(labels)} labels; expected equal numbers, not 0"
            )
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
        """Optimiser steps per epoch."""
        return len(self.training) // self.batch_size

    def train_dataloader(self) -> BatchLoader:
        """Return the loader of full batches; their order is a pure function of seed and epoch."""
        trainer = self.trainer
        assert trainer is not None
        plan = BatchPlan(WindowOrder(len(self.training), self.seed), self.batch_size)
        return BatchLoader(plan, self._read_training, lambda: trainer.global_step)

    def predict_dataloader(self) -> ImuBatches:
        """Return the batches of the windows to predict, in order."""
        return ImuBatches(self.shards, self.prediction, self.normalisation)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment training batches on the device; the draws depend on (seed, epoch, window) alone."""
        trainer = self.trainer
        if self.augmentation is None or trainer is None or not trainer.training:
            return batch
        return augmented(batch, self.augmentation, self.shards.settings.imu_rate_hz)

    def _read_training(self, positions: NDArray[np.int64], epoch: int) -> Batch:
        windows = self.training[positions]
        batch = read_imu(self.shards, windows, self.normalisation)
        label = torch.from_numpy(self.labels[positions])
        return {**batch, "label": label, "draws": window_keys(self.seed, epoch, windows)}


def read_imu(shards: ImuWindows, windows: NDArray[np.int64], normalisation: str) -> Batch:
    """Read windows and their masks as tensors; the values are normalised."""
    imu, sample_mask, channel_mask = shards.imu(windows)
    return {
        "imu": torch.from_numpy(normalise(imu, sample_mask, channel_mask, normalisation)),
        "sample_mask": torch.from_numpy(sample_mask),
        "channel_mask": torch.from_numpy(channel_mask),
    }


def augmented(batch: Batch, augmentation: ImuAugmentation, rate_hz: float) -> Batch:
    """Replace the windows of a batch by a random view; ``draws`` holds their keys, and is taken out."""
    imu = batch["imu"]
    no_frames = imu.new_zeros(len(imu), 0)
    draws = Draws(batch["draws"])
    view = augmentation(imu, batch["sample_mask"], batch["channel_mask"], no_frames, rate_hz, draws)
    rest = {name: tensor for name, tensor in batch.items() if name != "draws"}
    return {**rest, "imu": view.imu, "sample_mask": view.sample_mask, "channel_mask": view.channel_mask}
