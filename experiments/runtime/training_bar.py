"""Shared parts of all trainers: a quiet terminal, a progress bar, and checkpoints between steps."""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from rich import get_console

from experiments.runtime.console import console
from experiments.runtime.time_left import TimeLeft, in_words

_LINE_EVERY_S = 30.0  # where there is no terminal


class TrainingBar(RichProgressBar):
    """Lightning's bar, without the logger's version, with the time that the whole run still takes.

    The bar shows the training loss. It reads the loss from the device only now and then, because reading a number
    waits until the device has finished all its work. Where there is no terminal, as in a log file, a line now and then
    says the same.

    Args:
        read_every_s: seconds between two readings of the loss.
    """

    def __init__(self, read_every_s: float = 0.5) -> None:
        super().__init__(leave=False)
        self._read_every_s = read_every_s
        self._read_at = self._line_at = time.monotonic()
        self._shown: dict[str, Any] = {}
        self._left: TimeLeft | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._left = TimeLeft(int(trainer.estimated_stepping_batches), trainer.global_step)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say how far the run is, where there is no terminal."""
        super().on_train_epoch_end(trainer, pl_module)
        now = time.monotonic()
        if trainer.is_global_zero and not get_console().is_terminal and now - self._line_at >= _LINE_EVERY_S:
            self._line_at = now
            loss = _loss(trainer)
            parts = [f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"]
            parts += [f"loss {loss:.3f}"] if loss is not None else []
            parts += [f"{left} left"] if (left := self._time_left(trainer)) else []
            console.print(", ".join(parts), highlight=False)

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """Give the metrics of the last reading, which stand beside the bar."""
        now = time.monotonic()
        if now - self._read_at >= self._read_every_s:
            self._read_at = now
            self._shown = dict(super().get_metrics(trainer, pl_module))
            self._shown.pop("v_num", None)
            loss = _loss(trainer)
            if loss is not None:
                self._shown["training/loss"] = loss
            if left := self._time_left(trainer):
                self._shown["whole run"] = f"{left} left"
        return self._shown

    def _time_left(self, trainer: L.Trainer) -> str:
        seconds = None if self._left is None else self._left.seconds(trainer.global_step)
        return "" if seconds is None else in_words(seconds)


def _loss(trainer: L.Trainer) -> float | None:
    """Read the last loss that was logged, which waits for the device."""
    loss = trainer.logged_metrics.get("training/loss")
    return loss.item() if isinstance(loss, torch.Tensor) else None


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
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # its report is what was asked for
    for message in (
        r".*Total length of .* across ranks is zero.*",  # one recording: nothing to validate on
        r".*no `val_dataloader`.*",  # the video encoder is judged by the pretraining that uses it
        r".*smaller than the logging interval.*",  # small data sets
        r".*LeafSpec.*is deprecated.*",
        r".*does not have many workers.*",  # batches are read by a thread
        r".*your dataloader is not resumable.*",  # the loader derives its position from the step
        r".*module\(s\) in eval mode at the start of training.*",  # the frozen video encoder
        r".*Checkpoint directory .* exists and is not empty.*",  # resuming
        r".*use `self\.log\('validation/.*sync_dist=True.*",  # every process validates all windows
    ):
        warnings.filterwarnings("ignore", message=message)
