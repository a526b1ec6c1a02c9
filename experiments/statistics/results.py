"""Rows of ``results.csv`` and ``results.parquet``, and results summed up over draws and subjects."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.durable import write_atomically
from core.errors import MendableError, first_line
from core.shown_text import safe_frame
from experiments.evaluation.cells import KNOWS_NOTHING, CellResult
from experiments.evaluation.metrics import per_class_recall
from experiments.statistics.intervals import bootstrap_interval

_OF_THE_CELL = (
    "dataset",
    "population",
    "method",
    "encoder",
    "checkpoint",
    "shots",
    "seed",
    "fold",
    "draw",
    "system",
    "shots_unit",
    "perturbation",
    "knowledge",
)
COLUMNS = (
    *_OF_THE_CELL[:8],
    "metric",
    "value",
    "n_test_windows",
    "n_test_subjects",
    "draw",
    "subject",
    "support_windows",
    "simulated",
    "system",
    "shots_unit",
    "perturbation",
    "support_subjects",
    "seconds",
    "knowledge",
    "incomplete",
)
BY_SUBJECT = "_by_subject"
# Version 0.1.0 wrote this column and this ending of metrics under other names.
_EARLIER_COLUMNS = {"condition": "perturbation"}
_EARLIER_BY_SUBJECT = "_by_participant"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value) and float(value) >= 0 and float(value).is_integer()


# What a reader needs of columns, if they are there: other programs may have written them otherwise.
_TEXT = ("dataset", "method", "metric", "subject", "system", "shots_unit", "perturbation", "incomplete")
_NUMBERS: dict[str, tuple[Callable[[object], bool], str]] = {
    "simulated": (lambda value: value in (True, False), "true or false"),
    "value": (_is_finite, "a finite number"),
    "shots": (_is_count, "a whole number, 0 or more"),
}


def recall_of(activity: str) -> str:
    """Name the metric of one activity's recall."""
    return f"recall[{activity}]"


def rows(results: Sequence[CellResult]) -> pd.DataFrame:
    """Make one row per cell and metric.

    ``subject`` is empty if all test windows of the fold were scored together. A metric that ends in ``_by_subject`` is
    the mean over the fold's test subjects that it is defined for; ``n_test_subjects`` is their number. Rows with a
    ``subject`` are the subject's own, with the recall of each activity that the subject did, ``recall[NAME]``.
    """
    long = _Long([], [], [], [], [])
    lengths = []
    for result in results:
        before = len(long.metric)
        _add(long, result)
        lengths.append(len(long.metric) - before)
    cell = np.repeat(np.arange(len(results)), lengths)

    def repeated(values: list[Any]) -> Any:
        return pd.Series(values).take(cell).array

    columns = {name: repeated([getattr(r.cell, name) for r in results]) for name in _OF_THE_CELL}
    for name in ("support_windows", "simulated", "support_subjects", "seconds", "incomplete"):
        columns[name] = repeated([getattr(r, name) for r in results])
    columns |= vars(long)
    return pd.DataFrame({name: columns[name] for name in COLUMNS})


@dataclass(frozen=True)
class _Long:
    """Columns that differ within a cell."""

    metric: list[str]
    value: list[float]
    subject: list[str]
    n_test_windows: list[int]
    n_test_subjects: list[int]

    def add(self, metric: str, value: float, subject: str, windows: int, subjects: int) -> None:
        self.metric.append(metric)
        self.value.append(value)
        self.subject.append(subject)
        self.n_test_windows.append(windows)
        self.n_test_subjects.append(subjects)


def _add(long: _Long, result: CellResult) -> None:
    windows = result.windows_by_subject
    everyone = sum(windows.values())
    for metric, value in result.metrics.items():
        long.add(metric, value, "", everyone, len(result.by_subject))
        own = {subject: values[metric] for subject, values in result.by_subject.items() if metric in values}
        if own:
            mean = float(np.mean(list(own.values())))
            long.add(metric + BY_SUBJECT, mean, "", sum(windows[subject] for subject in own), len(own))
    for subject, values in result.by_subject.items():
        for metric, value in values.items():
            long.add(metric, value, subject, windows[subject], 1)
        for activity, recall in recalls(result, subject).items():
            long.add(recall_of(activity), recall, subject, windows[subject], 1)


def recalls(result: CellResult, subject: str) -> dict[str, float]:
    """Compute the recall of each activity that the subject did."""
    if subject not in result.confusion_by_subject:
        return {}
    found = per_class_recall(np.asarray(result.confusion_by_subject[subject], np.int64)).tolist()
    return {name: value for name, value in zip(result.classes, found, strict=True) if not math.isnan(value)}


def write(frame: pd.DataFrame, folder: Path) -> tuple[Path, Path]:
    """Write ``results.csv`` and ``results.parquet``; each appears whole or not at all.

    In the CSV, names that a spreadsheet would run are made harmless: see :mod:`core.shown_text`.
    """
    csv, parquet = folder / "results.csv", folder / "results.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(csv, lambda temporary: safe_frame(frame).to_csv(temporary, index=False))
    write_atomically(parquet, lambda temporary: frame.to_parquet(temporary, index=False))
    return csv, parquet


