"""What is compared: each method is one function from a cell's data to class probabilities.

A method sees the windows to be tested but never their labels. It is found by its name::

    @method("nearest_neighbour", needs_labels=True, encoder=True, checkpoint=True)
    def nearest_neighbour(data: CellData) -> Scores: ...

Shape legend: N' windows to be tested, C classes.
"""

from __future__ import annotations

import copy
import difflib
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.augment import ImuAugmentation
from datamodules.ood import OodDataModule
from datamodules.pretraining import stream_seed
from encoders.contract import ImuEncoder
from experiments.handcrafted import forest_probabilities
from experiments.schema import Config
from experiments.target_features import EvaluationError, Features, TargetFeatures
from experiments.zero_shot import Prototypes, learnt_scale, zero_shot_probabilities
from lightning_modules.finetune import FineTune, FineTuneSettings, train_and_predict
from lightning_modules.linear_probe import LinearProbe, Standardisation, fit_probe

Indices = NDArray[np.int64]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class CellData:
    """What a method may look at.

    Attributes:
        config: all settings.
        features: of the target.
        prototypes: of the source; None where they are not asked for.
        classes: names; labels are positions in it.
        support: labelled windows; empty for methods without labels.
        support_labels: theirs.
        pool: all windows that the support could have been drawn from.
        pool_labels: theirs; only ``majority`` looks at them.
        test: windows to give probabilities for, in this order.
        seed: of whatever the method draws; differs from cell to cell.
    """

    config: Config
    features: TargetFeatures
    prototypes: Prototypes | None
    classes: list[str]
    support: Indices
    support_labels: Indices
    pool: Indices
    pool_labels: Indices
    test: Indices
    seed: int


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes:
        name: in settings and tables.
        run: the probabilities (N', C) of a cell's test windows.
        needs_labels: takes few-shot windows of the target; otherwise it runs once a fold.
        trained: trains an encoder per cell, and gets fewer draws.
        encoder: uses an encoder of the configured architecture.
        checkpoint: uses the checkpoint.
        prototypes: uses the source's prototypes, and is right about activities that the source has only.
        settings: what of the settings it depends on, e.g. "evaluation.probe_c".
    """

    name: str
    run: Callable[[CellData], Scores]
    needs_labels: bool
    trained: bool = False
    encoder: bool = False
    checkpoint: bool = False
    prototypes: bool = False
    settings: tuple[str, ...] = ()


_METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    needs_labels: bool,
    trained: bool = False,
    encoder: bool = False,
    checkpoint: bool = False,
    prototypes: bool = False,
    settings: tuple[str, ...] = (),
) -> Callable[[Callable[[CellData], Scores]], Callable[[CellData], Scores]]:
    """Register a function as a method; see :class:`Method` for the arguments.

    Raises:
        ValueError: another function has that name already.
    """

    def decorate(run: Callable[[CellData], Scores]) -> Callable[[CellData], Scores]:
        known = _METHODS.get(name)
        if known is not None and known.run.__qualname__ != run.__qualname__:
            raise ValueError(f"two methods are named '{name}': {known.run} and {run}")
        _METHODS[name] = Method(name, run, needs_labels, trained, encoder, checkpoint, prototypes, settings)
        return run

    return decorate


def methods() -> dict[str, Method]:
    """All methods by name."""
    return dict(_METHODS)


def find_method(name: str) -> Method:
    """The method called ``name``.

    Raises:
        EvaluationError: there is none.
    """
    if name not in _METHODS:
        close = difflib.get_close_matches(name, _METHODS, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise EvaluationError(f"evaluation.methods: no method '{name}'.{hint} Valid: {', '.join(_METHODS)}")
    return _METHODS[name]


@method("majority", needs_labels=False)
def majority(data: CellData) -> Scores:
    """How frequent each activity is among the subjects that are not tested, whatever the window shows."""
    share = np.bincount(data.pool_labels, minlength=len(data.classes)) / len(data.pool_labels)
    return np.tile(share, (len(data.test), 1))


@method("handcrafted_rf", needs_labels=True)
def handcrafted_rf(data: CellData) -> Scores:
    """A random forest on handcrafted features."""
    features = data.features.handcrafted
    return forest_probabilities(
        features[data.support], data.support_labels, features[data.test], len(data.classes), data.seed % 2**32
    )


@method("random_frozen", needs_labels=True, encoder=True, settings=("evaluation.probe_c",))
def random_frozen(data: CellData) -> Scores:
    """A linear probe on the same encoder with random weights: what the architecture alone gives."""
    return _probe(data, data.features.random).probabilities(data.features.random[data.test])


@method("linear_probe", needs_labels=True, encoder=True, checkpoint=True, settings=("evaluation.probe_c",))
def linear_probe(data: CellData) -> Scores:
    """Logistic regression on the checkpoint's frozen features."""
    return _probe(data, data.features.pretrained).probabilities(data.features.pretrained[data.test])


@method(
    "finetune",
    needs_labels=True,
    trained=True,
    encoder=True,
    checkpoint=True,
    settings=(
        "evaluation.probe_c",
        "evaluation.finetune_epochs",
        "evaluation.finetune_min_steps",
        "evaluation.finetune_encoder_lr",
        "evaluation.finetune_head_lr",
        "pretraining.augment",
    ),
)
def finetune(data: CellData) -> Scores:
    """The checkpoint's encoder and a classifier that starts as the linear probe, trained together."""
    evaluation, model = data.config.evaluation, data.features.model
    assert model is not None
    probe = _probe(data, data.features.pretrained)
    encoder = copy.deepcopy(model.imu_encoder)
    rates = (evaluation.finetune_encoder_lr, evaluation.finetune_head_lr)
    return _train(data, encoder, probe, rates, evaluation.finetune_epochs, evaluation.finetune_min_steps)


@method(
    "supervised",
    needs_labels=True,
    trained=True,
    encoder=True,
    settings=(
        "evaluation.supervised_epochs",
        "evaluation.supervised_min_steps",
        "evaluation.supervised_lr",
        "pretraining.augment",
    ),
)
def supervised(data: CellData) -> Scores:
    """The same encoder trained from random weights on the labelled windows alone."""
    evaluation = data.config.evaluation
    rates = (evaluation.supervised_lr, evaluation.supervised_lr)
    encoder = data.features.spec.build(data.seed)
    return _train(data, encoder, None, rates, evaluation.supervised_epochs, evaluation.supervised_min_steps)


@method("zero_shot", needs_labels=False, encoder=True, checkpoint=True, prototypes=True)
def zero_shot(data: CellData) -> Scores:
    """The nearest of the source's video prototypes; no label of the target is used.

    An activity that the source has no video of is never answered: its windows count as missed, so that the figure
    stands beside the other methods' ones.
    """
    assert data.prototypes is not None
    assert data.features.model is not None
    scores = np.zeros((len(data.test), len(data.classes)))
    known = [i for i, name in enumerate(data.classes) if name in data.prototypes.activities]
    if known:
        vectors = data.prototypes.of([data.classes[i] for i in known])
        scale = learnt_scale(data.features.model)
        scores[:, known] = zero_shot_probabilities(data.features.embeddings[data.test], vectors, scale)
    return scores


def _probe(data: CellData, features: Features) -> LinearProbe:
    # A window an activity says little about the features' spread, so that comes from all windows that the
    # support could have been drawn from, without their labels, for every number of shots; never from the
    # tested subjects.
    standardisation = Standardisation.of(features[data.pool])
    c = data.config.evaluation.probe_c
    return fit_probe(features[data.support], data.support_labels, len(data.classes), standardisation, c)


def _train(
    data: CellData,
    encoder: ImuEncoder,
    probe: LinearProbe | None,
    rates: tuple[float, float],
    epochs: int,
    min_steps: int,
) -> Scores:
    windows = OodDataModule(
        data.features.shards,
        data.support,
        data.support_labels,
        data.test,
        normalisation=data.features.spec.normalisation,
        augmentation=ImuAugmentation(**vars(data.config.pretraining.augment)),
        seed=data.seed,
    )
    settings = FineTuneSettings(*rates, total_steps=max(epochs * windows.steps_per_epoch, min_steps))
    device = data.features.device
    with _quiet(), torch.random.fork_rng():
        torch.manual_seed(stream_seed(data.seed, 1))
        module = FineTune(encoder, len(data.classes), settings, probe)
        scores = train_and_predict(module, windows, "gpu" if device.type == "cuda" else "cpu")
    return scores.numpy()


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning says what it found at the start and end of each fit: dozens of times, here."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
