"""Callback that logs what training uses: windows per second, time spent waiting for data, memory."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch

_GB = 1e9


class Throughput(L.Callback):
    """A callback that logs once per epoch, without the time of validation.

    - ``training/windows_per_s``, over all processes;
    - ``training_resources/data_wait_share``, of the epoch's time that this process waited for its next batch, if its
      loader counts that (``waited_s``);
    - ``training_resources/memory_gb``, of this process, and ``training_resources/device_memory_gb``, the most that
      tensors took on the GPU.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self._started: float | None = None
        self._waited_s = 0.0
        self._steps = 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._started, self._steps = time.perf_counter(), 0
        self._waited_s = getattr(trainer.train_dataloader, "waited_s", 0.0)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a step."""
        self._steps += 1

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the rate since the beginning of the epoch, before validation starts."""
        self._report(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the rate of an epoch without validation."""
        self._report(trainer)

    def _report(self, trainer: L.Trainer) -> None:
        if self._started is None or not self._steps:
            return
        seconds = time.perf_counter() - self._started
        self._started = None
        found = {
            "training/windows_per_s": self._steps * self.batch_size / seconds,
            "training_resources/memory_gb": memory_bytes() / _GB,
        }
        waited_s = getattr(trainer.train_dataloader, "waited_s", None)
        if waited_s is not None:
            found["training_resources/data_wait_share"] = (waited_s - self._waited_s) / seconds
        device = trainer.strategy.root_device
        if device.type == "cuda":
            found["training_resources/device_memory_gb"] = torch.cuda.max_memory_allocated(device) / _GB
        for logger in trainer.loggers:
            logger.log_metrics(found, step=trainer.global_step)


def memory_bytes() -> int:
    """Return the memory that this process has, in bytes; where the system does not say, the most that it had."""
    status = Path("/proc/self/statm")
    if status.is_file():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
