"""Training of an encoder with a classifier for one cell, in a process of its own.

Small encoders gain little from a second thread, and torch's random state is a process's. So cells train side by side,
each in a worker (:mod:`experiments.evaluation.worker_pool`) and on one thread: the weights depend neither on the number
of cores nor on what runs beside. On a GPU they train in this process, one after the other.

Shape legend: N windows, C classes.
"""

from __future__ import annotations

import importlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.augment import AugmentSettings, ImuAugmentation
from datamodules.held_windows import HeldWindows
from datamodules.labelled import LabelledDataModule
from datamodules.pretraining import stream_seed
from encoders.contract import ImuEncoder
from encoders.layers.dropout import draw_as_torch
from encoders.registry import IMU_ENCODERS
from experiments.evaluation.features.target_features import EncoderSpec
from lightning_modules.finetune import FineTune, FineTuneSettings, predict_windows, train
from lightning_modules.probe import LinearProbe

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class EncoderState:
    """An encoder that can be sent to another process: how it is built, and its weights.

    Attributes:
        spec: settings of the encoder.
        module: name of the Python module that registers it.
        dropout: whether it trains with dropout: a checkpoint's encoder does not, since its probe was fitted without.
        as_torch: whether its dropout draws as torch's own does.
        weights: its weights, or those of a :class:`FineTune` that has it, as torch saves them.
    """

    spec: EncoderSpec
    module: str
    dropout: bool
    as_torch: bool
    weights: bytes

    @classmethod
    def of(cls, spec: EncoderSpec, encoder: ImuEncoder) -> EncoderState:
        """Take an encoder as it is."""
        as_torch = any(getattr(part, "as_torch", False) for part in encoder.modules())
        module = IMU_ENCODERS.entry(spec.name).create.__module__
        return cls(spec, module, encoder.training, as_torch, _saved(encoder))

    def build(self) -> ImuEncoder:
        """Build the encoder, with random weights."""
        if self.module != "__main__":  # which a worker has under another name
            importlib.import_module(self.module)  # an encoder that nobody else has imported in this process
        encoder = self.spec.build(0).train(self.dropout)
        if self.as_torch:
            draw_as_torch(encoder)
        return encoder


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Attributes:
        rates: peak learning rates of encoder and classifier.
        epochs: epochs.
        min_steps: steps, at least.
        augment: whether windows are augmented.
    """

    rates: tuple[float, float]
    epochs: int
    min_steps: int = 0
    augment: bool = True


@dataclass(frozen=True)
class Training:
    """All that a training needs; it can be sent to another process.

    Attributes:
        start: the encoder at the start.
        probe: fitted probe that initialises the classifier; None initialises it at random.
        n_classes: C.
        recipe: settings of the training.
        windows: holds the labelled windows.
        support: numbers of the labelled windows, (N,).
        labels: their labels, (N,).
        augment: settings of the augmentation.
        seed: seed of order, augmentation and dropout.
        accelerator: "cpu" or "gpu".
        precision: of the training, as Lightning names it; predictions are in 32 bits.
    """

    start: EncoderState
    probe: LinearProbe | None
    n_classes: int
    recipe: Recipe
    windows: HeldWindows
    support: Indices
    labels: Indices
    augment: AugmentSettings
    seed: int
    accelerator: str
    precision: str


def train_encoder(training: Training) -> EncoderState:
    """Train an encoder with a linear classifier, and return both."""
    start, recipe = training.start, training.recipe
    normalisation = start.spec.normalisation
    data = LabelledDataModule(
        training.windows,
        training.support,
        training.labels,
        training.support[:0],
        normalisation=normalisation,
        augmentation=ImuAugmentation(training.augment, normalisation) if recipe.augment else None,
        seed=training.seed,
    )
    settings = FineTuneSettings(*recipe.rates, total_steps=max(recipe.epochs * data.steps_per_epoch, recipe.min_steps))
    encoder = start.build()
    _load(encoder, start.weights)
    with _quiet(), _one_thread(training.accelerator), torch.random.fork_rng():
        torch.manual_seed(stream_seed(training.seed, 1))
        module = FineTune(encoder, training.n_classes, settings, training.probe)
        train(module, data, training.accelerator, training.precision)
    return replace(start, weights=_saved(module))


def predict_by(trained: EncoderState, n_classes: int, windows: HeldWindows, accelerator: str) -> NDArray[np.float64]:
    """Predict class probabilities (N, C) of all windows that are held, in their order, by a trained encoder."""
    with torch.random.fork_rng():
        module = FineTune(trained.build(), n_classes, FineTuneSettings(0.0, 0.0))
    _load(module, trained.weights)
    normalisation = trained.spec.normalisation
    data = LabelledDataModule(windows, windows.numbers, windows.numbers, windows.numbers, normalisation=normalisation)
    with _quiet(), _one_thread(accelerator):
        return np.asarray(predict_windows(module, data, accelerator).numpy())


def _saved(module: torch.nn.Module) -> bytes:
    buffer = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in module.state_dict().items()}, buffer)
    return buffer.getvalue()


def _load(module: torch.nn.Module, weights: bytes) -> None:
    module.load_state_dict(torch.load(io.BytesIO(weights), weights_only=True))


@contextmanager
def _one_thread(accelerator: str) -> Iterator[None]:
    """Let the processor use one thread."""
    before = torch.get_num_threads()
    if accelerator == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's messages at the start and end of each fit; here there are dozens of fits."""
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
