"""What is compared: each method is a function that fits on labelled windows and gives back what predicts others.

A method never gets the labels of tested windows, nor the tested windows while it fits. It is found by its name::

    @method("nearest_mean", needs_labels=True, encoder=True, checkpoint=True)
    def nearest_mean(data: CellData) -> Predict: ...

Shape legend: N' windows to be predicted, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.registry import Registry, UnknownNameError
from datamodules.labels.label_column import LabelColumn
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.prototypes.video import Prototypes
from experiments.settings.schema import Config

Indices = NDArray[np.int64]
Scores = NDArray[np.float64]
# Features of a target, under a perturbation or as they are, and windows -> probabilities (N', C).
Predict = Callable[[TargetFeatures, Indices], Scores]


@dataclass(frozen=True)
class CellData:
    """What a method may look at.

    Attributes:
        config: all settings.
        features: of the target.
        prototypes: of the method's kind; None where they are not asked for.
        classes: names; labels are positions in it.
        support: labelled windows; empty for methods without labels.
        support_labels: theirs.
        support_subjects: whose they are; tuning keeps people apart.
        pool: all windows that the support could have been drawn from.
        pool_counts: how many of them show each class, (C,); only ``majority`` looks at it.
        seed: of whatever the method draws; differs from cell to cell.
        notes: a method appends what a reader must know.
    """

    config: Config
    features: TargetFeatures
    prototypes: Prototypes | None
    classes: list[str]
    support: Indices
    support_labels: Indices
    support_subjects: LabelColumn
    pool: Indices
    pool_counts: Indices
    seed: int
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes:
        name: in settings and tables.
        fit: from a cell's data to what predicts windows.
        needs_labels: takes few-shot windows of the target; otherwise it runs once a fold.
        trained: trains an encoder per cell, gets fewer draws, and runs alone.
        encoder: uses an encoder of the configured architecture.
        checkpoint: uses the checkpoint.
        prototypes: what is embedded as a class's prototype: "source" videos, "target" videos, "text"; or "".
        settings: what of the settings it depends on, e.g. "evaluation.probe_c".
    """

    name: str
    fit: Callable[[CellData], Predict]
    needs_labels: bool
    trained: bool = False
    encoder: bool = False
    checkpoint: bool = False
    prototypes: str = ""
    settings: tuple[str, ...] = ()


METHODS: Registry[Method] = Registry("method", "experiments.evaluation.methods")


def method(
    name: str,
    *,
    needs_labels: bool,
    trained: bool = False,
    encoder: bool = False,
    checkpoint: bool = False,
    prototypes: str = "",
    settings: tuple[str, ...] = (),
) -> Callable[[Callable[[CellData], Predict]], Callable[[CellData], Predict]]:
    """Register a function as a method; see :class:`Method` for the arguments.

    Raises:
        ValueError: another function has that name already.
    """

    def decorate(fit: Callable[[CellData], Predict]) -> Callable[[CellData], Predict]:
        METHODS.add(name, Method(name, fit, needs_labels, trained, encoder, checkpoint, prototypes, settings), fit)
        return fit

    return decorate


def methods() -> dict[str, Method]:
    """All methods by name."""
    return METHODS.entries()


def find_method(name: str) -> Method:
    """The method called ``name``.

    Raises:
        EvaluationError: there is none.
    """
    try:
        return METHODS.entry(name)
    except UnknownNameError as error:
        raise EvaluationError(f"evaluation.methods: {error}") from error
