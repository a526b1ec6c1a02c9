"""Fitting of a head on a labelled study, and what it is worth for the next person.

Each person of the study is left out once: a head that never saw the person predicts the person's windows. These
predictions give the estimate, and the temperature. The head itself is fitted on everybody.

Shape legend: N windows of the study, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from core.plural import plural
from datamodules.labels.label_column import distinct, numbered, positions
from datamodules.labels.natural_order import natural_key
from experiments.evaluation.errors import EvaluationError, SplitError
from experiments.evaluation.features.target_features import EncoderSpec, TargetFeatures
from experiments.evaluation.held_out_labels import HeldOutLabels, UnlabelledShards
from experiments.evaluation.methods.handcrafted import fit_logistic_on
from experiments.evaluation.methods.hybrid import fit_hybrid_on
from experiments.evaluation.methods.probes import fit_on
from experiments.evaluation.methods.registry import CellData
from experiments.evaluation.metrics import calibration_error
from experiments.evaluation.splits import Fold, make_folds
from experiments.evaluation.systems import Checkpoint
from experiments.evaluation.targets import System, Target, seen_in_pretraining
from experiments.inference.calibration import fit_temperature, log_loss, temperatures_of_others
from experiments.inference.encoder import PretrainedImuEncoder
from experiments.inference.encoder_files import of_checkpoint
from experiments.inference.head import Head
from experiments.inference.head_facts import BLOCKS
from experiments.settings.schema import Config
from experiments.statistics.intervals import bootstrap_interval, interval_method
from lightning_modules.probe import LinearProbe

Progress = Callable[[int, int], None]
FIT: dict[str, Callable[[CellData], LinearProbe]] = {
    "hybrid_logistic": fit_hybrid_on,
    "linear_probe": lambda data: fit_on(data, data.features.pretrained),
    "handcrafted_logistic": fit_logistic_on,
}
assert FIT.keys() == BLOCKS.keys()


@dataclass(frozen=True)
class Estimate:
    """What a head is worth for the next person; each figure is on people whom the head never saw.

    Attributes:
        subjects: subject -> balanced accuracy of the subject's windows.
        windows: subject -> number of windows.
        mean: of the subjects' balanced accuracies; None for fewer than two people.
        low, high: 95 % interval of the mean over people; None for fewer than three.
        interval: method of the interval.
        chance: balanced accuracy of guessing.
        log_loss, log_loss_uncalibrated: nats a window, with and without a temperature of the other people.
        calibration_error, calibration_error_uncalibrated: expected calibration error.
        confusion: (C, C) counts; rows are true, columns predicted activities.
        remarks: people and activities that could not be tested.
    """

    subjects: dict[str, float]
    windows: dict[str, int]
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    chance: float = 0.0
    log_loss: float | None = None
    log_loss_uncalibrated: float | None = None
    calibration_error: float | None = None
    calibration_error_uncalibrated: float | None = None
    confusion: tuple[tuple[int, ...], ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unseen:
    """Predictions of windows by heads that never saw their subject."""

    windows: NDArray[np.int64]
    logits: NDArray[np.float64]


def study_of(target: Target) -> Target:
    """The tested side of a target alone: it both gives the labels and is tested, person by person."""
    s = target.settings
    return replace(target, settings=replace(s, support=[], support_where=dict(s.test_where), placements=[], event=""))


def fit_head(
    config: Config, target: Target, checkpoint: Checkpoint | None, method: str, progress: Progress
) -> tuple[Head, Estimate]:
    """Fit a head on all labelled windows of a target, and estimate what it is worth for the next person.

    Args:
        config: ``evaluation`` and ``run.seed`` are used.
        target: the study, from :func:`study_of`.
        checkpoint: of the encoder; None for a method without one.
        method: a key of ``BLOCKS``.
        progress: called with the number of fits done, and of all: one without each person, and the head's.

    Raises:
        EvaluationError: the study has fewer than two activities, or its windows don't fit the checkpoint.
        LeakError: somebody of the study was in pretraining, and that is not allowed.
        SplitError: no window meets a condition of the target.
    """
    e, table = config.evaluation, target.shards.table
    usable = target.sides(e)[0]
    study = np.flatnonzero(usable)
    classes = sorted(distinct(table["activity"][study]), key=natural_key)
    if len(classes) < 2:
        raise EvaluationError(
            f"target '{target.name}': labels of {len(classes)} activities ({', '.join(classes) or 'none'}); a head"
            " needs at least 2"
        )
    subjects = sorted(distinct(table["subject"][study]), key=natural_key)
    folds, remarks = folds_of(target, usable, subjects)
    if checkpoint is not None and folds:
        remarks += seen_in_pretraining(
            target, folds, System("", checkpoint.model, checkpoint.digest), e.allow_seen_subjects
        )
    model = checkpoint.model if checkpoint is not None else None
    spec = EncoderSpec.of(config, target.shards, model)
    features = TargetFeatures(UnlabelledShards(target.shards), study, spec, model, config.run.seed, "cpu")
    unseen = []
    with threadpool_limits(1):
        for done, fold in enumerate(folds):
            progress(done, len(folds) + 1)
            unseen.append(predict_unseen(config, target, features, fold, method, classes))
        progress(len(folds), len(folds) + 1)
        probe = FIT[method](cell_of(config, target, features, study, classes))
        progress(len(folds) + 1, len(folds) + 1)
    estimate, temperature = judge(target, unseen, classes, e.bootstrap, remarks)
    encoder = None
    if model is not None and checkpoint is not None and "pretrained" in BLOCKS[method]:
        module, encoder_config = of_checkpoint(model.cpu(), checkpoint.digest, checkpoint.incomplete)
        encoder = PretrainedImuEncoder(module, encoder_config)
    about = about_of(config, target, study, estimate)
    head = Head(
        method, tuple(classes), probe, temperature, target.shards.settings, encoder, target.shards.gyroscope, about
    )
    return head, estimate


def folds_of(target: Target, usable: NDArray[np.bool_], subjects: list[str]) -> tuple[list[Fold], list[str]]:
    """One fold a person; people who can't be tested are named instead."""
    folds: list[Fold] = []
    remarks: list[str] = []
    if len(subjects) < 2:
        return folds, [f"only one person ({subjects[0]}): nothing can be said about the next one"]
    table = target.shards.table
    for subject in subjects:
        mine = usable & (table["subject"] == subject)
        try:
            fold = make_folds(table, 0, (), mine, usable)[0]
        except SplitError as error:
            remarks.append(f"{subject} was not tested: {error}")
            continue
        folds.append(replace(fold, number=len(folds)))
        if fold.left_out:
            named = ", ".join(f"{name} ({plural(count, 'window')})" for name, count in fold.left_out.items())
            remarks.append(f"only {subject} shows {named}: not tested")
    return folds, remarks


def cell_of(
    config: Config, target: Target, features: TargetFeatures, support: NDArray[np.int64], classes: list[str]
) -> CellData:
    """Describe a fit on all labels of some windows."""
    table = target.shards.table
    labels = positions(table["activity"][support], classes)
    return CellData(
        config=config,
        features=features,
        prototypes=None,
        sources=None,
        classes=classes,
        support=support,
        support_labels=labels,
        support_subjects=table["subject"][support],
        pool=support,
        pool_counts=np.bincount(labels, minlength=len(classes)),
        seed=0,
    )


def predict_unseen(
    config: Config, target: Target, features: TargetFeatures, fold: Fold, method: str, classes: list[str]
) -> Unseen:
    """Predict a fold's subject by a head that never saw the subject."""
    probe = FIT[method](cell_of(config, target, features, fold.pool, fold.classes))
    rows = rows_of(features, fold.test, method)
    logits = np.full((len(fold.test), len(classes)), -np.inf)
    logits[:, [classes.index(name) for name in fold.classes]] = probe.logits(rows)
    return Unseen(fold.test, logits)


def rows_of(features: TargetFeatures, windows: NDArray[np.int64], method: str) -> NDArray[np.float32]:
    """Features of windows, as a method puts them side by side."""
    blocks = {"handcrafted": lambda: features.handcrafted, "pretrained": lambda: features.pretrained}
    return np.concatenate([blocks[name]()[windows] for name in BLOCKS[method]], axis=1)


def judge(
    target: Target, unseen: list[Unseen], classes: list[str], resamples: int, remarks: list[str]
) -> tuple[Estimate, float]:
    """The estimate, and the temperature for the head."""
    if not unseen:
        return Estimate({}, {}, remarks=tuple(remarks)), 1.0
    table = target.shards.table
    windows = np.concatenate([part.windows for part in unseen])
    logits = np.concatenate([part.logits for part in unseen])
    truth = positions(table["activity"][windows], classes)
    whose = numbered(table["subject"][windows])[1]
    temperatures = np.ones(len(windows))
    if len(unseen) > 1:
        temperatures = temperatures_of_others(logits, truth, whose)
    scaled = logits / temperatures[:, None]
    before, after = log_loss(logits, truth), log_loss(scaled, truth)
    temperature = fit_temperature(logits, truth)
    if after > before:  # what does not help the next person is not used
        remarks = [*remarks, "a temperature of the other people did not lower the log loss: none is used"]
        scaled, after, temperature = logits, before, 1.0
    seconds = target.shards.settings.duration_s
    held_out = HeldOutLabels(truth, table["subject"][windows], len(classes), None, seconds / 3600, False)
    found = held_out.score(_softmax(scaled))
    accuracies = {name: metrics["balanced_accuracy"] for name, metrics in found.by_subject.items()}
    values = np.array(list(accuracies.values()))
    low, high = bootstrap_interval(values, resamples)
    confusion = np.sum([np.array(counts) for counts in found.confusion_by_subject.values()], axis=0)
    return Estimate(
        subjects={name: accuracies[name] for name in sorted(accuracies, key=natural_key)},
        windows=found.windows_by_subject,
        mean=float(values.mean()),
        low=None if np.isnan(low) else low,
        high=None if np.isnan(high) else high,
        interval=interval_method(len(values)),
        chance=1 / len(classes),
        log_loss=after,
        log_loss_uncalibrated=before,
        calibration_error=found.metrics["calibration_error"],
        calibration_error_uncalibrated=calibration_error(truth, _softmax(logits)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        remarks=tuple(remarks),
    ), temperature


def about_of(config: Config, target: Target, study: NDArray[np.int64], estimate: Estimate) -> dict[str, object]:
    """What the model card tells of the study; plain values."""
    table, shards = target.shards.table, target.shards
    names, which = numbered(table["activity"][study])
    return {
        "experiment": config.experiment,
        "target": target.name,
        "dataset": target.settings.dataset,
        "source": distinct(table["source"][study]),
        "simulated": shards.simulated,
        "populations": distinct(table["population"][study]),
        "placements": distinct(table["placement"][study]),
        "devices": distinct(table["device"][study]),
        "subjects": sorted(distinct(table["subject"][study]), key=natural_key),
        "windows": len(study),
        "windows_by_activity": dict(zip(names, np.bincount(which, minlength=len(names)).tolist(), strict=True)),
        "gyroscope": bool(shards.gyroscope and shards.imu(study[:256])[2][:, 3:].any()),
        "estimate": asdict(estimate),
    }


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    likely = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(likely / likely.sum(axis=1, keepdims=True))
