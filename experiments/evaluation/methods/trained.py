"""Methods that train an encoder for every cell: fine-tuning, and training from scratch.

Shape legend: C classes.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial

import numpy as np

from datamodules.held_windows import HeldWindows
from datamodules.labels.label_column import among
from datamodules.labels.natural_order import natural_key
from encoders.contract import ImuEncoder
from experiments.evaluation.encoder_training import EncoderState, Recipe, Training, predict_by, train_encoder
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods.probes import fit_on, linear_probe
from experiments.evaluation.methods.registry import CellData, Fit, Indices, Predict, Scores, method
from experiments.evaluation.methods.sharing import fit_once, mean_of
from experiments.evaluation.metrics import balanced_accuracy, confusion_matrix
from experiments.evaluation.worker_pool import run_in_pool
from experiments.runtime.devices import precision_of
from lightning_modules.probe import LinearProbe

# The paper uses 1e-6 for the encoder, 1e-3 for a classifier that starts at random, and as many epochs as its probe.
_PAPER_RATES = (1e-6, 1e-3)
_PAPER_EPOCHS = 25

_FINETUNE_SETTINGS = (
    "evaluation.probe_c",
    "evaluation.finetune_epochs",
    "evaluation.finetune_min_steps",
    "evaluation.finetune_encoder_lr",
    "evaluation.finetune_head_lr",
    "pretraining.augment",
    "trainer.precision",
)
_SUPERVISED_SETTINGS = (
    "evaluation.supervised_epochs",
    "evaluation.supervised_min_steps",
    "evaluation.supervised_lr",
    "pretraining.augment",
    "trainer.precision",
)
_BOTH_SETTINGS = tuple(dict.fromkeys((*_FINETUNE_SETTINGS, *_SUPERVISED_SETTINGS)))


@method("finetune", needs_labels=True, trained=True, encoder=True, checkpoint=True, settings=_FINETUNE_SETTINGS)
def finetune(data: CellData) -> Predict:
    """Train the checkpoint's encoder together with a classifier that starts as the linear probe."""
    return _finetune(data, _configured(data))


@method(
    "finetune_paper",
    needs_labels=True,
    trained=True,
    encoder=True,
    checkpoint=True,
    settings=("trainer.precision",),
)
def finetune_paper(data: CellData) -> Predict:
    """Fine-tune with the paper's rates, at which the encoder hardly changes."""
    return _train(data, _pretrained(data), None, Recipe(_PAPER_RATES, _PAPER_EPOCHS, augment=False))


@method(
    "finetune_tuned",
    needs_labels=True,
    trained=True,
    encoder=True,
    checkpoint=True,
    settings=(*_FINETUNE_SETTINGS, "evaluation.finetune_rates"),
)
def finetune_tuned(data: CellData) -> Predict:
    """Fine-tune with a rate that is chosen within the support: each half of its subjects validates the other."""
    recipe = _configured(data)
    halves = _halves(data)
    if not halves:
        data.notes.append(
            "finetune_tuned: where two groups of subjects do not share two labelled activities, the configured rate"
        )
        return _finetune(data, recipe)
    reached = []
    for rate in data.config.evaluation.finetune_rates:
        trial = replace(recipe, rates=(rate, recipe.rates[1]))
        accuracy = _validated(data, halves, partial(_finetune, recipe=trial))
        reached.append((accuracy, -rate, trial))  # the smallest of equally good rates wins
    return _finetune(data, max(reached, key=lambda entry: entry[:2])[2])


@method(
    "finetune_safe",
    needs_labels=True,
    trained=True,
    encoder=True,
    checkpoint=True,
    settings=_BOTH_SETTINGS,
)
def finetune_safe(data: CellData) -> Predict:
    """Take what is best within the support: the linear probe, fine-tuning from it, or training from scratch.

    Fine-tuning starts as the probe (Kumar et al. 2022), and has the augmentation and the steps of training from
    scratch. Each half of the support's subjects validates what was fitted on the other half. The probe is taken unless
    another is better, and where the halves do not share two activities.
    """
    halves = _halves(data)
    if not halves:
        data.notes.append("finetune_safe: where two groups of subjects do not share two activities, the probe")
        return linear_probe(data)
    candidates: tuple[Fit, ...] = (linear_probe, _finetune_as_long, supervised)
    reached = [_validated(data, halves, fit) for fit in candidates]
    return candidates[int(np.argmax(reached))](data)  # the first of equally good ones


