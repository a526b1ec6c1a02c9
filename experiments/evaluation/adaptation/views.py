"""Augmented labels: each labelled window counts with random views of it, whatever features a method uses.

A network that is trained sees its few labelled windows turned a little, played a little faster and cut elsewhere. A
classifier on a table of features can have the same: features of the views join those of the windows.

Shape legend: N windows of the target, V views of each, B windows of one call, P features.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from datamodules.labels.label_column import concatenated
from experiments.evaluation.adaptation.registry import adaptation
from experiments.evaluation.cells import KNOWS_NOTHING
from experiments.evaluation.features.feature_table import FeatureRows, Features, Indices
from experiments.evaluation.features.target_features import Read, TargetFeatures
from experiments.evaluation.methods import CellData, Fit, Predict, Scores
from experiments.evaluation.random_views import RandomView
from lightning_modules.probe import Standardisation


class ViewedRows(FeatureRows):
    """Rows of a table, and below them those of its views: row n + N v is view v of window n, ((1 + V) N, P).

    Args:
        rows: table of the windows as they are, (N, P).
        view: number of a view, from 1 on -> table of that view, (N, P); read when a row of it is asked for.
        views: V.
    """

    def __init__(self, rows: FeatureRows, view: Callable[[int], FeatureRows], views: int) -> None:
        super().__init__((1 + views) * rows.shape[0], rows.shape[1])
        self._rows, self._view = rows, view

    def __getitem__(self, windows: Indices) -> Features:
        """Get features (B, P) of these rows."""
        numbers, own = np.divmod(windows, self._rows.shape[0])
        if not numbers.any():
            return self._rows[windows]
        found = np.empty((len(windows), self.shape[1]), np.float32)
        for number in np.unique(numbers).tolist():
            at = numbers == number
            found[at] = (self._view(number) if number else self._rows)[own[at]]
        return found

    def standardisation(self, windows: Indices) -> Standardisation:
        """Compute mean and scale over windows as they are; the table keeps them."""
        return self._rows.standardisation(windows)


@adaptation(
    "views",
    on_tables=True,
    first=True,
    settings=("evaluation.views", "pretraining.augment", "run.seed"),
    person_windows="",
    knowledge=KNOWS_NOTHING,
)
def views(fit: Fit, data: CellData) -> Predict:
    """Fit on the labelled windows and on ``evaluation.views`` random views of each.

    Views of one window are not independent. The inverse regularisation C is divided by the root of their number, which
    lies between counting them all and counting them once.
    """
    n, count = data.features.shards.n_windows, data.config.evaluation.views

    def change(name: str, features: TargetFeatures, read: Read) -> FeatureRows:
        def view(number: int) -> FeatureRows:
            return read(features.under(RandomView(number, data.config.run.seed, data.config.pretraining.augment)))

        return ViewedRows(read(features), view, count)

    def adapted(features: TargetFeatures) -> TargetFeatures:
        return features.through(f"views {count}", change)

    e, fewer = data.config.evaluation, 1 / math.sqrt(1 + count)
    milder = replace(e, logistic_c=e.logistic_c * fewer, probe_c=e.probe_c * fewer)
    predict = fit(
        replace(
            data,
            config=replace(data.config, evaluation=milder),
            features=adapted(data.features),
            support=np.concatenate([data.support + n * number for number in range(1 + count)]),
            support_labels=np.tile(data.support_labels, 1 + count),
            support_subjects=concatenated([data.support_subjects] * (1 + count)),
        )
    )

    def predict_adapted(features: TargetFeatures, windows: Indices) -> Scores:
        return predict(adapted(features), windows)

    return predict_adapted
