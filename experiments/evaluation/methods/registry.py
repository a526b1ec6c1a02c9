"""Registry of methods.

A method is a function that fits on labelled windows, and returns a function that predicts other windows.

A method never gets the labels of tested windows. While it fits, it does not get the tested windows either. Methods are
found by name::

    @method("nearest_mean", needs_labels=True, encoder=True, checkpoint=True)
    def nearest_mean(data: CellData) -> Predict: ...

Shape legend: N' windows to be predicted, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.registry import Registry, UnknownNameError
from datamodules.labels.label_column import LabelColumn
from experiments.evaluation.cells import KNOWS_NOTHING
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.prototypes.video import Prototypes
from experiments.evaluation.transfer.sources import Sources
from experiments.settings.schema import Config

# With one window per activity, scikit-learn warns at each fit. The filter is set for the whole process: methods are
# fitted in several threads, and filters that each thread sets and resets would disturb each other.
warnings.filterwarnings("ignore", message="The number of unique classes is greater", category=UserWarning)

Indices = NDArray[np.int64]
Scores = NDArray[np.float64]
# (Features of a target, with or without a perturbation; windows) -> probabilities (N', C).
Predict = Callable[[TargetFeatures, Indices], Scores]


@dataclass(frozen=True)
class CellData:
    """The data of a cell that a method may use.

    Attributes:
        config: all settings.
        features: features of the target.
        prototypes: prototypes of the method's kind; None if the method uses none.
        sources: labelled data sets of other laboratories; None if the method uses none.
        classes: names of the classes; labels are positions in this list.
        support: labelled windows; empty for methods without labels.
        support_labels: labels of these windows.
        support_subjects: subjects of these windows; tuning keeps subjects apart.
        pool: all windows that the support could have been drawn from.
        pool_counts: number of these windows that show each class, (C,); only ``majority`` uses it.
        seed: seed of the method's random draws; differs from cell to cell.
        notes: remarks for readers; a method may append some.
        unlabelled: windows of support and tested subjects whose motion a method may look at, without labels; empty
            unless the method's ``knowledge`` says so.
        external: name of the external encoder, for methods that use one.
        personal: labelled windows of the tested subjects, of earlier trials than those that are tested; empty unless
            the method's ``knowledge`` says so.
        personal_labels: labels of these windows.
    """

    config: Config
    features: TargetFeatures
    prototypes: Prototypes | None
    sources: Sources | None
    classes: list[str]
    support: Indices
    support_labels: Indices
    support_subjects: LabelColumn
    pool: Indices
    pool_counts: Indices
    seed: int
    notes: list[str] = field(default_factory=list)
    unlabelled: Indices = field(default_factory=lambda: np.empty(0, np.int64))
    external: str = ""
    personal: Indices = field(default_factory=lambda: np.empty(0, np.int64))
    personal_labels: Indices = field(default_factory=lambda: np.empty(0, np.int64))


Fit = Callable[[CellData], Predict]


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes:
        name: name in settings and tables.
        fit: function from a cell's data to a function that predicts windows.
        needs_labels: the method takes few-shot windows of the target; otherwise it runs once per fold.
        trained: the method trains an encoder per cell, gets fewer draws, and runs alone.
        encoder: the method uses an encoder of the configured architecture.
        checkpoint: the method uses the checkpoint.
        prototypes: origin of the classes' prototypes: "source" videos, "target" videos, "text"; "" for none.
        sources: the method learns from labels of other data sets too; it is left out where a target names none.
        no_target_label: the method learns the target's activities from sources alone; it is left out where these lack
            one of them (``labels: shared`` at the target keeps those that they have).
        settings: settings that the method depends on, e.g. "evaluation.probe_c".
        external: the method uses an external encoder, and is evaluated once for each of ``evaluation.external``.
        knowledge: what the method knows of a tested subject besides the window that it predicts, see
            :class:`experiments.evaluation.cells.Cell`. Only methods of the same knowledge are compared.
        person_windows: which unlabelled windows of tested subjects it gets, see
            :mod:`experiments.evaluation.unlabelled`.
        together: the method predicts all tested windows in one call, not in blocks.
        smooths: the method smooths its probabilities over time.
    """

    name: str
    fit: Fit
    needs_labels: bool
    trained: bool = False
    encoder: bool = False
    checkpoint: bool = False
    prototypes: str = ""
    sources: bool = False
    settings: tuple[str, ...] = ()
    external: bool = False
    no_target_label: bool = False
    knowledge: str = KNOWS_NOTHING
    person_windows: str = ""
    together: bool = False
    smooths: bool = False


METHODS: Registry[Method] = Registry("method", "experiments.evaluation.methods")


def method(
    name: str,
    *,
    needs_labels: bool,
    trained: bool = False,
    encoder: bool = False,
    checkpoint: bool = False,
    prototypes: str = "",
    sources: bool = False,
    settings: tuple[str, ...] = (),
    external: bool = False,
    no_target_label: bool = False,
) -> Callable[[Fit], Fit]:
    """Register a function as a method; see :class:`Method` for the arguments.

    Raises:
        ValueError: another function has that name already.
    """

    def decorate(fit: Fit) -> Fit:
        made = Method(
            name,
            fit,
            needs_labels,
            trained,
            encoder,
            checkpoint,
            prototypes,
            sources,
            settings,
            external,
            no_target_label,
        )
        METHODS.add(name, made, fit)
        return fit

    return decorate


def methods() -> dict[str, Method]:
    """List all methods by name."""
    return METHODS.entries()


def find_method(name: str) -> Method:
    """Find the method called ``name``.

    Raises:
        EvaluationError: there is no such method.
    """
    try:
        return METHODS.entry(name)
    except UnknownNameError as error:
        raise EvaluationError(f"evaluation.methods: {error}") from error
