"""The plan of an evaluation: its cells.

There is a cell for each target, system, method, fold, number of shots and draw, and for some of them a cell for each
perturbation of the tested windows. Folds are groups of subjects. Each subject is tested once, with labels from others.
All methods get the same windows in a draw of a fold, so that methods can be compared in pairs. Draws are nested: the
windows of fewer shots are among those of more.

A cell holds a digest of everything that its result depends on. Finished cells are kept and not computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.plural import plural
from experiments.evaluation.adaptation import find_contender
from experiments.evaluation.cells import Cell
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.target_features import EncoderSpec, TargetFeatures
from experiments.evaluation.held_out_labels import UnlabelledShards
from experiments.evaluation.ledger import Ledger, control_of
from experiments.evaluation.methods import Method
from experiments.evaluation.perturbations import LABEL_NOISE, PLACEMENT, Perturbation
from experiments.evaluation.plan_checks import (
    changes,
    expand_perturbations,
    externals,
    refuse_methods_without_checkpoint,
    refuse_settings,
    refuse_too_few_subjects,
)
from experiments.evaluation.planned_cells import Group, cell_of, clips_of, input_digest, without_prototype
from experiments.evaluation.seed_ensembles import can_be_together, ensembles_of, together
from experiments.evaluation.splits import Fold, union
from experiments.evaluation.targets import (
    OWN,
    System,
    Target,
    held_out_note,
    label_note,
    refuse_tested_sources,
    seen_in_pretraining,
)
from experiments.runtime.devices import accelerator
from experiments.settings.schema import Config


@dataclass(frozen=True)
class Unit:
    """Cells that share one fit: the tested windows as they are, and under each perturbation.

    Attributes:
        cells: the cells, at least one; they differ in their perturbations.
        perturbations: perturbation of each cell; None for windows as they are.
        method, target, system, features, fold: common to all cells.
        notes: notes that are known before the cells are computed.
        label_noise: share of the labelled windows that get a wrong label.
    """

    cells: tuple[Cell, ...]
    perturbations: tuple[Perturbation | None, ...]
    method: Method
    target: Target
    system: System
    features: TargetFeatures
    fold: Fold
    notes: tuple[str, ...]
    label_noise: float = 0.0


def plan_units(
    config: Config, targets: Sequence[Target], systems: Sequence[System], ledger: Ledger | None = None
) -> list[Unit]:
    """List all units, in order. Nothing is fitted; some windows of each target are searched for a gyroscope.

    Args:
        config: ``evaluation``, ``run.seed``, ``pretraining.augment`` and ``trainer.accelerator`` are used; without a
            checkpoint, encoder and normalisation too.
        targets: targets to evaluate on.
        systems: systems to evaluate; methods that use an encoder without a checkpoint use each encoder once.
        ledger: which encoders saw whom; None makes it. Cells that it refuses are not planned.

    Raises:
        EvaluationError: a method is unknown or lacks its checkpoint, or windows don't fit the checkpoint.
        LeakError: the ledger refuses all cells of the run's own checkpoint on a target.
        SplitError: subjects or activities of a target can't be split.
        PerturbationError: an unknown perturbation.
    """
    e = config.evaluation
    chosen = [find_contender(name) for name in e.methods]
    refuse_settings(e)
    refuse_methods_without_checkpoint(chosen, systems)
    names = [target.name for target in targets]
    if len(set(names)) < len(names):
        raise EvaluationError(f"evaluation.targets: two have the same name: {', '.join(names)}")
    asked = expand_perturbations(e.perturbations)
    outside = externals(config, chosen, targets)
    ledger = Ledger.of(config, targets, systems, outside) if ledger is None else ledger
    device = "cuda" if accelerator(config) == "gpu" else "cpu"
    units: list[Unit] = []
    for target in targets:
        folds = target.folds(e)
        refuse_tested_sources(target, folds)
        if any(method.needs_labels for method in chosen):
            refuse_too_few_subjects(config, target, folds)
        used = union([windows for fold in folds for windows in (fold.pool, fold.test)])
        shards = UnlabelledShards(target.shards, other_placements=target.other_placements)
        tested = union([fold.test for fold in folds])
        perturbations = tuple(perturbation for perturbation in asked if changes(perturbation, target, tested))
        perturbations += tuple(Perturbation(PLACEMENT, name) for name in target.other_placements)
        remarks = target.remarks(folds)
        specs: list[EncoderSpec] = []
        by_checkpoint: dict[str, TargetFeatures] = {}
        said: dict[str, None] = {}
        for position, system in enumerate(systems):
            refused = {
                fold.number
                for fold in folds
                if ledger.why(target.name, fold.number, "checkpoint", system.name, system.checkpoint)
            }
            # Nothing would be left of what the run is about: that is a mistake in the settings.
            stop = system.name == OWN and len(refused) == len(folds)
            allowed = e.allow_seen_subjects
            seen = seen_in_pretraining(target, folds, system, allowed) if stop or allowed else []
            spec = EncoderSpec.of(config, target.shards, system.model)
            source_encoder = (lambda t=target: t.sources.encoder) if target.sources else None
            features = TargetFeatures(shards, used, spec, system.model, config.run.seed, device, source_encoder)
            by_checkpoint[system.checkpoint] = features
            said |= dict.fromkeys(seen)
            another = spec not in specs
            specs.append(spec)
            notes = (*seen, *remarks)
            group = Group(config, target, system, folds, features, perturbations, notes, position == 0)
            for method in chosen:
                # Without their checkpoints, systems differ in the encoder alone.
                if method.external and position == 0:
                    for name, weights in outside.items():
                        units += _units_of(replace(group, external=name, weights=weights), method, ledger)
                elif method.checkpoint or position == 0 or (method.encoder and another):
                    units += _units_of(group, method, ledger)
        for system in ensembles_of(systems) if e.ensembles else []:
            features = by_checkpoint[system.members[0].checkpoint]
            group = Group(config, target, system, folds, features, perturbations, (*said, *remarks), False)
            for method in filter(can_be_together, chosen):
                units += _units_of(group, together(method, by_checkpoint, system.members), ledger)
    # A method or a checkpoint's file may be named twice; it is evaluated once.
    return list({unit.cells[0].key: unit for unit in units}.values())


def _pretraining_notes(system: System, classes: list[str]) -> list[str]:
    control = control_of(system.model.settings.shuffled_video) if system.model is not None else ""
    stopped = f"INCOMPLETE TRAINING: the checkpoint is of {system.incomplete}" if system.incomplete else ""
    notes = [*label_note(system), *held_out_note(system, classes), control, stopped]
    return [note for note in notes if note]


def _units_of(group: Group, method: Method, ledger: Ledger) -> list[Unit]:
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
        if _refused(ledger, group, method, fold):
            continue
        prototypes = group.system.prototypes.get(method.prototypes)
        if method.prototypes == "target" and clips_of(group.target, group.system) is None:
            continue
        if method.prototypes in ("source", "text") and prototypes is None:
            continue
        if not group.target.allows(method):
            continue
        notes = [*group.notes, *(_pretraining_notes(group.system, fold.classes) if method.checkpoint else [])]
        if fold.left_out:
            counted = ", ".join(f"{name} ({plural(n, 'window')})" for name, n in fold.left_out.items())
            notes.append(f"left out, without a label to learn from: {counted}")
        if prototypes is not None:
            notes += without_prototype(prototypes, fold.classes)
        digest = input_digest(group, method, fold, prototypes, notes)
        common = (method, group.target, group.system, group.features, fold, tuple(notes))
        for unit, k in shots_by_unit:
            for draw in range(draws):
                perturbations: list[Perturbation | None] = [None]
                noises: list[float] = []
                if (unit, k) == changed and draw < e.perturbations_draws:
                    perturbations += group.perturbations
                    noises = e.label_noise if method.needs_labels else []
                cells = tuple(cell_of(group, method, fold, unit, k, draw, each, digest) for each in perturbations)
                units.append(Unit(cells, tuple(perturbations), *common))
                for share in noises:
                    noisy = cell_of(group, method, fold, unit, k, draw, Perturbation(LABEL_NOISE, share), digest)
                    units.append(Unit((noisy,), (None,), *common, label_noise=share))
    return units


def _refused(ledger: Ledger, group: Group, method: Method, fold: Fold) -> bool:
    name, number = group.target.name, fold.number
    if method.external:
        return bool(ledger.why(name, number, "external", group.external, group.weights))
    members = group.system.members or (group.system,)
    return method.checkpoint and any(
        ledger.why(name, number, "checkpoint", system.name, system.checkpoint) for system in members
    )


def _shots_for_perturbations(shots_by_unit: Sequence[tuple[str, int]], asked: int) -> tuple[str, int]:
    """Choose the unit and number of shots that perturbations are evaluated at: as asked, or else the most."""
    if ("windows", asked) in shots_by_unit:
        return "windows", asked
    return max(shots_by_unit, key=lambda shots: (shots[0] == "windows", shots[1]), default=("windows", 0))
