"""The plan of an evaluation: its cells.

There is a cell for each target, system, method, fold, number of shots and draw, and for some of them a cell for each
perturbation of the tested windows. Folds are groups of subjects. Each subject is tested once, with labels from others.
All methods get the same windows in a draw of a fold, so that methods can be compared in pairs. Draws are nested: the
windows of fewer shots are among those of more.

A cell holds a digest of everything that its result depends on. Finished cells are kept and not computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from core.digest import digest_of
from datamodules.labels.label_column import distinct
from encoders.contract import ImuInput
from experiments.evaluation.adaptation import find_contender
from experiments.evaluation.cells import Cell
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.external import open_external, weights_digest
from experiments.evaluation.features.target_features import EncoderSpec, TargetFeatures
from experiments.evaluation.held_out_labels import UnlabelledShards
from experiments.evaluation.methods import Method
from experiments.evaluation.perturbations import KINDS, PLACEMENT, Perturbation, PerturbationError, parse_perturbation
from experiments.evaluation.prototypes.video import Prototypes
from experiments.evaluation.splits import Fold, union
from experiments.evaluation.targets import (
    System,
    Target,
    held_out_note,
    label_note,
    refuse_tested_sources,
    seen_in_pretraining,
)
from experiments.runtime.devices import accelerator
from experiments.settings.schema import Config

PROTOCOL = 5  # increase it when earlier results can't be compared with new ones


@dataclass(frozen=True)
class Unit:
    """Cells that share one fit: the tested windows as they are, and under each perturbation.

    Attributes:
        cells: the cells, at least one; they differ in their perturbations.
        perturbations: perturbation of each cell; None for windows as they are.
        method, target, system, features, fold: common to all cells.
        notes: notes that are known before the cells are computed.
    """

    cells: tuple[Cell, ...]
    perturbations: tuple[Perturbation | None, ...]
    method: Method
    target: Target
    system: System
    features: TargetFeatures
    fold: Fold
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Group:
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


def plan_units(config: Config, targets: Sequence[Target], systems: Sequence[System]) -> list[Unit]:
    """List all units, in order. Nothing is fitted; some windows of each target are searched for a gyroscope.

    Args:
        config: ``evaluation``, ``run.seed``, ``pretraining.augment`` and ``trainer.accelerator`` are used; without a
            checkpoint, encoder and normalisation too.
        targets: targets to evaluate on.
        systems: systems to evaluate; methods that use an encoder without a checkpoint use each encoder once.

    Raises:
        EvaluationError: a method is unknown or lacks its checkpoint, or windows don't fit the checkpoint.
        LeakError: a tested subject was in pretraining.
        SplitError: subjects or activities of a target can't be split.
        PerturbationError: an unknown perturbation.
    """
    e = config.evaluation
    chosen = [find_contender(name) for name in e.methods]
    if e.perturbations and e.perturbations_shots and e.perturbations_shots not in e.shots:
        raise EvaluationError(
            f"evaluation.perturbations_shots is {e.perturbations_shots}; expected one of evaluation.shots:"
            f" {', '.join(map(str, e.shots)) or 'none'}"
        )
    _refuse_methods_without_checkpoint(chosen, systems)
    names = [target.name for target in targets]
    if len(set(names)) < len(names):
        raise EvaluationError(f"evaluation.targets: two have the same name: {', '.join(names)}")
    asked = expand_perturbations(e.perturbations)
    externals = _externals(config, chosen, targets)
    device = "cuda" if accelerator(config) == "gpu" else "cpu"
    units: list[Unit] = []
    for target in targets:
        folds = target.folds(e)
        refuse_tested_sources(target, folds)
        if any(method.needs_labels for method in chosen):
            _refuse_too_few_subjects(config, target, folds)
        used = union([windows for fold in folds for windows in (fold.pool, fold.test)])
        shards = UnlabelledShards(target.shards, other_placements=target.other_placements)
        tested = union([fold.test for fold in folds])
        perturbations = tuple(perturbation for perturbation in asked if _changes(perturbation, target, tested))
        perturbations += tuple(Perturbation(PLACEMENT, name) for name in target.other_placements)
        remarks = target.remarks(folds)
        specs: list[EncoderSpec] = []
        for position, system in enumerate(systems):
            seen = seen_in_pretraining(target, folds, system, e.allow_seen_subjects)
            spec = EncoderSpec.of(config, target.shards, system.model)
            source_encoder = (lambda t=target: t.sources.encoder) if target.sources else None
            features = TargetFeatures(shards, used, spec, system.model, config.run.seed, device, source_encoder)
            another = spec not in specs
            specs.append(spec)
            notes = (*seen, *remarks)
            group = _Group(config, target, system, folds, features, perturbations, notes, position == 0)
            for method in chosen:
                # Without their checkpoints, systems differ in the encoder alone.
                if method.external and position == 0:
                    for name, weights in externals.items():
                        units += _units_of(replace(group, external=name, weights=weights), method)
                elif method.checkpoint or position == 0 or (method.encoder and another):
                    units += _units_of(group, method)
    # A method or a checkpoint's file may be named twice; it is evaluated once.
    return list({unit.cells[0].key: unit for unit in units}.values())


def expand_perturbations(texts: Sequence[str]) -> list[Perturbation]:
    """Parse perturbations as the settings name them: "noise=1", or "noise" for all of its levels.

    Raises:
        PerturbationError: a perturbation can't be understood.
    """
    asked: list[Perturbation] = []
    for text in texts:
        if text.partition("=")[0] == PLACEMENT:
            raise PerturbationError(
                f"perturbation '{text}': windows of another placement are read, not made; name the data sets of the"
                " other sensors in a target's 'placements'"
            )
        named = text in KINDS
        asked += [Perturbation(text, level) for level in KINDS[text].levels] if named else [parse_perturbation(text)]
    return list(dict.fromkeys(asked))


def _changes(perturbation: Perturbation, target: Target, tested: NDArray[np.int64]) -> bool:
    """Decide if the perturbation changes the target: there is a gyroscope to lose, or a rate to lower."""
    if perturbation.kind == "gyroscope":
        # A sample over all tested windows, because sensors may differ between subjects.
        some = tested[:: -(-len(tested) // 256)]
        if not target.shards.imu(some)[2][:, 3:].any():
            return False
    return perturbation.changes(target.shards.settings.imu_rate_hz)


def _refuse_too_few_subjects(config: Config, target: Target, folds: Sequence[Fold]) -> None:
    """Refuse, before anything is computed, to take labels of more subjects than there are."""
    e = config.evaluation
    fewest = min(folds, key=lambda fold: len(fold.support_subjects))
    there = len(fewest.support_subjects)
    for key, asked in (
        ("subject_shots", max(e.subject_shots, default=0)),
        ("support_subjects", e.support_subjects),
    ):
        if asked > there:
            raise EvaluationError(
                f"evaluation.{key} asks for labels of {asked} subjects, but fold {fewest.number} of target"
                f" '{target.name}' has {there} that are not tested: {', '.join(fewest.support_subjects)}"
            )
    for key, shots in (("shots", e.shots), ("shots_trained", e.shots_trained), ("subject_shots", e.subject_shots)):
        if min(shots, default=1) < 1:
            raise EvaluationError(f"evaluation.{key} has {min(shots)}; expected at least 1")


def _refuse_methods_without_checkpoint(chosen: Sequence[Method], systems: Sequence[System]) -> None:
    if not systems:
        raise EvaluationError("there is no system to evaluate")
    for method in chosen:
        for system in systems:
            if method.checkpoint and system.model is None:
                raise EvaluationError(f"evaluation.methods: {method.name} needs a checkpoint")


def _externals(config: Config, chosen: Sequence[Method], targets: Sequence[Target]) -> dict[str, str]:
    """Digest the weights of each external encoder; each is built once, so that an error comes first."""
    if not any(method.external for method in chosen):
        return {}
    named = config.evaluation.external
    if not named:
        raise EvaluationError(
            "evaluation.methods: external compares encoders of others, but evaluation.external names none; expected"
            " NAME: {encoder: ..., weights: FILE.safetensors}"
        )
    for name, settings in named.items():
        for target in targets:
            windows = target.shards.settings
            open_external(name, settings, ImuInput(windows.samples, windows.imu_rate_hz))
    return {name: weights_digest(settings) for name, settings in named.items()}


def _pretraining_notes(system: System, classes: list[str]) -> list[str]:
    return [*label_note(system), *held_out_note(system, classes)]


def _units_of(group: _Group, method: Method) -> list[Unit]:
    e = group.config.evaluation
    shots = (e.shots_trained or e.shots) if method.trained else e.shots
    draws = e.draws_trained if method.trained else e.draws
    if method.needs_labels:
        shots_by_unit = [("windows", k) for k in shots] + [("subjects", k) for k in e.subject_shots]
    else:
        shots_by_unit, draws = [("windows", 0)], 1
    changed = _shots_for_perturbations(shots_by_unit, e.perturbations_shots)
    units: list[Unit] = []
    for fold in group.folds:
        prototypes = group.system.prototypes.get(method.prototypes)
        if method.prototypes == "target" and clips_of(group.target, group.system) is None:
            continue
        if method.prototypes in ("source", "text") and prototypes is None:
            continue
        if not group.target.allows(method):
            continue
        notes = [*group.notes, *(_pretraining_notes(group.system, fold.classes) if method.checkpoint else [])]
        if fold.left_out:
            counted = ", ".join(f"{name} ({n} windows)" for name, n in fold.left_out.items())
            notes.append(f"left out, without a label to learn from: {counted}")
        if prototypes is not None:
            notes += without_prototype(prototypes, fold.classes)
        input_digest = _input_digest(group, method, fold, prototypes, notes)
        for unit, k in shots_by_unit:
            for draw in range(draws):
                perturbations: list[Perturbation | None] = [None]
                if (unit, k) == changed and draw < e.perturbations_draws:
                    perturbations += group.perturbations
                cells = tuple(_cell(group, method, fold, unit, k, draw, c, input_digest) for c in perturbations)
                units.append(
                    Unit(
                        cells,
                        tuple(perturbations),
                        method,
                        group.target,
                        group.system,
                        group.features,
                        fold,
                        tuple(notes),
                    )
                )
    return units


def _shots_for_perturbations(shots_by_unit: Sequence[tuple[str, int]], asked: int) -> tuple[str, int]:
    """Choose the unit and number of shots that perturbations are evaluated at: as asked, or else the most."""
    if ("windows", asked) in shots_by_unit:
        return "windows", asked
    return max(shots_by_unit, key=lambda shots: (shots[0] == "windows", shots[1]), default=("windows", 0))


def clips_of(target: Target, system: System) -> str | None:
    """Find a data set that gives labels and has video features of the system's video encoder; None without one."""
    settings = target.settings
    return next((key for key in settings.support or [settings.dataset] if key in system.clips), None)


