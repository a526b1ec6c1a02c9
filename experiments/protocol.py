"""The out-of-distribution protocol: which cells there are, and how one is computed.

Cells are target x method x fold x shots x draw. Folds are groups of subjects: each is tested once, labels
come from the others. The draws of a fold are the same windows for every method, so that methods are compared
in pairs, and more shots contain the fewer. Nothing is tuned on what is tested.

A cell names, by a digest, everything that its result depends on; finished cells are kept and not computed
again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.pretraining import stream_seed
from datamodules.shards.layout import digest_of
from datamodules.shards.reader import ShardSet
from datamodules.splits import Fold, LeakError, assert_disjoint, draw_support, make_folds, seen_subjects
from experiments.cells import Cell, CellResult
from experiments.devices import accelerator
from experiments.methods import CellData, Method, Scores, find_method
from experiments.metrics import classification_metrics, confusion_matrix, ranking_metrics
from experiments.schema import Config
from experiments.target_features import EncoderSpec, EvaluationError, TargetFeatures
from experiments.zero_shot import Prototypes
from lightning_modules.contrastive import ContrastivePretraining

PROTOCOL = 2  # goes up when results of before can't be compared with those of now


@dataclass(frozen=True)
class Target:
    """A data set to evaluate on: how tables call it, and its shards."""

    name: str
    shards: ShardSet


@dataclass(frozen=True)
class _Planned:
    """A cell and what it takes to compute it."""

    cell: Cell
    method: Method
    target: Target
    features: TargetFeatures
    fold: Fold
    classes: list[str]
    notes: list[str]


def run_protocol(
    config: Config,
    load: Callable[[Cell], CellResult | None],
    save: Callable[[CellResult], None],
    progress: Callable[[int, int, str], None],
    targets: Sequence[Target],
    model: ContrastivePretraining | None,
    checkpoint_digest: str,
    prototypes: Prototypes | None,
) -> list[CellResult]:
    """Compute all cells that ``load`` does not know.

    Args:
        config: ``evaluation``, ``run.seed``, ``pretraining.augment`` and ``trainer.accelerator`` are used;
            encoder and normalisation too, where there is no checkpoint.
        load: a finished cell's result, or None.
        save: called with each result as soon as it is there.
        progress: called with cells done, all cells, and what comes next.
        targets: what to evaluate on.
        model: the checkpoint; None if no method needs one.
        checkpoint_digest: of its file.
        prototypes: of the source; None if ``zero_shot`` is not among the methods.

    Returns:
        One result per cell, by target, method, fold, shots and draw.

    Raises:
        EvaluationError: a method is unknown or lacks what it needs, or windows don't fit the checkpoint.
        LeakError: a target's subject was in pretraining.
        SplitError: subjects or activities of a target can't be split.
    """
    plan = plan_cells(config, targets, model, checkpoint_digest, prototypes)
    results = []
    for done, planned in enumerate(plan):
        cell = planned.cell
        result = load(cell)
        if result is None:
            progress(done, len(plan), f"{cell.dataset}: {cell.method}, {cell.shots} shots")
            result = _compute(config, planned, prototypes)
            save(result)
        results.append(result)
    progress(len(plan), len(plan), "done")
    return results


def plan_cells(
    config: Config,
    targets: Sequence[Target],
    model: ContrastivePretraining | None,
    checkpoint_digest: str,
    prototypes: Prototypes | None,
) -> list[_Planned]:
    """All cells, in order; computes nothing. Arguments and errors as for :func:`run_protocol`."""
    chosen = [find_method(name) for name in config.evaluation.methods]
    for method in chosen:
        if method.checkpoint and model is None:
            raise EvaluationError(f"evaluation.methods: {method.name} needs a checkpoint")
        if method.prototypes and prototypes is None:
            raise EvaluationError(f"evaluation.methods: {method.name} needs labelled videos of the source")
    names = [target.name for target in targets]
    if len(set(names)) < len(names):
        raise EvaluationError(f"evaluation.targets: two have the same name: {', '.join(names)}")
    device = "cuda" if accelerator(config) == "gpu" else "cpu"
    plan: list[_Planned] = []
    for target in targets:
        table, evaluation = target.shards.table, config.evaluation
        folds = make_folds(table["subject"], table["activity"], evaluation.folds, evaluation.activities)
        notes = _seen_in_pretraining(config, target, folds, model)
        spec = EncoderSpec.of(config, target.shards, model)
        features = TargetFeatures(target.shards, spec, model, config.run.seed, device)
        for method in chosen:
            for fold in folds:
                plan += _cells_of(config, method, target, features, fold, checkpoint_digest, prototypes, notes)
    return plan


def _cells_of(
    config: Config,
    method: Method,
    target: Target,
    features: TargetFeatures,
    fold: Fold,
    checkpoint_digest: str,
    prototypes: Prototypes | None,
    notes: list[str],
) -> list[_Planned]:
    evaluation = config.evaluation
    classes, notes = fold.classes, list(notes)
    if fold.left_out:
        notes.append(f"left out, only on one side of the fold: {', '.join(fold.left_out)}")
    if method.prototypes and prototypes is not None:
        unknown = [name for name in classes if name not in prototypes.activities]
        if unknown:
            notes.append(f"zero-shot: without a video in the source, so always missed: {', '.join(unknown)}")
    used = np.unique(target.shards.table["population"][np.concatenate([fold.pool, fold.test])])
    binding = digest_of(
        {
            "protocol": PROTOCOL,
            "shards": target.shards.fingerprint,
            "test_subjects": fold.test_subjects,
            "support_subjects": fold.support_subjects,
            "classes": classes,
            "notes": notes,
            "settings": {key: _setting(config, key) for key in method.settings},
            "draw_seed": evaluation.draw_seed if method.needs_labels else None,
            "encoder": asdict(features.spec) if method.encoder else None,
            "checkpoint": checkpoint_digest if method.checkpoint else None,
            "prototypes": prototypes.origin if method.prototypes and prototypes is not None else None,
        }
    )
    draws = evaluation.draws_trained if method.trained else evaluation.draws
    pairs = [(k, draw) for k in evaluation.shots for draw in range(draws)] if method.needs_labels else [(0, 0)]
    return [
        _Planned(
            Cell(
                dataset=target.name,
                population="+".join(str(name) for name in used),
                method=method.name,
                encoder=features.spec.name if method.encoder else "",
                checkpoint=checkpoint_digest if method.checkpoint else "",
                shots=shots,
                fold=fold.number,
                draw=draw,
                seed=config.run.seed,
                binding=binding,
            ),
            method,
            target,
            features,
            fold,
            classes,
            notes,
        )
        for shots, draw in pairs
    ]


def _compute(config: Config, planned: _Planned, prototypes: Prototypes | None) -> CellResult:
    cell, fold, classes = planned.cell, planned.fold, planned.classes
    started = time.perf_counter()
    table = planned.target.shards.table
    activities, subjects = table["activity"], table["subject"]
    notes = list(planned.notes)
    support = np.empty(0, np.int64)
    if planned.method.needs_labels:
        # Not the run's seed: checkpoints of several seeds are compared on the same draws.
        key = (config.evaluation.draw_seed, cell.dataset, cell.fold, cell.draw)
        support, few = draw_support(activities, fold.pool, cell.shots, key)
        notes += few
    test = fold.test[np.isin(activities[fold.test], classes)]
    pool = fold.pool[np.isin(activities[fold.pool], classes)]
    # What was really drawn, not what the fold says.
    assert_disjoint((str(s) for s in subjects[np.union1d(support, pool)]), (str(s) for s in subjects[test]))
    model = planned.features.model
    simulated = planned.target.shards.simulated
    if planned.method.checkpoint and model is not None:
        simulated = simulated or model.settings.simulated
    if planned.method.prototypes and prototypes is not None:
        simulated = simulated or prototypes.simulated
    metrics: dict[str, float] = {}
    by_subject: dict[str, dict[str, float]] = {}
    counts: dict[str, int] = {}
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    if len(classes) < 2:
        notes.append(f"not done: {len(classes)} of the fold's activities can be told apart, at least 2 are needed")
    else:
        data = CellData(
            config=config,
            features=planned.features,
            prototypes=prototypes if planned.method.prototypes else None,
            classes=classes,
            support=support,
            support_labels=_codes(activities[support], classes),
            pool=pool,
            pool_labels=_codes(activities[pool], classes),
            test=test,
            seed=stream_seed(cell.seed, cell.fold, cell.shots, cell.draw),
        )
        scores = np.asarray(planned.method.run(data), dtype=np.float64)
        _check_scores(scores, (len(test), len(classes)), cell.method)
        truth = _codes(activities[test], classes)
        confusion = confusion_matrix(truth, scores.argmax(axis=1), len(classes))
        metrics = _measure(truth, scores, planned.method)
        for subject in fold.test_subjects:
            own = subjects[test] == subject
            if own.any():
                by_subject[subject] = _measure(truth[own], scores[own], planned.method)
                counts[subject] = int(own.sum())
    return CellResult(
        cell=cell,
        classes=classes,
        metrics=metrics,
        by_subject=by_subject,
        windows_by_subject=counts,
        confusion=confusion.tolist(),
        support_windows=len(support),
        seconds=time.perf_counter() - started,
        simulated=simulated,
        notes=notes,
    )


def _measure(truth: NDArray[np.int64], scores: Scores, method: Method) -> dict[str, float]:
    metrics = classification_metrics(truth, scores)
    return {**metrics, **ranking_metrics(truth, scores)} if method.prototypes else metrics


def _check_scores(scores: Scores, shape: tuple[int, int], method: str) -> None:
    if scores.shape != shape or not np.isfinite(scores).all():
        raise EvaluationError(
            f"method {method} gave scores of shape {scores.shape}, {int((~np.isfinite(scores)).sum())}"
            f" of them not finite; expected finite ones of shape {shape}"
        )


def _codes(labels: NDArray[np.str_], classes: list[str]) -> NDArray[np.int64]:
    position = {name: i for i, name in enumerate(classes)}
    return np.array([position[str(label)] for label in labels], dtype=np.int64)


def _setting(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _seen_in_pretraining(
    config: Config, target: Target, folds: Sequence[Fold], model: ContrastivePretraining | None
) -> list[str]:
    """A note if subjects of the target were in pretraining and that is allowed; else nothing or an error."""
    if model is None:
        return []
    pretraining = model.settings.pretraining_subjects
    if pretraining is None:
        found = "the checkpoint does not say which subjects it was pretrained on"
    else:
        source = str(target.shards.index.build["source"])
        everyone = [*folds[0].test_subjects, *folds[0].support_subjects]
        seen = seen_subjects(source, everyone, pretraining)
        if not seen:
            return []
        found = f"subjects of {source} who were in pretraining too: {', '.join(seen)}"
    if not config.evaluation.allow_seen_subjects:
        raise LeakError(
            f"target '{target.name}': {found}; leave them out of its 'subjects', or set"
            " evaluation.allow_seen_subjects=true, and every table says so"
        )
    return [found]
