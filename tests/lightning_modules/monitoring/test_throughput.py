"""Costs of training: the share of time that it waits for data, memory."""

from __future__ import annotations

import mmap
import time
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from datamodules.sampling.loader import BatchLoader
from datamodules.sampling.order import BatchPlan, WindowOrder
from lightning_modules.monitoring.throughput import Throughput, memory_bytes


class Log:
    """A logger that keeps what it gets."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.found.update(metrics)


def test_the_share_of_time_that_waits_for_slow_data_is_logged() -> None:
    def read(positions: Any, epoch: int) -> dict[str, torch.Tensor]:
        time.sleep(0.02)
        return {"x": torch.zeros(len(positions))}

    plan = BatchPlan(WindowOrder(40, 0), 4)
    loader = BatchLoader(plan, read, lambda: 0)
    device = SimpleNamespace(root_device=torch.device("cpu"))
    first, second = Log(), Log()
    trainer: Any = SimpleNamespace(train_dataloader=loader, loggers=[first, second], global_step=10, strategy=device)
    callback = Throughput(4)
    callback.on_train_epoch_start(trainer, None)  # type: ignore[arg-type]
    for number, _ in enumerate(loader):
        callback.on_train_batch_end(trainer, None, None, None, number)  # type: ignore[arg-type]
    callback.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
    # Nothing but reading takes time here: nearly all of it is waited for. A busy machine takes some elsewhere.
    assert 0.3 < first.found["training_resources/data_wait_share"] <= 1
    assert loader.waited_s > 0.02
    assert first.found == second.found
    assert first.found["training/windows_per_s"] > 0
    assert "training_resources/device_memory_gb" not in first.found


def test_memory_grows_with_what_is_held() -> None:
    before = memory_bytes()
    # From the system: malloc may have kept as much, which was freed earlier.
    with mmap.mmap(-1, 64 << 20) as held:
        held.write(b"1" * len(held))
        assert memory_bytes() - before == pytest.approx(len(held), rel=0.2)  # other things come and go
