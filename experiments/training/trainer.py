"""The trainer of a pretraining run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.plugins import CheckpointIO, LayerSync, Precision
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import DDPStrategy, Strategy

from experiments.runtime.checkpoints import DurableCheckpointIO
from experiments.runtime.devices import accelerator, precision_of
from experiments.runtime.errors import UserError
from experiments.runtime.run_folder import LAST
from experiments.runtime.training_bar import StepCheckpoint, TrainingBar
from experiments.settings.schema import Config
from experiments.training.stop import NoSignals
from lightning_modules.extensions.make import make, make_part
from lightning_modules.extensions.registry import CALLBACKS, LOGGERS
from lightning_modules.monitoring.finite import Batch, FiniteGuard
from lightning_modules.monitoring.throughput import Throughput

# Arguments of the Trainer that may be an import path, with what it has to lead to.
_PARTS: dict[str, tuple[type, ...]] = {
    "strategy": (Strategy,),
    "profiler": (Profiler,),
    "plugins": (Precision, ClusterEnvironment, CheckpointIO, LayerSync),
}


def make_trainer(
    config: Config,
    folder: Path,
    processes: int,
    retrieves: bool,
    names: Callable[[Batch], Sequence[str]],
    callbacks: Sequence[L.Callback] = (),
) -> L.Trainer:
    """Make Lightning's trainer, with checkpoints, curves and a progress bar.

    Args:
        config: all settings.
        folder: of the run.
        processes: on all nodes together; more than one trains with DDP.
        retrieves: whether validation measures retrieval, by which the best checkpoint is chosen.
        names: names the windows of a batch, for the message about one whose loss is not finite.
        callbacks: further ones.

    Raises:
        UserError: Lightning refuses the settings; the message says which.
    """
    t = config.trainer
    kind = accelerator(config)
    try:
        kwargs = _kwargs(config)
        loggers = [make(LOGGERS, name, t.logger_params.get(name, {}), folder, t.trust) for name in t.loggers]
        chosen = [make(CALLBACKS, name, t.callback_params.get(name, {}), folder, t.trust) for name in t.callbacks]
    except ValueError as error:
        raise UserError(f"trainer.{error}") from error
    standard: list[Any] = [
        _last(config, folder),
        FiniteGuard(folder / "non_finite", names),
        Throughput(config.pretraining.batch_size),
        *callbacks,
    ]
    if loggers:
        standard.append(LearningRateMonitor("step"))
    if kwargs.get("enable_progress_bar", True):
        standard.append(TrainingBar())
    if retrieves:
        standard.insert(1, _best(folder))
    plugins = kwargs.pop("plugins", [])
    own: dict[str, Any] = {
        "strategy": DDPStrategy(gradient_as_bucket_view=True) if processes > 1 else "auto",
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
    }
    try:
        trainer = L.Trainer(
            max_epochs=t.max_epochs,
            accelerator=kind,
            devices=t.devices,
            num_nodes=t.num_nodes,
            precision=precision_of(config, t.precision),  # type: ignore[arg-type]
            logger=loggers or False,
            callbacks=[*standard, *chosen],
            plugins=[DurableCheckpointIO(config.privacy.pseudonyms), *plugins],
            gradient_clip_val=config.optim.gradient_clip or None,
            accumulate_grad_batches=t.accumulate,
            check_val_every_n_epoch=t.validate_every,
            log_every_n_steps=t.log_every,
            use_distributed_sampler=False,
            **(own | kwargs),
        )
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise UserError(f"trainer: Lightning's Trainer refuses these settings: {error}") from error
    trainer._signal_connector = NoSignals(trainer)
    return trainer


def is_trial(config: Config) -> bool:
    """Say if this is Lightning's trial of a few batches, which saves nothing."""
    return bool(config.trainer.kwargs.get("fast_dev_run"))


def _kwargs(config: Config) -> dict[str, Any]:
    """Return the further arguments, with their import paths followed."""
    kwargs, trust = dict(config.trainer.kwargs), config.trainer.trust
    for name, base in _PARTS.items():
        if name == "plugins":
            given = kwargs.get(name, [])
            given = [given] if isinstance(given, str | dict) else list(given)
            kwargs[name] = [make_part(value, f"kwargs.{name}", trust, base) for value in given]
        elif name in kwargs:
            kwargs[name] = make_part(kwargs[name], f"kwargs.{name}", trust, base)
    for plugin in kwargs["plugins"]:
        if isinstance(plugin, CheckpointIO):
            raise ValueError(
                f"kwargs.plugins: {type(plugin).__name__} would write checkpoints, which the project does itself, so"
                " that a run that is killed leaves whole ones"
            )
        if not isinstance(plugin, _PARTS["plugins"]):
            raise ValueError(f"kwargs.plugins: expected import paths, package.module:Class; found {plugin!r}")
    return kwargs


def _last(config: Config, folder: Path) -> StepCheckpoint:
    every_step = config.trainer.checkpoint_every_steps
    return StepCheckpoint(
        folder / "checkpoints",
        filename=Path(LAST).stem,
        save_top_k=1,
        enable_version_counter=False,
        every_n_train_steps=every_step or None,
        every_n_epochs=None if every_step else 1,
        save_on_train_epoch_end=None if every_step else True,
    )


def _best(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(
        folder / "checkpoints",
        filename="best",
        monitor="validation/mrr",
        mode="max",
        save_top_k=1,
        enable_version_counter=False,
    )
