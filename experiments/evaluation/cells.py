"""Cells, the units of an evaluation, and their results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

# What a method knows of a tested subject besides the window that it predicts.
KNOWS_NOTHING = "none"
KNOWS_UNLABELLED = "unlabelled"
KNOWS_SHARES = "shares"  # unlabelled windows too
KNOWS_LABELS = "labels"  # some windows with their labels; other windows of the subject are tested

# Version 0.1.0 wrote these fields of a cell under other names.
_EARLIER_NAMES = {"condition": "perturbation", "binding": "input_digest"}


@dataclass(frozen=True)
class Cell:
    """One method on one fold of one target with one few-shot draw, under one perturbation.

    Attributes:
        dataset: name of the target in tables, e.g. "Parkinson's, head".
        population: population of the target's tested subjects; several are joined by "+".
        method: name of the method, e.g. ``linear_probe``, with its adaptations, e.g. ``linear_probe+person``.
        system: name of the compared checkpoint, e.g. "imu_only", or of the external encoder; empty for the run's own,
            and for methods without a checkpoint.
        encoder: name of the IMU encoder; empty for methods without one.
        checkpoint: digest of the checkpoint's file, or of an external encoder's weights; empty for methods without.
        shots: labelled windows per class, or labelled subjects; 0 for methods without labels of the target.
        shots_unit: "windows" (per class), or "subjects" (all windows of each are labelled).
        fold: number of the tested group of subjects.
        draw: number of the few-shot draw.
        seed: seed of the run.
        perturbation: change of the tested windows, e.g. "rotation=90", or share of wrong labels, "label_noise=0.1";
            empty for none. See :mod:`experiments.evaluation.perturbations`.
        input_digest: digest of everything else that the result depends on: data, checkpoint, settings.
        knowledge: what the method knows of a tested subject besides the window that it predicts: "none", "unlabelled"
            windows, these and the "shares" of the activities among them, or "labels" of some earlier windows.
    """

    dataset: str
    population: str
    method: str
    system: str
    encoder: str
    checkpoint: str
    shots: int
    shots_unit: str
    fold: int
    draw: int
    seed: int
    perturbation: str
    input_digest: str
    knowledge: str = KNOWS_NOTHING

    @property
    def contender(self) -> str:
        """The row of a table: the method, or ``method@system`` where several systems are compared."""
        return f"{self.method}@{self.system}" if self.system else self.method

    @property
    def key(self) -> str:
        """Digest of all fields and their names; a finished cell is kept under it."""
        return key_of(asdict(self))


def key_of(fields: Mapping[str, Any]) -> str:
    """Digest a cell's fields under the names that they have."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:24]


def with_present_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the fields that earlier versions wrote under other names."""
    return {_EARLIER_NAMES.get(name, name): value for name, value in fields.items()}


@dataclass(frozen=True)
class CellResult:
    """The result of a cell, in plain values, so that it can be kept as JSON.

    Attributes:
        cell: the cell.
        classes: names of the activities, in the order of the confusion matrices.
        event: the activity that is a rare event (a fall, freezing); empty if none is.
        metrics: metric -> value over all test windows together.
        by_subject: test subject -> metric -> value, without metrics that are not defined for the subject.
        windows_by_subject: test subject -> number of test windows.
        hours_by_subject: test subject -> hours that these windows cover.
        confusion_by_subject: test subject -> counts; rows are true, columns predicted activities.
        support_windows: number of labelled windows that were used.
        support_subjects: number of subjects whom these windows come from.
        seconds: time that the cell took.
        simulated: True if simulated recordings had a part in the result.
        notes: remarks that a reader needs, e.g. "class x has 3 windows, fewer than the 5 shots".
        incomplete: how far the training of its checkpoint came, e.g. ``step 7 of 1,400``; empty if to its end.
    """

    cell: Cell
    classes: list[str]
    event: str
    metrics: dict[str, float]
    by_subject: dict[str, dict[str, float]]
    windows_by_subject: dict[str, int]
    hours_by_subject: dict[str, float]
    confusion_by_subject: dict[str, list[list[int]]]
    support_windows: int
    support_subjects: int
    seconds: float
    simulated: bool
    notes: list[str] = field(default_factory=list)
    incomplete: str = ""

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts over all test windows, (C, C)."""
        total = np.zeros((len(self.classes), len(self.classes)), np.int64)
        for counts in self.confusion_by_subject.values():
            total += np.asarray(counts, np.int64)
        return total

    def to_json(self) -> dict[str, Any]:
        """Convert to plain dicts and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> CellResult:
        """Read the output of :meth:`to_json`."""
        return cls(**{**content, "cell": Cell(**content["cell"])})
