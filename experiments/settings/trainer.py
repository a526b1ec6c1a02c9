"""Settings of the trainer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.settings import setting
from lightning_modules.extensions.arguments import check_trainer_arguments


@dataclass
class TrainerConfig:
    """What Lightning's Trainer gets."""

    max_epochs: int = setting(40, "passes over the training windows", at_least=1)
    accelerator: str = setting("auto", "'auto', 'cpu', 'gpu'", choices=("auto", "cpu", "gpu"))
    devices: int = setting(1, "devices (processes) a node; more than one trains with DDP", at_least=1)
    num_nodes: int = setting(1, "machines that train together", at_least=1)
    start_within_s: float = setting(
        600.0, "seconds that the processes of a training wait for each other at the start", above=0
    )
    precision: str = setting("auto", "'auto' is bf16 where the GPU or the processor computes in it, else 32-bit")
    validate_every: int = setting(5, "epochs between validations")
    log_every: int = setting(10, "steps between log entries")
    threads: int = setting(0, "CPU threads a process; 0 shares the cores between the processes")
    accumulate: int = setting(
        1, "batches whose gradients make one optimiser step; negatives stay within a batch", at_least=1
    )
    compile: bool = setting(False, "torch.compile the IMU encoder; see docs/guides/performance.md")
    checkpoint_every_steps: int = setting(0, "also write last.ckpt every so many steps; 0: each epoch")
    kwargs: dict[str, Any] = setting(
        {}, "further arguments of Lightning's Trainer, e.g. {fast_dev_run: true, profiler: simple}"
    )
    loggers: list[str] = setting(
        ["tensorboard"], "tensorboard, csv, wandb, mlflow, or an import path, package.module:Class"
    )
    logger_params: dict[str, Any] = setting({}, "a logger's own arguments, e.g. {wandb: {project: imu}}")
    callbacks: list[str] = setting(
        [], "early_stopping, weight_averaging, device_stats, model_summary, timer, or an import path"
    )
    callback_params: dict[str, Any] = setting(
        {}, "a callback's own arguments, e.g. {early_stopping: {monitor: validation/mrr, mode: max}}"
    )
    trust: list[str] = setting(
        [], "packages that import paths may lead into, whose code then runs; on the command line only"
    )

    def check(self) -> None:
        """Refuse arguments, names and paths that can't be used; imports nothing that a path names."""
        check_trainer_arguments(self.kwargs)
        default = self.loggers == ["tensorboard"] and not self.logger_params
        if default and not self.callbacks and not self.callback_params:
            return
        from lightning_modules.extensions import make
        from lightning_modules.extensions.registry import CALLBACKS, LOGGERS

        for registry, field, names, params in (
            (LOGGERS, "loggers", self.loggers, self.logger_params),
            (CALLBACKS, "callbacks", self.callbacks, self.callback_params),
        ):
            for name in names:
                make.check_name(registry, name, field, self.trust)
            make.check_params(registry, names, params)
