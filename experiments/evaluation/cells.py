"""The unit of an evaluation, and what comes out of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cell:
    """One method on one fold of one target with one few-shot draw, under one perturbation.

    Attributes:
        dataset: name of the target in tables, e.g. "Parkinson's, head".
        population: of the target's tested subjects, joined by "+" where there are several.
        method: e.g. ``linear_probe``.
        system: which of several compared checkpoints, e.g. "imu_only"; empty for the run's own, and for methods
            without one.
        encoder: name of the IMU encoder; empty for methods without one.
        checkpoint: digest of the checkpoint's file; empty for methods without one.
        shots: labelled windows per class, or whole subjects; 0 for methods without labels of the target.
        shots_unit: "windows" per class, or "subjects" of whom all windows are labelled.
        fold: which group of subjects is tested.
        draw: which few-shot draw.
        seed: of the run.
        perturbation: what was done to the tested windows, e.g. "rotation=90"; empty for nothing. See
            :mod:`experiments.evaluation.perturbations`.
        input_digest: digest of everything else that the result depends on: data, checkpoint, settings.
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

    @property
    def contender(self) -> str:
        """What a table gives a row to: the method, and the system where several are compared."""
        return f"{self.method}@{self.system}" if self.system else self.method

    @property
    def key(self) -> str:
        """Digest of all fields: where a finished cell is kept."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class CellResult:
    """What a cell gave; plain values, so that it is kept as JSON.

    Attributes:
        cell: which one.
        classes: names of the activities, in the confusion matrices' order.
        event: which of them is a rare event (a fall, freezing); empty if none is.
        metrics: metric -> value over all test windows together.
        by_subject: test subject -> metric -> value; a metric that is not defined for a subject is not there.
        windows_by_subject: test subject -> number of test windows.
        hours_by_subject: test subject -> hours that these windows cover.
        confusion_by_subject: test subject -> counts; rows are true, columns predicted activities.
        support_windows: labelled windows that were used.
        support_subjects: people whom they come from.
        seconds: time it took.
        simulated: fed by simulated recordings.
        notes: what a reader must know, e.g. "class x has 3 windows, fewer than the 5 shots".
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

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts over all test windows, (C, C)."""
        total = np.zeros((len(self.classes), len(self.classes)), np.int64)
        for counts in self.confusion_by_subject.values():
            total += np.asarray(counts, np.int64)
        return total

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> CellResult:
        """The inverse of :meth:`to_json`."""
        return cls(**{**content, "cell": Cell(**content["cell"])})
