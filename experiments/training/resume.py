"""The checkpoint that a run continues from: whole, and of the same model and training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from core.errors import first_line
from experiments.runtime.devices import accelerator, precision_of
from experiments.runtime.errors import UserError
from experiments.settings.schema import Config
from lightning_modules.checkpoint import read_checkpoint
from lightning_modules.migration import migrate
from lightning_modules.pretraining import PRECISION, ImuPretraining
from lightning_modules.settings import PretrainingSettings

_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true")
_NEEDS = ("state_dict", "hyper_parameters", "global_step", "optimizer_states", "lr_schedulers", "loops")


def steps_done(checkpoint: Path, module: ImuPretraining) -> int:
    """Count the optimiser steps of a checkpoint, having made sure that ``module`` can go on from it.

    Raises:
        CheckpointError: the file is damaged or no checkpoint.
        UserError: it was trained with other settings than ``module`` has, or its weights don't fit.
    """
    content = read_checkpoint(checkpoint, needs=_NEEDS)
    try:
        before = PretrainingSettings.of(migrate(content["hyper_parameters"]))
    except Exception as error:  # whatever a file from outside holds in their place
        raise UserError(f"{checkpoint}: its settings can't be read: {first_line(error)}") from error
    if before.development_subjects is None:  # which earlier versions did not record
        before = replace(before, development_subjects=module.settings.development_subjects)
    changed = [
        f"{name} was {_short(getattr(before, name))}, is {_short(getattr(module.settings, name))}"
        for name in vars(before)
        if getattr(before, name) != getattr(module.settings, name)
    ]
    if changed:
        raise UserError(
            f"{checkpoint} was trained with other settings ({'; '.join(changed[:3])}); give this run another name"
            " (run.name=...) or start it anew (run.resume=never)"
        )
    _check_weights(checkpoint, content["state_dict"], module)
    steps = content["global_step"]
    if not isinstance(steps, int) or steps < 0:
        raise UserError(f"{checkpoint}: damaged: global_step is {_short(steps)}; expected a number of steps")
    return steps


def going_on(config: Config, checkpoint: Path) -> Config:
    """Give the settings with which a run goes on: in the precision that 'auto' was when it began.

    Raises:
        CheckpointError: the file is damaged or no checkpoint.
        UserError: its precision is none.
    """
    if config.trainer.precision != "auto":
        return config
    # Earlier versions, which did not note it, took 32 bits on all processors.
    earlier = precision_of(config, "auto") if accelerator(config) == "gpu" else "32-true"
    precision = read_checkpoint(checkpoint).get(PRECISION, earlier)
    if precision not in _PRECISIONS:
        raise UserError(
            f"{checkpoint}: damaged: precision is {_short(precision)}; expected one of {', '.join(_PRECISIONS)}"
        )
    return replace(config, trainer=replace(config.trainer, precision=precision))


def refused_checkpoint(error: Exception, checkpoint: Path) -> UserError | None:
    """Say in a sentence that Lightning could not put a checkpoint back; None if the error came from somewhere else.

    What :func:`steps_done` can't know is whether the states of optimiser, schedule and loops fit this training.
    """
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith("checkpoint_connector.py"):
            return UserError(
                f"{checkpoint}: damaged: training can't go on from it ({type(error).__name__}: {first_line(error)});"
                " use an earlier checkpoint (run.resume=PATH), or start anew (run.resume=never)"
            )
        trace = trace.tb_next
    return None


def _check_weights(checkpoint: Path, weights: Any, module: ImuPretraining) -> None:
    expected = module.state_dict()
    if not isinstance(weights, Mapping):
        raise UserError(f"{checkpoint}: damaged: state_dict is {_short(weights)}; expected tensors by name")
    for name in sorted(expected.keys() | weights.keys()):
        if name not in weights or name not in expected:
            where = "it" if name not in weights else "this model"
            raise UserError(f"{checkpoint}: weights of another model: {where} has no '{name}'")
        if _shape(weights[name]) != _shape(expected[name]):
            raise UserError(
                f"{checkpoint}: '{name}' has shape {_shape(weights[name])}; expected {_shape(expected[name])}"
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _shape(value: Any) -> tuple[int, ...] | str:
    """The shape of a tensor; modules may keep other values too, as extra state."""
    return tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
