"""Arguments of Lightning's Trainer, of loggers and of callbacks, checked against the signatures of what takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from core.suggestions import did_you_mean

_SETTING = "is the project's own setting: write {0}=... instead"
# What the project has to decide itself, and why.
OWNED = {
    "max_epochs": _SETTING.format("trainer.max_epochs"),
    "accelerator": _SETTING.format("trainer.accelerator"),
    "devices": _SETTING.format("trainer.devices"),
    "num_nodes": _SETTING.format("trainer.num_nodes"),
    "precision": _SETTING.format("trainer.precision"),
    "check_val_every_n_epoch": _SETTING.format("trainer.validate_every"),
    "log_every_n_steps": _SETTING.format("trainer.log_every"),
    "accumulate_grad_batches": _SETTING.format("trainer.accumulate"),
    "gradient_clip_val": _SETTING.format("optim.gradient_clip"),
    "logger": _SETTING.format("trainer.loggers"),
    "callbacks": _SETTING.format("trainer.callbacks"),
    "default_root_dir": "is the run's folder: write paths.runs=... or run.name=... instead",
    "max_steps": "would end the run before its learning rate has come down, which follows trainer.max_epochs; for a"
    " short run write trainer.kwargs.limit_train_batches=...",
    "overfit_batches": "can't repeat the same batches, as the loader goes on with the next windows; use a data set with"
    " few recordings instead",
    "enable_checkpointing": "would leave nothing that the run could be continued from",
    "use_distributed_sampler": "would share the batches among processes twice; the data module does it",
    "barebones": "would take away the checkpoints that the run is continued from",
}
_NO_ARGUMENTS = ("self", "args", "kwargs")


def arguments_of(function: Callable[..., Any]) -> tuple[list[str], bool]:
    """List the names of the arguments that a class or function takes, and say if it takes others besides."""
    parameters = inspect.signature(function).parameters
    names = [name for name in parameters if name not in _NO_ARGUMENTS]
    return names, any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def check_arguments(
    function: Callable[..., Any],
    found: Iterable[str],
    path: str,
    what: str,
    refused: Mapping[str, str] | None = None,
) -> None:
    """Refuse arguments that a class or function does not take, or must not be given.

    Args:
        function: the class or function.
        found: names of the arguments.
        path: of the setting that has them, e.g. ``kwargs``.
        what: whose arguments they are, for messages.
        refused: arguments that are not allowed -> the reason, as words after "it".

    Raises:
        ValueError: the first that is wrong; the message begins with ``path``.
    """
    refused = refused or {}
    names, takes_others = arguments_of(function)
    allowed = [name for name in names if name not in refused]
    for name in found:
        if name in refused:
            raise ValueError(f"{path}.{name}: it {refused[name]}")
        if name not in allowed and not takes_others:
            raise ValueError(
                f"{path}.{name}: {what} has no argument '{name}'{did_you_mean(name, allowed)}"
                f" (it has: {', '.join(allowed)})"
            )


@cache
def arguments_of_trainer() -> tuple[str, ...]:
    """List the arguments of Lightning's Trainer that ``trainer.kwargs`` may have."""
    import lightning as L

    return tuple(name for name in arguments_of(L.Trainer)[0] if name not in OWNED)


def check_trainer_arguments(kwargs: Mapping[str, Any]) -> None:
    """Refuse what Lightning's Trainer does not take, and what the project decides itself.

    Raises:
        ValueError: the message begins with ``kwargs``.
    """
    if kwargs:
        import lightning as L

        check_arguments(L.Trainer, map(str, kwargs), "kwargs", "Lightning's Trainer", OWNED)
