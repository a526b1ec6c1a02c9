"""Held-out labels of the tested windows; a cell's predictions are compared with them once.

Nothing else holds these labels. Methods get shards without labels (:class:`UnlabelledShards`), so that neither an
epoch nor a setting can be chosen by them.

Shape legend: N tested windows, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.labels.label_column import LabelColumn, numbered
from datamodules.shards.concat import ConcatShards
from datamodules.windows.cut import WindowSettings
from experiments.evaluation.episodes import episode_metrics, transition_metrics
from experiments.evaluation.metrics import classification_metrics, confusion_matrix, event_metrics, ranking_metrics
from experiments.evaluation.moments import Moments
from experiments.evaluation.perturbations import PLACEMENT, Perturbation, apply
from experiments.evaluation.placements import OtherPlacement
from experiments.evaluation.random_views import RandomView
from experiments.evaluation.splits import LeakError


class ScoresError(ValueError):
    """Predictions that are not finite, or whose shape does not fit the tested windows."""


@dataclass(frozen=True)
class Scored:
    """Metrics of a cell's predictions; :class:`experiments.evaluation.cells.CellResult` explains each field."""

    metrics: dict[str, float]
    by_subject: dict[str, dict[str, float]]
    windows_by_subject: dict[str, int]
    hours_by_subject: dict[str, float]
    confusion_by_subject: dict[str, list[list[int]]]


@dataclass(frozen=True)
class OverTime:
    """What metrics over time need.

    Attributes:
        moments: of the tested windows.
        event: name of the rare event; empty if there is none.
        smoothed: smooth probabilities over neighbouring windows before episodes are read off.
    """

    moments: Moments
    event: str
    smoothed: bool


class HeldOutLabels:
    """True labels of a cell's tested windows.

    Args:
        truth: (N,) positions in the classes.
        subjects: subject of each window, (N,).
        n_classes: C.
        event: position of the rare event's class; None if there is none.
        window_hours: length of a window, hours.
        ranking: measure recall@k and the reciprocal rank too.
        over_time: the windows in time, for metrics over time; None measures none of these.
    """

    def __init__(
        self,
        truth: NDArray[np.int64],
        subjects: LabelColumn,
        n_classes: int,
        event: int | None,
        window_hours: float,
        ranking: bool,
        over_time: OverTime | None = None,
    ) -> None:
        self._truth = truth
        self._subjects = subjects
        self._n_classes = n_classes
        self._event = event
        self._window_hours = window_hours
        self._ranking = ranking
        self._over_time = over_time
        self._scored = False

    def score(self, scores: NDArray[np.float64]) -> Scored:
        """Compare the labels with probabilities (N, C), once.

        Raises:
            LeakError: this was called before, so something may be chosen by the tested windows.
            ScoresError: the scores have another shape, or are not finite.
        """
        if self._scored:
            raise LeakError(
                "the tested windows of a cell were scored a second time; choose an epoch or a setting by scores"
                " on training subjects"
            )
        self._scored = True
        expected = (len(self._truth), self._n_classes)
        if scores.shape != expected or not np.isfinite(scores).all():
            raise ScoresError(
                f"scores of shape {scores.shape}, {int((~np.isfinite(scores)).sum())} of them not finite; expected"
                f" finite ones of shape {expected}"
            )
        by_subject, windows, hours, confusion = {}, {}, {}, {}
        predicted = scores.argmax(axis=1)
        names, whose = numbered(self._subjects)
        first = np.unique(whose, return_index=True)[1]
        for number in np.argsort(first).tolist():  # in the order of the windows
            name, own = names[number], np.flatnonzero(whose == number)
            by_subject[name] = self._measure(own, scores)
            windows[name] = len(own)
            hours[name] = len(own) * self._window_hours
            confusion[name] = confusion_matrix(self._truth[own], predicted[own], self._n_classes).tolist()
        # With a single subject, the values of all windows are those of the subject.
        alone = len(by_subject) == 1
        metrics = dict(next(iter(by_subject.values()))) if alone else self._measure(np.arange(len(scores)), scores)
        return Scored(metrics, by_subject, windows, hours, confusion)

    def _measure(self, windows: NDArray[np.int64], all_scores: NDArray[np.float64]) -> dict[str, float]:
        truth, scores = self._truth[windows], all_scores[windows]
        metrics = classification_metrics(truth, scores)
        if self._ranking:
            metrics |= ranking_metrics(truth, scores)
        if self._event is not None:
            detected = scores.argmax(axis=1) == self._event
            hours = len(truth) * self._window_hours
            metrics |= event_metrics(truth == self._event, scores[:, self._event], detected, hours)
        if (over := self._over_time) is not None:
            metrics |= transition_metrics(self._truth, all_scores, over.moments, windows)
            if self._event is not None:
                metrics |= episode_metrics(all_scores, over.moments, windows, self._event, over.event, over.smoothed)
        return metrics


