"""Cells of a plan, each with a digest of everything that its result depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import xxhash

from core.digest import digest_of
from datamodules.labels.label_column import distinct
from experiments.evaluation.cells import Cell
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods import Method
from experiments.evaluation.perturbations import PLACEMENT, Perturbation
from experiments.evaluation.prototypes.video import Prototypes
from experiments.evaluation.splits import Fold
from experiments.evaluation.targets import System, Target
from experiments.settings.schema import Config

PROTOCOL = 6  # increase it when earlier results can't be compared with new ones


@dataclass(frozen=True)
class Group:
    """The part that all units of a target and a system share."""

    config: Config
    target: Target
    system: System
    folds: list[Fold]
    features: TargetFeatures
    perturbations: tuple[Perturbation, ...]
    notes: tuple[str, ...]
    first: bool  # whether the system is the first one
    external: str = ""  # name of the external encoder, and digest of its weights
    weights: str = ""


def clips_of(target: Target, system: System) -> str | None:
    """Find a data set that gives labels and has video features of the system's video encoder; None without one."""
    settings = target.settings
    return next((key for key in settings.support or [settings.dataset] if key in system.clips), None)


def without_prototype(prototypes: Prototypes, classes: Sequence[str]) -> list[str]:
    """Note the activities that zero-shot can't answer, if there are any."""
    unknown = [name for name in classes if name not in prototypes.activities]
    return [f"zero-shot: without a prototype, so always missed: {', '.join(unknown)}"] if unknown else []


def cell_of(
    group: Group,
    method: Method,
    fold: Fold,
    unit: str,
    k: int,
    draw: int,
    perturbation: Perturbation | None,
    input_digest: str,
) -> Cell:
    """Make the cell of a method on one fold, draw and perturbation."""
    system = group.system if method.checkpoint else System("" if group.first else group.system.name)
    encoder = group.features.spec.name if method.encoder else ""
    if method.external:
        system = System(group.external, checkpoint=group.weights)
        encoder = group.config.evaluation.external[group.external].encoder
    if perturbation is not None and perturbation.kind == PLACEMENT:
        there = group.target.other_placements[str(perturbation.level)].shards.fingerprint
        input_digest = digest_of({"input_digest": input_digest, "other_placement": there})
    populations = distinct(group.target.shards.table["population"][fold.test])
    return Cell(
        dataset=group.target.name,
        population="+".join(populations),
        method=method.name,
        system=system.name,
        encoder=encoder,
        checkpoint=system.checkpoint,
        shots=k,
        shots_unit=unit,
        fold=fold.number,
        draw=draw,
        seed=group.config.run.seed,
        perturbation=str(perturbation) if perturbation else "",
        input_digest=input_digest,
        knowledge=method.knowledge,
    )


def input_digest(group: Group, method: Method, fold: Fold, prototypes: Prototypes | None, notes: list[str]) -> str:
    """Digest everything that a cell's result depends on, but for its draw."""
    evaluation, settings = group.config.evaluation, group.target.settings
    clips = clips_of(group.target, group.system) if method.prototypes == "target" else None
    external = {"external": asdict(evaluation.external[group.external])} if method.external else {}
    return digest_of(
        {
            **external,
            "protocol": PROTOCOL,
            "shards": group.target.shards.fingerprint,
            "test": xxhash.xxh3_128_hexdigest(fold.test.data),
            "pool": xxhash.xxh3_128_hexdigest(fold.pool.data),
            "classes": fold.classes,
            "event": settings.event,
            "notes": notes,
            "settings": {key: _setting(group.config, key) for key in method.settings},
            "draws": [evaluation.draw_seed, evaluation.support_subjects] if method.needs_labels else None,
            "encoder": asdict(group.features.spec) if method.encoder else None,
            "checkpoint": group.system.checkpoint if method.checkpoint else None,
            "prototypes": prototypes.origin if prototypes else None,
            "clips": group.system.clips[clips].encoder_fingerprint if clips else None,
            # Only where there are some, so that results of methods without any keep their digests.
            **({"over_time": [1, settings.smoothed and not method.smooths]} if group.target.timeline.changes else {}),
            **({"sources": sources.fingerprint} if method.sources and (sources := group.target.sources) else {}),
        }
    )


def _setting(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