@method(
    "finetune_mean",
    needs_labels=True,
    trained=True,
    encoder=True,
    checkpoint=True,
    settings=_BOTH_SETTINGS,
)
def finetune_mean(data: CellData) -> Predict:
    """Average the probabilities of fine-tuning that starts as the probe, and of training from scratch.

    Both have the same augmentation and steps. Nothing is chosen, so that few people who give labels suffice.
    """
    return mean_of(_finetune_as_long(data), supervised(data))


@method("supervised", needs_labels=True, trained=True, encoder=True, settings=_SUPERVISED_SETTINGS)
def supervised(data: CellData) -> Predict:
    """Train the same encoder from random weights on the labelled windows alone."""
    return _train(data, data.features.spec.build(data.seed), None, _from_scratch(data))


def _from_scratch(data: CellData) -> Recipe:
    e = data.config.evaluation
    return Recipe((e.supervised_lr, e.supervised_lr), e.supervised_epochs, e.supervised_min_steps)


def _configured(data: CellData) -> Recipe:
    e = data.config.evaluation
    return Recipe((e.finetune_encoder_lr, e.finetune_head_lr), e.finetune_epochs, e.finetune_min_steps)


def _finetune(data: CellData, recipe: Recipe) -> Predict:
    return _train(data, _pretrained(data), fit_on(data, data.features.pretrained), recipe)


def _finetune_as_long(data: CellData) -> Predict:
    """Fine-tune from the probe with the augmentation and the steps of training from scratch."""
    return _finetune(data, replace(_from_scratch(data), rates=_configured(data).rates))


def _pretrained(data: CellData) -> ImuEncoder:
    assert data.features.model is not None
    return data.features.model.imu_encoder


def _halves(data: CellData) -> list[tuple[Indices, Indices]]:
    """Halve the support by subject: positions to train and to validate on, each half once; nothing if that fails."""
    names = sorted({str(name) for name in data.support_subjects}, key=natural_key)
    if len(names) < 2:
        return []
    # Neighbours in a list are often of one group (age, site), so that every other subject goes to the other half.
    first = among(data.support_subjects, names[::2])
    halves = []
    for is_training in (first, ~first):
        shared = np.intersect1d(data.support_labels[is_training], data.support_labels[~is_training])
        if len(shared) < 2:
            return []
        usable = np.isin(data.support_labels, shared)
        halves.append((np.flatnonzero(is_training & usable), np.flatnonzero(~is_training & usable)))
    return halves


def _validated(data: CellData, halves: list[tuple[Indices, Indices]], fit: Fit) -> float:
    """Compute the mean balanced accuracy on one half of the support's subjects after fitting on the other."""
    found = []
    for training, validation in halves:
        inner = _restricted(data, training)
        truth = np.searchsorted(np.unique(data.support_labels[training]), data.support_labels[validation])
        scores = fit(inner)(data.features, data.support[validation])
        found.append(balanced_accuracy(confusion_matrix(truth, scores.argmax(axis=1), len(inner.classes))))
    return float(np.mean(found))


def _restricted(data: CellData, positions: Indices) -> CellData:
    """Restrict a cell to these labelled windows and the activities that they show."""
    shown, labels = np.unique(data.support_labels[positions], return_inverse=True)
    return replace(
        data,
        classes=[data.classes[i] for i in shown],
        support=data.support[positions],
        support_labels=labels.astype(np.int64),
        support_subjects=data.support_subjects[positions],
        pool_counts=data.pool_counts[shown],
    )


def _train(data: CellData, encoder: ImuEncoder, probe: LinearProbe | None, recipe: Recipe) -> Predict:
    features, n_classes = data.features, len(data.classes)
    on_gpu = features.device.type == "cuda"
    accelerator = "gpu" if on_gpu else "cpu"
    training = Training(
        EncoderState.of(features.spec, encoder),
        probe,
        n_classes,
        recipe,
        HeldWindows.of(features.shards, data.support),
        data.support,
        data.support_labels,
        data.config.pretraining.augment,
        data.seed,
        accelerator,
        precision_of(data.config, data.config.trainer.precision),
    )

    def fit() -> EncoderState:
        return train_encoder(training) if on_gpu else run_in_pool(train_encoder, training)

    start = hashlib.sha256(training.start.weights + (b"" if probe is None else probe.weight.tobytes())).hexdigest()
    trained = fit_once(data, f"encoder {start}, {recipe}", fit)

    def predict(where: TargetFeatures, windows: Indices) -> Scores:
        held = HeldWindows.of(where.shards, windows)
        arguments = (trained, n_classes, held, accelerator)
        found = predict_by(*arguments) if on_gpu else run_in_pool(predict_by, *arguments)
        return found[np.searchsorted(held.numbers, windows)]

    return predict
