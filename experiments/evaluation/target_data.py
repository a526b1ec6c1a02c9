"""Opening of targets: their shards, other placements of the same windows, and data sets of other laboratories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from datamodules.labels.label_column import UNLABELLED
from datamodules.labels.mapping import CommonActivitiesError
from datamodules.shards.concat import ConcatShards
from encoders.contract import ImuEncoder
from experiments.artifacts.shards import open_dataset
from experiments.evaluation.placements import OtherPlacement, PlacementError, find_other_placement
from experiments.evaluation.targets import Target
from experiments.evaluation.transfer.source_encoder import open_source_encoder
from experiments.evaluation.transfer.sources import Sources, SourceSet
from experiments.runtime.console import console, progress_bar
from experiments.runtime.devices import accelerator
from experiments.runtime.errors import UserError
from experiments.settings.evaluation import TargetConfig
from experiments.settings.schema import Config


def open_targets(config: Config) -> list[Target]:
    """Open targets with their shards; missing shards are built.

    Raises:
        UserError: a data set is not configured or can't be built, or is no other placement of the tested data set, or
            its activities lack the common names that were asked for.
    """
    targets = []
    for settings in config.evaluation.targets:
        keys = list(dict.fromkeys([settings.dataset, *settings.support]))
        parts = [(key, open_dataset(config, key)) for key in keys]
        shards = ConcatShards(parts, settings.labels != "own", settings.gyroscope)
        if shards.common:
            try:
                counted = str(shards.renamed)
            except CommonActivitiesError as error:
                raise UserError(f"target '{settings.name or settings.dataset}': {error}") from error
            name = settings.name or settings.dataset
            console.print(f"{name}: activities by their common names\n{counted}", highlight=False, markup=False)
        other_placements = _other_placements(config, settings, shards)
        targets.append(Target(settings, shards, other_placements, _sources(config, settings, shards)))
    return targets


def _sources(config: Config, settings: TargetConfig, shards: ConcatShards) -> Sources | None:
    """Open the data sets of other laboratories that the target may learn from."""
    if not settings.sources:
        if settings.labels == "shared":
            raise UserError(
                f"target '{settings.name or settings.dataset}': 'labels: shared' keeps the activities that a data set"
                " of 'sources' has too, but 'sources' names none"
            )
        return None
    sets = []
    for key in dict.fromkeys(settings.sources):
        if key in dict(shards.parts):
            raise UserError(
                f"target '{settings.name or settings.dataset}': 'sources' names '{key}', one of the target's own"
                " data sets; expected others"
            )
        opened = ConcatShards([(key, open_dataset(config, key))], gyroscope=settings.gyroscope)
        if not bool((opened.table["activity"] != UNLABELLED).any()):
            raise UserError(f"target '{settings.name or settings.dataset}': source '{key}' has no labelled window")
        sets.append(SourceSet(key, opened))
    device = "cuda" if accelerator(config) == "gpu" else "cpu"
    return Sources(sets, lambda sources: _source_encoder(config, settings, sources), device)


def _source_encoder(config: Config, settings: TargetConfig, sources: Sources) -> ImuEncoder:
    """Open the encoder trained on the labels of a target's sources, with a progress bar where it is trained."""
    name, keys = settings.name or settings.dataset, ", ".join(part.name for part in sources.sets)
    with progress_bar() as bar:
        task = bar.add_task(f"{name}: encoder from labels of {keys}", total=config.evaluation.transfer.steps)
        return open_source_encoder(
            sources,
            config.evaluation.transfer,
            config.run.seed,
            Path(config.paths.data) / "weights" / config.experiment,
            accelerator(config),
            lambda done, total: bar.update(task, completed=done, total=total),
        )


def _other_placements(config: Config, settings: TargetConfig, shards: ConcatShards) -> dict[str, OtherPlacement]:
    found: dict[str, OtherPlacement] = {}
    for key in settings.placements:
        try:
            other = open_dataset(config, key)
            placement, there = find_other_placement(shards, other)
        except PlacementError as error:
            raise UserError(f"target '{settings.name or settings.dataset}', placements, '{key}': {error}") from error
        if placement in found:
            raise UserError(f"target '{settings.name or settings.dataset}': 'placements' names '{placement}' twice")
        if not settings.gyroscope:
            there = replace(there, shards=ConcatShards([(key, other)], gyroscope=False))
        found[placement] = there
    return found
