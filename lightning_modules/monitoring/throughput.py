"""Callback that logs windows per second over all processes."""

from __future__ import annotations

import time
from typing import Any

import lightning as L


class Throughput(L.Callback):
    """A callback that logs ``training/windows_per_s`` once per epoch, without the time of validation."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self._started: float | None = None
        self._steps = 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._started, self._steps = time.perf_counter(), 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a step."""
        self._steps += 1

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the rate since the beginning of the epoch, before validation starts."""
        self._report(pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the rate of an epoch without validation."""
        self._report(pl_module)

    def _report(self, pl_module: L.LightningModule) -> None:
        if self._started is None or not self._steps:
            return
        rate = self._steps * self.batch_size / (time.perf_counter() - self._started)
        self._started = None
        if pl_module.logger is not None:
            pl_module.logger.log_metrics({"training/windows_per_s": rate}, step=pl_module.global_step)
