"""A run's folder: ``runs/<experiment>/<name>/`` with its settings, checkpoints and logs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.durable import write_text
from core.errors import first_line
from experiments.runtime.errors import UserError
from experiments.settings.load import plain, saved_settings, to_yaml
from experiments.settings.migration import flatten, migrate
from experiments.settings.schema import Config, DatasetConfig

LAST = "last.ckpt"
# What may differ between a run and its continuation: it changes nothing that is learnt.
_FREE = (
    "run.resume",
    "run.on_damage",
    "checkpoint",
    "paths.",
    "privacy.key",
    "privacy.features_only",
    "build.workers",
    "build.scheduler",
    "evaluation.",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.start_within_s",
    "trainer.threads",
    "trainer.compile",
    "trainer.log_every",
    "trainer.checkpoint_every_steps",
    "trainer.validate_every",
    "trainer.loggers",
    "trainer.logger_params",
    "trainer.trust",
    *(
        f"trainer.kwargs.{name}"
        for name in (
            "detect_anomaly",
            "enable_",
            "inference_mode",
            "limit_val_batches",
            "max_time",
            "num_sanity",
            "profiler",
        )
    ),
    *(f"trainer.kwargs.{name}" for name in ("strategy", "val_check_interval")),
)


def run_folder(config: Config) -> Path:
    """``runs/<experiment>/<name>``."""
    return Path(config.paths.runs) / config.experiment / config.run.name


def prepare(config: Config, main_process: bool) -> Path | None:
    """Make the folder, save the settings, and find the checkpoint to continue from.

    Args:
        config: the run's settings.
        main_process: whether this process writes; the others only look.

    Returns:
        The checkpoint, or None for a fresh start.

    Raises:
        UserError: the run was begun with other settings, or the checkpoint named is missing.
    """
    folder = run_folder(config)
    last = folder / "checkpoints" / LAST
    if config.run.resume not in ("auto", "never"):
        checkpoint = Path(config.run.resume)
        if not checkpoint.is_file():
            raise UserError(f"run.resume: no checkpoint '{checkpoint}'")
    else:
        if config.run.resume == "never" and main_process and folder.exists():
            _set_aside(folder)
        checkpoint = last
        if last.is_file() and config.run.resume == "auto":  # else the main process is about to set it aside
            _refuse_other_settings(folder / "config.yaml", config)
    if main_process:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        write_text(folder / "config.yaml", to_yaml(config))
    return checkpoint if checkpoint.is_file() and config.run.resume != "never" else None


def _set_aside(folder: Path) -> None:
    """Rename an earlier run rather than delete it."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}-replaced-{number}")).exists():
        number += 1
    folder.rename(aside)


def _refuse_other_settings(saved: Path, config: Config) -> None:
    if not saved.is_file():
        return
    content = saved_settings(saved)
    try:
        before = _by_path(migrate(content))
    except (TypeError, ValueError, AttributeError, LookupError, RecursionError) as error:
        raise UserError(f"{saved}: not the settings of a run: {first_line(error)}") from error
    now = _by_path(plain(config))
    # A setting that is newer than the run: what it was trained with is today's default.
    newer = Config(datasets={name: DatasetConfig() for name in config.datasets})
    before = {key: value for key, value in _by_path(plain(newer)).items() if key in now} | before
    # A target that was added for the evaluation does not touch the training.
    used = tuple(f"datasets.{name}." for name in config.pretraining.names())
    changed = [
        key
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
        and not key.startswith(_FREE)
        and not (key.startswith("datasets.") and key.endswith(".shared"))  # where it lies
        and (not key.startswith("datasets.") or key.startswith(used))
    ]
    if changed:
        first = ", ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in changed[:4])
        raise UserError(
            f"{saved.parent} was trained with other settings ({first}{', ...' if len(changed) > 4 else ''});"
            " give this run another name (run.name=...) or start it anew (run.resume=never)"
        )


def _by_path(settings: Mapping[str, Any]) -> dict[str, Any]:
    # An empty group says nothing: what was added to it, or is gone from it, is seen by its own path.
    return {".".join(keys): value for keys, value in flatten(settings) if value != {}}
