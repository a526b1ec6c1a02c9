"""The unit of an evaluation, and what comes out of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One method on one fold of one target with one few-shot draw.

    Attributes:
        dataset: name of the target in tables, e.g. "Parkinson's, head".
        population: of the target's subjects, joined by "+" where there are several.
        method: e.g. ``linear_probe``.
        encoder: name of the IMU encoder; empty for methods without one.
        checkpoint: digest of the checkpoint's file; empty for methods without one.
        shots: labelled windows per class; 0 for methods without labels of the target.
        fold: which group of subjects is tested.
        draw: which few-shot draw.
        seed: of the run.
        binding: digest of everything else that the result depends on: data, checkpoint, settings.
    """

    dataset: str
    population: str
    method: str
    encoder: str
    checkpoint: str
    shots: int
    fold: int
    draw: int
    seed: int
    binding: str

    @property
    def key(self) -> str:
        """Digest of all fields: where a finished cell is kept."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class CellResult:
    """What a cell gave; plain values, so that it is kept as JSON.

    Attributes:
        cell: which one.
        classes: names of the activities, in the confusion matrix's order.
        metrics: metric -> value over all test windows together.
        by_subject: test subject -> metric -> value.
        windows_by_subject: test subject -> number of test windows.
        confusion: rows are true, columns predicted activities, counts.
        support_windows: labelled windows that were used.
        seconds: time it took.
        simulated: fed by simulated recordings.
        notes: what a reader must know, e.g. "class x has 3 windows, fewer than the 5 shots".
    """

    cell: Cell
    classes: list[str]
    metrics: dict[str, float]
    by_subject: dict[str, dict[str, float]]
    windows_by_subject: dict[str, int]
    confusion: list[list[int]]
    support_windows: int
    seconds: float
    simulated: bool
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> CellResult:
        """The inverse of :meth:`to_json`."""
        return cls(**{**content, "cell": Cell(**content["cell"])})