class ResultsError(MendableError, ValueError):
    """A file of results that can't be read; the message names it."""


def read(parquet: Path) -> pd.DataFrame:
    """Read ``results.parquet``, also one of version 0.1.0; columns and metrics get their present names.

    Raises:
        ResultsError: the file is damaged, or holds what no evaluation writes, such as a value that is not finite.
        FileNotFoundError: it is not there.
    """
    try:
        frame = pd.read_parquet(parquet).rename(columns=_EARLIER_COLUMNS)
    except FileNotFoundError:
        raise
    except Exception as error:  # pyarrow raises a dozen kinds for a damaged file
        raise ResultsError(f"{parquet}: damaged: not a Parquet file that can be read: {first_line(error)}") from error
    _check(frame, parquet)
    if "knowledge" not in frame:  # before 0.3.0 no method knew anything
        frame["knowledge"] = KNOWS_NOTHING
    if "incomplete" not in frame:  # earlier versions did not look
        frame["incomplete"] = ""
    if "metric" in frame:
        # A recall names its activity, which may end in anything.
        whole = ~frame["metric"].str.startswith("recall[")
        present = frame["metric"].str.replace(f"{_EARLIER_BY_SUBJECT}$", BY_SUBJECT, regex=True)
        frame["metric"] = frame["metric"].where(~whole, present)
    return frame


def _check(frame: pd.DataFrame, parquet: Path) -> None:
    """Refuse what would end in a wrong mean: a mean leaves NaN out, and text that is missing is in no group."""
    tests = dict.fromkeys(_TEXT, (_is_text, "text")) | _NUMBERS
    for name, (good, expected) in tests.items():
        if name not in frame:
            continue
        wrong = [value for value in frame[name].unique() if not good(value)]
        if wrong:
            raise ResultsError(
                f"{parquet}: column '{name}': expected {expected}, found {wrong[0]}; it is not as an evaluation wrote"
                " it: evaluate again"
            )


@dataclass(frozen=True)
class Estimate:
    """A metric of one contender at one number of shots on one target.

    Attributes:
        mean: mean over subjects of each subject's mean over draws (and seeds, if there are several).
        low: lower end of the 95 % interval over subjects; NaN for fewer than 3.
        high: upper end of the interval.
        subjects: number of subjects with a value; a metric may be undefined for some.
        draws: number of draws per fold.
    """

    mean: float
    low: float
    high: float
    subjects: int
    draws: int


def estimate(results: Sequence[CellResult], metric: str, resamples: int) -> Estimate:
    """Sum up the cells of one contender, target and number of shots.

    Args:
        results: cells of all folds and draws.
        metric: name of the metric.
        resamples: number of resamples of the bootstrap.

    Raises:
        ValueError: no subject has the metric.
    """
    return summed_up(subject_means(results, metric), len({r.cell.draw for r in results}), resamples)


def summed_up(means: dict[str, float], draws: int, resamples: int) -> Estimate:
    """Sum up the means of subjects.

    Raises:
        ValueError: there is no subject.
    """
    if not means:
        raise ValueError("no results to sum up")
    values = np.array(list(means.values()))
    low, high = bootstrap_interval(values, resamples)
    return Estimate(float(values.mean()), low, high, len(values), draws)


def subject_means(results: Sequence[CellResult], metric: str) -> dict[str, float]:
    """Average each test subject over draws and seeds, by name; subjects without the metric are left out."""
    by_subject: dict[str, list[float]] = {}
    for result in results:
        for subject, values in result.by_subject.items():
            if metric in values:
                by_subject.setdefault(subject, []).append(values[metric])
    return {subject: float(np.mean(by_subject[subject])) for subject in sorted(by_subject)}


def draw_means(results: Sequence[CellResult], metric: str) -> dict[int, float]:
    """Compute draw -> mean over test subjects of each one's mean; draws without the metric are left out."""
    by_draw: dict[int, list[CellResult]] = {}
    for result in results:
        by_draw.setdefault(result.cell.draw, []).append(result)
    means = {draw: subject_means(cells, metric) for draw, cells in sorted(by_draw.items())}
    return {draw: float(np.mean(list(values.values()))) for draw, values in means.items() if values}


def subject_recalls(results: Sequence[CellResult]) -> dict[str, dict[str, float]]:
    """Compute activity -> subject -> mean recall over draws and seeds; activities that nobody did are left out."""
    found: dict[str, dict[str, list[float]]] = {}
    for result in results:
        for subject in result.by_subject:
            for activity, recall in recalls(result, subject).items():
                found.setdefault(activity, {}).setdefault(subject, []).append(recall)
    return {
        activity: {subject: float(np.mean(by_subject[subject])) for subject in sorted(by_subject)}
        for activity, by_subject in found.items()
    }