# Columns that a method may see besides the motion. Names of recordings, and times, tell the activity in some data sets.
_KNOWN = ("dataset", "source", "person", "subject", "population", "placement", "device")


class _NoLabels(Mapping[str, LabelColumn]):
    """A table of windows with the columns that methods may see."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = {name: table[name] for name in _KNOWN}

    def __getitem__(self, name: str) -> LabelColumn:
        if name not in self._table:
            raise LeakError(
                f"a method asked for the {name} of windows; it gets the labels of its support only; of all"
                f" windows it gets the motion and {', '.join(_KNOWN)}"
            )
        return self._table[name]

    def __iter__(self) -> Any:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


class UnlabelledShards:
    """A target's windows as methods see them: without labels, under a change or as they are.

    Args:
        shards: shards of the target.
        change: perturbation or random view of the windows; None for windows as they are.
        other_placements: name of a placement -> the same windows there, for perturbations of the placement.
    """

    def __init__(
        self,
        shards: ConcatShards,
        change: Perturbation | RandomView | None = None,
        other_placements: Mapping[str, OtherPlacement] | None = None,
    ) -> None:
        self._shards = shards
        self._other_placements = other_placements or {}
        self.change = change
        self.settings: WindowSettings = shards.settings
        self.n_windows = shards.n_windows
        self.directory = shards.directory
        self.table: Mapping[str, LabelColumn] = _NoLabels(shards.table)

    def under(self, change: Perturbation | RandomView) -> UnlabelledShards:
        """Give the same windows under a change."""
        return UnlabelledShards(self._shards, change, self._other_placements)

    def measured(self, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Keep the windows that exist under the change: another sensor may not have measured all the time."""
        other = self._other()
        return windows if other is None else windows[other.windows[windows] >= 0]

    def runs(self, windows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Cut windows into runs of one sensor in one recording, each window right behind the one before, in time.

        What a method gets is which windows follow each other; names of recordings and times stay unknown to it.
        """
        table, tolerance = self._shards.table, 1e-3
        columns = [numbered(table[name][windows])[1] for name in ("dataset", "recording", "placement", "device")]
        starts = np.asarray(table["start_s"][windows], np.float64)
        order = np.lexsort((starts, *columns[::-1]))
        same = np.all([np.diff(column[order]) == 0 for column in columns], axis=0)
        near = np.diff(starts[order]) <= self.settings.duration_s + tolerance
        return np.split(windows[order], np.flatnonzero(~(same & near)) + 1) if len(windows) else []

    def imu(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Read windows like :meth:`ConcatShards.imu`, and apply the change.

        Raises:
            ValueError: a window was not measured under the perturbation.
        """
        other = self._other()
        if other is not None:
            found = other.windows[indices]
            if (found < 0).any():
                missing = int(np.asarray(indices)[found < 0][0])
                raise ValueError(f"window {missing} was not measured under perturbation '{self.change}'")
            return other.shards.imu(found)
        windows = self._shards.imu(indices)
        numbers, rate_hz = np.asarray(indices, np.int64), self.settings.imu_rate_hz
        if self.change is None:
            return windows
        if isinstance(self.change, RandomView):
            return self.change.of(numbers, *windows, rate_hz)
        return apply(self.change, numbers, *windows, rate_hz)

    def _other(self) -> OtherPlacement | None:
        if not isinstance(self.change, Perturbation) or self.change.kind != PLACEMENT:
            return None
        return self._other_placements[str(self.change.level)]
