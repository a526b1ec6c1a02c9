"""Shared parts of all trainers: a quiet terminal, a progress bar, and checkpoints between steps."""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar


class TrainingBar(RichProgressBar):
    """Lightning's bar, without the logger's version.

    The bar shows the training loss. It reads the loss from the device only now and then, because reading a number
    waits until the device has finished all its work.
    """

    def __init__(self, read_every_s: float = 0.5) -> None:
        super().__init__(leave=False)
        self._read_every_s = read_every_s
        self._read_at = time.monotonic()
        self._shown: dict[str, Any] = {}

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Give the metrics of the last reading, which stand beside the bar."""
        now = time.monotonic()
        if now - self._read_at >= self._read_every_s:
            self._read_at = now
            self._shown = dict(super().get_metrics(trainer, pl_module))
            self._shown.pop("v_num", None)
            loss = trainer.logged_metrics.get("training/loss")
            if isinstance(loss, torch.Tensor):
                self._shown["training/loss"] = loss.item()
        return self._shown


class StepCheckpoint(ModelCheckpoint):
    """A checkpoint that is written between optimiser steps, never between batches whose gradients are accumulated."""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Call Lightning's method if the batch ended an optimiser step."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0 or trainer.is_last_batch:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


def quiet() -> None:
    """Silence hints of Lightning that do not help users of these commands."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        r".*Total length of .* across ranks is zero.*",  # one recording: nothing to validate on
        r".*no `val_dataloader`.*",  # the video encoder is judged by the pretraining that uses it
        r".*smaller than the logging interval.*",  # small data sets
        r".*LeafSpec.*is deprecated.*",
        r".*does not have many workers.*",  # batches are read by a thread
        r".*your dataloader is not resumable.*",  # the loader derives its position from the step
        r".*module\(s\) in eval mode at the start of training.*",  # the frozen video encoder
        r".*Checkpoint directory .* exists and is not empty.*",  # resuming
    ):
        warnings.filterwarnings("ignore", message=message)
