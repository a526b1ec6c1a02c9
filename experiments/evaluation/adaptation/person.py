"""Person statistics: each person's features in units of that person's own mean and deviation.

How people move, and how they wear a sensor, shifts and stretches features. Windows are first standardised over the
pool and clipped, as methods do. Then each person's windows are standardised over that person's unlabelled windows, and
clipped again. Support subjects get the same from their own windows, so that both sides stay alike.

Shape legend: N windows of the target, B windows of one call, P features, S people.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from experiments.evaluation.adaptation.people import wearers
from experiments.evaluation.adaptation.registry import adaptation
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.feature_table import FeatureRows, Features, Indices, digest_of_windows, in_blocks
from experiments.evaluation.features.target_features import Read, TargetFeatures
from experiments.evaluation.methods import CellData, Fit, Predict, Scores
from experiments.evaluation.methods.handcrafted import CLIP
from experiments.evaluation.random_views import RandomView
from experiments.evaluation.unlabelled import OTHER
from lightning_modules.probe import Standardisation

FEWEST = 2  # windows; one window alone is its own mean, and would lose all that it shows


class PersonRows(FeatureRows):
    """Rows of another table, standardised over the pool and then by person.

    Args:
        rows: the other table, (N, P).
        pooled: standardisation over the pool, which clips.
        owners: number of each window's person, in [0, S), (N,).
        unlabelled: windows that give a person's mean and deviation. A person with fewer than two of them keeps the
            pool's.
        measured: table that these windows are read from; None for ``rows``.
    """

    def __init__(
        self,
        rows: FeatureRows,
        pooled: Standardisation,
        owners: NDArray[np.int64],
        unlabelled: Indices,
        measured: FeatureRows | None = None,
    ) -> None:
        super().__init__(*rows.shape)
        self._rows, self._pooled, self._owners = rows, pooled, owners
        people = int(owners.max()) + 1
        self._mean, self._scale = np.zeros((people, rows.shape[1])), np.ones((people, rows.shape[1]))
        for person in np.unique(owners[unlabelled]).tolist():
            own = unlabelled[owners[unlabelled] == person]
            if len(own) >= FEWEST:
                found = Standardisation.over(pooled((measured or rows)[part]) for part in in_blocks(own))
                self._mean[person], self._scale[person] = found.mean, found.scale

    def __getitem__(self, windows: Indices) -> Features:
        """Get features (B, P) of these windows."""
        owners = self._owners[windows]
        found = (self._pooled(self._rows[windows]) - self._mean[owners]) / self._scale[owners]
        return np.clip(found, -CLIP, CLIP).astype(np.float32)


@adaptation("person", on_tables=True)
def person(fit: Fit, data: CellData) -> Predict:
    """Standardise each person's features over that person's unlabelled windows."""
    return _standardised(fit, data)


@adaptation("person_other", on_tables=True, settings=("evaluation.draw_seed",), person_windows=OTHER)
def person_other(fit: Fit, data: CellData) -> Predict:
    """Do the same where a tested person's unlabelled windows show other activities in other shares: the control."""
    return _standardised(fit, data)


def _standardised(fit: Fit, data: CellData) -> Predict:
    owners = wearers(data.features.shards)
    # An adaptation that follows sees tables through this one, so that a view tells which of the two a table is.
    known = (data.features.view, digest_of_windows(data.pool), digest_of_windows(data.unlabelled))
    used: set[str] = set()

    def change(name: str, features: TargetFeatures, read: Read) -> FeatureRows:
        used.add(name)
        # The pool is as it was measured, also where tested windows are under a perturbation. So are a person's own
        # windows for random views of them.
        rows, measured = read(features), read(data.features)
        own = measured if isinstance(features.shards.change, RandomView) else rows

        def make() -> PersonRows:
            pooled = replace(measured.standardisation(data.pool), clip=CLIP)
            return PersonRows(rows, pooled, owners, features.shards.measured(data.unlabelled), own)

        return features.fits.once(("person", name, *known), make)

    def adapted(features: TargetFeatures) -> TargetFeatures:
        return features.through(f"person {known}", change)

    predict = fit(replace(data, features=adapted(data.features)))
    if not used:
        raise EvaluationError("an adaptation to the person changes tables of features, but this method used none")

    def predict_adapted(features: TargetFeatures, windows: Indices) -> Scores:
        return predict(adapted(features), windows)

    return predict_adapted
