"""The trainer of a pretraining run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from experiments.runtime.checkpoints import DurableCheckpointIO
from experiments.runtime.devices import accelerator, supports_bf16
from experiments.runtime.run_folder import LAST
from experiments.runtime.training_bar import StepCheckpoint, TrainingBar
from experiments.settings.schema import Config
from lightning_modules.monitoring.finite import Batch, FiniteGuard
from lightning_modules.monitoring.throughput import Throughput


def make_trainer(
    config: Config, folder: Path, processes: int, retrieves: bool, names: Callable[[Batch], Sequence[str]]
) -> L.Trainer:
    """Make Lightning's trainer, with checkpoints, curves and a progress bar.

    Args:
        config: all settings.
        folder: of the run.
        processes: on all nodes together; more than one trains with DDP.
        retrieves: whether validation measures retrieval, by which the best checkpoint is chosen.
        names: names the windows of a batch, for the message about one whose loss is not finite.
    """
    t = config.trainer
    kind = accelerator(config)
    precision = t.precision
    if precision == "auto":
        # bf16 pays on a GPU; a small IMU encoder on a CPU is faster, and exact to resume, in 32 bits.
        precision = "bf16-mixed" if kind == "gpu" and supports_bf16(config) else "32-true"
    every_step = t.checkpoint_every_steps
    callbacks: list[Any] = [
        StepCheckpoint(
            folder / "checkpoints",
            filename=Path(LAST).stem,
            save_top_k=1,
            enable_version_counter=False,
            every_n_train_steps=every_step or None,
            every_n_epochs=None if every_step else 1,
            save_on_train_epoch_end=None if every_step else True,
        ),
        FiniteGuard(folder / "non_finite", names),
        LearningRateMonitor("step"),
        Throughput(config.pretraining.batch_size),
        TrainingBar(),
    ]
    if retrieves:
        best = ModelCheckpoint(
            folder / "checkpoints",
            filename="best",
            monitor="validation/mrr",
            mode="max",
            save_top_k=1,
            enable_version_counter=False,
        )
        callbacks.insert(1, best)
    return L.Trainer(
        max_epochs=t.max_epochs,
        accelerator=kind,
        devices=t.devices,
        num_nodes=t.num_nodes,
        strategy=DDPStrategy(gradient_as_bucket_view=True) if processes > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
        logger=TensorBoardLogger(folder, name="", version="tensorboard", default_hp_metric=False),
        callbacks=callbacks,
        plugins=[DurableCheckpointIO()],
        gradient_clip_val=config.optim.gradient_clip or None,
        accumulate_grad_batches=t.accumulate,
        check_val_every_n_epoch=t.validate_every,
        log_every_n_steps=t.log_every,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )
