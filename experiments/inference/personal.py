"""Fitting of a head for one person of a study, by some labelled windows of that person besides everybody else's.

The person's recordings are halved by :mod:`experiments.evaluation.sealed_slice`. Labels come from the earlier half. The
later half is sealed: no label of it is used, and the head is judged on it, with and without the person's labels. The
temperature comes from the other people, each of whom is left out once.

Shape legend: N windows of the study, C classes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from core.plural import plural
from core.suggestions import did_you_mean
from datamodules.labels.label_column import distinct, positions
from datamodules.labels.natural_order import natural_key
from experiments.evaluation.adaptation.personal import with_labels
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.target_features import EncoderSpec, TargetFeatures
from experiments.evaluation.held_out_labels import UnlabelledShards
from experiments.evaluation.metrics import balanced_accuracy, confusion_matrix
from experiments.evaluation.sealed_slice import personal_windows
from experiments.evaluation.splits import make_folds
from experiments.evaluation.systems import Checkpoint
from experiments.evaluation.targets import System, Target, seen_in_pretraining
from experiments.inference.encoder import PretrainedImuEncoder
from experiments.inference.encoder_files import of_checkpoint
from experiments.inference.fitting import (
    FIT,
    Estimate,
    Progress,
    about_of,
    cell_of,
    folds_of,
    judge,
    predict_unseen,
    rows_of,
)
from experiments.inference.head import Head
from experiments.inference.head_facts import BLOCKS
from experiments.settings.schema import Config


@dataclass(frozen=True)
class PersonalEstimate:
    """What the labels of one person are worth for the same person, on windows that are later.

    Attributes:
        subject: the person.
        labelled: activity -> number of the person's labelled windows.
        tested: number of the person's later windows.
        with_labels: balanced accuracy on these, of the head.
        without_labels: of a head by everybody else's labels alone.
        note: how the labelled and the tested windows lie to each other.
    """

    subject: str
    labelled: dict[str, int]
    tested: int
    with_labels: float
    without_labels: float
    note: str


def fit_personal_head(
    config: Config,
    target: Target,
    checkpoint: Checkpoint | None,
    method: str,
    subject: str,
    shots: int,
    progress: Progress,
) -> tuple[Head, Estimate]:
    """Fit a head for one person, and judge it on later windows of that person.

    Args:
        config: ``evaluation`` and ``run.seed`` are used.
        target: the study, from :func:`experiments.inference.fitting.study_of`.
        checkpoint: of the encoder; None for a method without one.
        method: a key of ``BLOCKS``.
        subject: the person.
        shots: labelled windows of the person per activity; 0 takes all of the earlier half.
        progress: called with the number of fits done, and of all: one without each person, and the head's.

    Returns:
        The head, and the estimate of the same method for a person of whom nothing is labelled.

    Raises:
        EvaluationError: there is no such person, nobody else, or no labelled or no later window of the person.
        LeakError: somebody of the study was in pretraining, and that is not allowed.
        SplitError: the person and the others share fewer than two activities.
    """
    e, table = config.evaluation, target.shards.table
    usable = target.sides(e)[0]
    people = sorted(distinct(table["subject"][usable]), key=natural_key)
    if subject not in people:
        raise EvaluationError(
            f"target '{target.name}': nobody is called '{subject}'{did_you_mean(subject, people)}; there are:"
            f" {', '.join(people)}"
        )
    mine = usable & (table["subject"] == subject)
    others = usable & ~mine
    if len(people) < 2:
        raise EvaluationError(f"target '{target.name}': {subject} is alone; a personal head needs labels of others too")
    fold = make_folds(table, 0, (), mine, others)[0]
    window = target.shards.settings
    later, labelled, note = personal_windows(
        table, fold, window.duration_s, e.personal_gap_s, shots, [config.run.seed, target.name, "personal", shots]
    )
    if not len(labelled) or not len(later):
        raise EvaluationError(
            f"target '{target.name}': of {subject}'s {len(fold.test)} windows {len(labelled)} could be labelled and"
            f" {len(later)} tested; expected some of each: trials of an activity, or one longer than"
            f" {2 * window.duration_s + e.personal_gap_s:g} s"
        )
    classes = fold.classes
    study = fold.pool
    folds, remarks = folds_of(target, others, [name for name in people if name != subject])
    if checkpoint is not None:
        system = System("", checkpoint.model, checkpoint.digest)
        remarks += seen_in_pretraining(target, [fold, *folds], system, e.allow_seen_subjects)
    if fold.left_out:
        named = ", ".join(f"{name} ({plural(count, 'window')})" for name, count in fold.left_out.items())
        remarks.append(f"only {subject} shows {named}: the head does not know it")
    model = checkpoint.model if checkpoint is not None else None
    spec = EncoderSpec.of(config, target.shards, model)
    features = TargetFeatures(
        UnlabelledShards(target.shards), np.flatnonzero(usable), spec, model, config.run.seed, "cpu"
    )
    unseen = []
    with threadpool_limits(1):
        for done, each in enumerate(folds):
            progress(done, len(folds) + 2)
            unseen.append(predict_unseen(config, target, features, each, method, classes))
        data = cell_of(config, target, features, study, classes)
        progress(len(folds), len(folds) + 2)
        without = FIT[method](data)
        progress(len(folds) + 1, len(folds) + 2)
        labels = positions(table["activity"][labelled], classes)
        probe = FIT[method](with_labels(data, labelled, labels, e.personal_weight))
        progress(len(folds) + 2, len(folds) + 2)
    estimate, temperature = judge(target, unseen, classes, e.bootstrap, remarks)
    truth, rows = positions(table["activity"][later], classes), rows_of(features, later, method)
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    personal = PersonalEstimate(
        subject,
        {name: count for name, count in zip(classes, counts, strict=True) if count},
        len(later),
        _balanced(truth, probe.logits(rows)),
        _balanced(truth, without.logits(rows)),
        note,
    )
    encoder = None
    if model is not None and checkpoint is not None and "pretrained" in BLOCKS[method]:
        encoder = PretrainedImuEncoder(*of_checkpoint(model.cpu(), checkpoint.digest, checkpoint.incomplete))
    about = {
        **about_of(config, target, np.sort(np.concatenate([study, labelled])), estimate),
        "personal": asdict(personal),
    }
    shards = target.shards
    head = Head(method, tuple(classes), probe, temperature, shards.settings, encoder, shards.gyroscope, about)
    return head, estimate


def _balanced(truth: NDArray[np.int64], logits: NDArray[np.float64]) -> float:
    return balanced_accuracy(confusion_matrix(truth, logits.argmax(axis=1), logits.shape[1]))
