"""Results of cells as rows of ``results.csv`` and ``results.parquet``, summed up over draws and people."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.cells import CellResult
from experiments.intervals import bootstrap_interval

COLUMNS = (
    "dataset",
    "population",
    "method",
    "encoder",
    "checkpoint",
    "shots",
    "seed",
    "fold",
    "metric",
    "value",
    "n_test_windows",
    "n_test_subjects",
    "draw",
    "subject",
    "support_windows",
    "simulated",
)
BY_PARTICIPANT = "_by_participant"


def rows(results: Sequence[CellResult]) -> pd.DataFrame:
    """One row per cell and metric.

    ``subject`` is empty where all test windows of the fold were scored together; a metric that ends in
    ``_by_participant`` is the mean over the fold's test participants; rows with a ``subject`` are that
    participant's own.
    """
    return pd.DataFrame(list(_rows(results)), columns=list(COLUMNS))


def _rows(results: Sequence[CellResult]) -> Iterator[dict[str, Any]]:
    for result in results:
        cell = result.cell
        common = {
            **{name: getattr(cell, name) for name in COLUMNS if hasattr(cell, name)},
            "support_windows": result.support_windows,
            "simulated": result.simulated,
        }
        n_windows, n_subjects = sum(result.windows_by_subject.values()), len(result.by_subject)
        pooled = {"subject": "", "n_test_windows": n_windows, "n_test_subjects": n_subjects}
        for metric, value in result.metrics.items():
            yield {**common, **pooled, "metric": metric, "value": value}
            mean = float(np.mean([values[metric] for values in result.by_subject.values()]))
            yield {**common, **pooled, "metric": metric + BY_PARTICIPANT, "value": mean}
        for subject, values in result.by_subject.items():
            own = {
                "subject": subject,
                "n_test_windows": result.windows_by_subject[subject],
                "n_test_subjects": 1,
            }
            for metric, value in values.items():
                yield {**common, **own, "metric": metric, "value": value}


def write(frame: pd.DataFrame, folder: Path) -> tuple[Path, Path]:
    """Write ``results.csv`` and ``results.parquet``; each appears whole or not at all."""
    csv, parquet = folder / "results.csv", folder / "results.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = csv.with_suffix(".tmp")
    frame.to_csv(temporary, index=False)
    _into_place(temporary, csv)
    frame.to_parquet(temporary, index=False)
    _into_place(temporary, parquet)
    return csv, parquet


def write_text(text: str, path: Path) -> None:
    """Write a text file; it appears whole or not at all."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    _into_place(temporary, path)


def _into_place(temporary: Path, path: Path) -> None:
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


@dataclass(frozen=True)
class Estimate:
    """A metric of one method at one number of shots on one target.

    Attributes:
        mean: over participants of the mean over draws.
        low, high: ends of the 95 % interval, a bootstrap over participants; NaN for fewer than 3.
        participants: how many were tested.
        draws: how many draws a fold.
    """

    mean: float
    low: float
    high: float
    participants: int
    draws: int


def estimate(results: Sequence[CellResult], metric: str, resamples: int) -> Estimate:
    """Sum up the cells of one method, target and number of shots.

    Args:
        results: all folds and draws.
        metric: one of each cell's.
        resamples: of the bootstrap.

    Raises:
        ValueError: there is no result.
    """
    means = participant_means(results, metric)
    if not means:
        raise ValueError("no results to sum up")
    values = np.array(list(means.values()))
    low, high = bootstrap_interval(values, resamples)
    return Estimate(float(values.mean()), low, high, len(values), len({r.cell.draw for r in results}))


def participant_means(results: Sequence[CellResult], metric: str) -> dict[str, float]:
    """Each test participant's mean over draws, by name in order."""
    by_subject: dict[str, list[float]] = {}
    for result in results:
        for subject, values in result.by_subject.items():
            by_subject.setdefault(subject, []).append(values[metric])
    return {subject: float(np.mean(by_subject[subject])) for subject in sorted(by_subject)}
