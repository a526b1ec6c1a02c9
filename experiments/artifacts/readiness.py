"""Readiness of an experiment: are weights and recordings there that its runs need? Asked before anything is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from core.errors import MendableError
from experiments.artifacts.needs import need_dataset
from experiments.artifacts.shards import window_settings
from experiments.artifacts.video_encoder import check_video_encoder
from experiments.settings.schema import Config
from lightning_modules.objectives.build import uses_video


def training_problems(config: Config) -> list[str]:
    """List what keeps a run from being trained, a line each: its data sets, and its video encoder's weights."""
    problems = dataset_problems(config, config.pretraining.names())
    if uses_video(config.loss.chosen()):
        problems += _problem("video encoder", lambda: check_video_encoder(config, load=True))
    return problems


def evaluation_problems(config: Config) -> list[str]:
    """List what keeps an experiment from being evaluated, a line each: data sets of targets, weights of others."""
    targets = config.evaluation.targets
    problems = dataset_problems(
        config, (key for t in targets for key in (t.dataset, *t.support, *t.sources, *t.placements))
    )
    for name, external in config.evaluation.external.items():
        if not Path(external.weights).is_file():
            problems.append(f"evaluation.external.{name}: no file '{external.weights}'")
    return problems


def dataset_problems(config: Config, keys: Iterable[str]) -> list[str]:
    """List what is wrong with data sets that have no shards yet, a line each: settings, folders, no recordings."""
    problems = []
    for key in dict.fromkeys(keys):
        problems += _problem(f"data set '{key}'", partial(_check_dataset, config, key))
    return problems


def _check_dataset(config: Config, key: str) -> None:
    window_settings(config, key)
    if missing := need_dataset(config, key).missing:
        raise ValueError(missing)


def _problem(what: str, check: Callable[[], None]) -> list[str]:
    """Run a check; a problem becomes one line."""
    try:
        check()
    except (MendableError, ValueError, OSError) as error:
        said = " ".join(str(error).split())
        return [said if said.startswith(what) else f"{what}: {said}"]
    return []