def without_prototype(prototypes: Prototypes, classes: Sequence[str]) -> list[str]:
    """Note the activities that zero-shot can't answer, if there are any."""
    unknown = [name for name in classes if name not in prototypes.activities]
    return [f"zero-shot: without a prototype, so always missed: {', '.join(unknown)}"] if unknown else []


def _cell(
    group: _Group,
    method: Method,
    fold: Fold,
    unit: str,
    k: int,
    draw: int,
    perturbation: Perturbation | None,
    input_digest: str,
) -> Cell:
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


def _input_digest(group: _Group, method: Method, fold: Fold, prototypes: Prototypes | None, notes: list[str]) -> str:
    evaluation = group.config.evaluation
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
            "event": group.target.settings.event,
            "notes": notes,
            "settings": {key: _setting(group.config, key) for key in method.settings},
            "draws": [evaluation.draw_seed, evaluation.support_subjects] if method.needs_labels else None,
            "encoder": asdict(group.features.spec) if method.encoder else None,
            "checkpoint": group.system.checkpoint if method.checkpoint else None,
            "prototypes": prototypes.origin if prototypes else None,
            "clips": group.system.clips[clips].encoder_fingerprint if clips else None,
            # Only where there are some, so that results of methods without any keep their digests.
            **({"sources": sources.fingerprint} if method.sources and (sources := group.target.sources) else {}),
        }
    )


def _setting(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
