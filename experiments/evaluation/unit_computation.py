"""Computation of one unit: labels are drawn, a method is fitted, tested windows are predicted and scored.

Nothing is tuned on the tested windows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datamodules.labels.label_column import among, distinct, positions
from datamodules.pretraining import stream_seed
from experiments.evaluation.cells import KNOWS_LABELS, Cell, CellResult
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.feature_table import in_blocks
from experiments.evaluation.held_out_labels import HeldOutLabels, ScoresError
from experiments.evaluation.label_noise import flip_labels
from experiments.evaluation.methods import CellData, Scores
from experiments.evaluation.plan import Unit
from experiments.evaluation.planned_cells import clips_of, without_prototype
from experiments.evaluation.prototypes.video import NoPrototypesError, Prototypes, build_prototypes
from experiments.evaluation.sealed_slice import personal_windows
from experiments.evaluation.splits import assert_disjoint, draw_subjects, draw_support
from experiments.evaluation.unlabelled import unlabelled_windows
from experiments.settings.schema import Config


@dataclass(frozen=True)
class _Sides:
    """Windows of a cell: support and personal (labelled), pool (labels could come from it) and test; notes on them."""

    support: NDArray[np.int64]
    pool: NDArray[np.int64]
    test: NDArray[np.int64]
    personal: NDArray[np.int64]
    notes: list[str]


def compute_unit(config: Config, unit: Unit) -> list[CellResult]:
    """Fit once, and predict the tested windows under each perturbation of the unit."""
    cell, fold = unit.cells[0], unit.fold
    started = time.perf_counter()
    table = unit.target.shards.table
    sides = _draw(config, unit)
    notes = [*unit.notes, *sides.notes]
    labels = table["activity"]
    # Labelled subjects may lack an activity. It is never predicted, and its windows count as missed.
    shown = set(distinct(labels[sides.support])) if unit.method.needs_labels else set(fold.classes)
    classes = [name for name in fold.classes if name in shown]
    prototypes = _prototypes(unit, notes)
    why = ""
    if len(classes) < 2:
        why = f"labels of {len(classes)} activity; at least 2 are needed"
    elif prototypes is not None and not set(prototypes.activities) & set(classes):
        why = "no prototype of any of these activities"
    if why or (unit.method.prototypes and prototypes is None):
        notes += [f"not done: {why}"] if why else []
        return [_result(unit, cell, sides, time.perf_counter() - started, notes, prototypes) for cell in unit.cells]
    personal = sides.personal[among(labels[sides.personal], classes)]
    data = CellData(
        config=config,
        features=unit.features,
        prototypes=prototypes,
        sources=unit.target.sources,
        classes=classes,
        support=sides.support,
        support_labels=positions(labels[sides.support], classes),
        support_subjects=table["subject"][sides.support],
        pool=sides.pool,
        pool_counts=np.array([int(among(labels[sides.pool], [name]).sum()) for name in classes]),
        seed=stream_seed(cell.seed, cell.fold, cell.shots, cell.draw),
        notes=notes,
        unlabelled=unlabelled_windows(table, fold, unit.method.person_windows, _draw_key(config, cell)),
        external=cell.system if unit.method.external else "",
        personal=personal,
        personal_labels=positions(labels[personal], classes),
    )
    if unit.label_noise:
        key = _draw_key(config, cell)
        data = replace(data, support_labels=flip_labels(data.support_labels, len(classes), unit.label_noise, key))
    predict = unit.method.fit(data)
    results = []
    for cell, perturbation in zip(unit.cells, unit.perturbations, strict=True):
        features = unit.features.under(perturbation) if perturbation else unit.features
        tested = features.shards.measured(sides.test)
        scores, said = None, []
        if missing := len(sides.test) - len(tested):
            said = [f"{perturbation}: {missing} of {len(sides.test)} tested windows were not measured there"]
        if len(tested):
            # Activities without a labelled window keep probability 0.
            scores = np.zeros((len(tested), len(fold.classes)))
            answered = [fold.classes.index(name) for name in classes]
            done = 0
            for part in [tested] if unit.method.together else in_blocks(tested):
                found = np.asarray(predict(features, part))
                if found.shape != (len(part), len(classes)):
                    raise EvaluationError(
                        f"method {cell.method} on '{cell.dataset}': scores of shape {found.shape}; expected"
                        f" {(len(part), len(classes))}"
                    )
                scores[done : done + len(part), answered] = found
                done += len(part)
        seconds = time.perf_counter() - started
        there = replace(sides, test=tested)
        results.append(_result(unit, cell, there, seconds, [*notes, *said], prototypes, scores))
        started = time.perf_counter()
    return results


def _draw(config: Config, unit: Unit) -> _Sides:
    cell, fold, table = unit.cells[0], unit.fold, unit.target.shards.table
    support: NDArray[np.int64] = np.empty(0, np.int64)
    notes: list[str] = []
    if unit.method.needs_labels:
        key = _draw_key(config, cell)
        if cell.shots_unit == "subjects":
            support = draw_subjects(table, fold.pool, cell.shots, key)
        else:
            subjects = config.evaluation.support_subjects
            support, notes = draw_support(table, fold.pool, cell.shots, key, subjects)
    test, personal = fold.test, np.empty(0, np.int64)
    if unit.method.knowledge == KNOWS_LABELS:
        shots = cell.shots if cell.shots_unit == "windows" else 0
        gap_s, window_s = config.evaluation.personal_gap_s, unit.target.shards.settings.duration_s
        test, personal, note = personal_windows(table, fold, window_s, gap_s, shots, _draw_key(config, cell))
        notes = [*notes, note]
    # The check looks at the drawn windows, not at the names in the fold.
    person = table["person"]
    given = [name for windows in (support, fold.pool) for name in distinct(person[windows])]
    assert_disjoint(given, distinct(person[fold.test]))
    return _Sides(support, fold.pool, test, personal, notes)


def _draw_key(config: Config, cell: Cell) -> tuple[int, str, int, int]:
    # The run's seed has no part: checkpoints of several seeds are compared on the same draws.
    return config.evaluation.draw_seed, cell.dataset, cell.fold, cell.draw


def _prototypes(unit: Unit, notes: list[str]) -> Prototypes | None:
    kind, system, target = unit.method.prototypes, unit.system, unit.target
    if kind != "target":
        return system.prototypes.get(kind)
    key = clips_of(target, system)
    assert key is not None
    assert system.model is not None
    part = next(i for i, (name, _) in enumerate(target.shards.parts) if name == key)
    first = sum(shards.n_windows for _, shards in target.shards.parts[:part])
    shards = target.shards.parts[part][1]
    windows = unit.fold.pool - first
    windows = windows[(windows >= 0) & (windows < shards.n_windows)]
    labels = target.shards.table["activity"][first : first + shards.n_windows]
    try:
        found = build_prototypes(system.model, shards, system.clips[key], unit.features.device, windows, labels)
    except NoPrototypesError as error:
        notes.append(f"not done: {error}")
        return None
    notes += without_prototype(found, unit.fold.classes)
    return found


def _result(
    unit: Unit,
    cell: Cell,
    sides: _Sides,
    seconds: float,
    notes: list[str],
    prototypes: Prototypes | None,
    scores: Scores | None = None,
) -> CellResult:
    """Score a cell's predictions, once; a cell without predictions has no metrics."""
    target, classes, table = unit.target, unit.fold.classes, unit.target.shards.table
    model = unit.system.model if unit.method.checkpoint else None
    event = target.settings.event if target.settings.event in classes else ""
    held_out = HeldOutLabels(
        positions(table["activity"][sides.test], classes),
        table["subject"][sides.test],
        len(classes),
        classes.index(event) if event else None,
        target.shards.settings.duration_s / 3600,
        bool(unit.method.prototypes),
        target.over_time(sides.test, unit.method.smooths),
    )
    try:
        scored = held_out.score(scores) if scores is not None else None
    except ScoresError as error:
        raise EvaluationError(f"method {cell.method} on '{cell.dataset}': {error}") from error
    return CellResult(
        cell=cell,
        classes=classes,
        event=event,
        metrics=scored.metrics if scored else {},
        by_subject=scored.by_subject if scored else {},
        windows_by_subject=scored.windows_by_subject if scored else {},
        hours_by_subject=scored.hours_by_subject if scored else {},
        confusion_by_subject=scored.confusion_by_subject if scored else {},
        support_windows=len(sides.support),
        support_subjects=len(distinct(table["person"][sides.support])),
        seconds=seconds,
        simulated=target.shards.simulated
        or (model is not None and model.settings.simulated)
        or (prototypes is not None and prototypes.simulated),
        notes=list(dict.fromkeys(notes)),
        incomplete=unit.system.incomplete if unit.method.checkpoint else "",
    )
