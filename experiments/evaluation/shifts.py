"""Sizes of shift of an evaluation: tested windows against those of the support subjects, and of other data sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.handcrafted import handcrafted_features
from datamodules.labels.label_column import UNLABELLED, LabelColumn, distinct
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.plan import Unit
from experiments.evaluation.shift import Shift, Side, evenly_by_person, measure_shift
from experiments.evaluation.splits import union
from experiments.evaluation.targets import Target
from experiments.evaluation.transfer.sources import SourceSet

SUPPORT = "support"  # the subjects that labels come from
ALL_FOLDS = -1
MOST_FOLDS = 10
COLUMNS = ("dataset", "fold", "against", "auc", "mmd2", "n_windows", "n_test_windows", "n_people", "n_test_people")


@dataclass(frozen=True)
class ShiftRow:
    """One comparison.

    Attributes:
        dataset: name of the target.
        fold: number of the fold; ``ALL_FOLDS`` for all tested people together.
        against: ``SUPPORT``, or the name of a source's data set.
        shift: the result.
    """

    dataset: str
    fold: int
    against: str
    shift: Shift

    def values(self) -> tuple[str | int | float, ...]:
        """Return the row in the order of ``COLUMNS``."""
        s = self.shift
        return (self.dataset, self.fold, self.against, s.auc, s.mmd2, *s.windows, *s.people)


def measure_shifts(units: Sequence[Unit], progress: Callable[[int, int], None] | None = None) -> list[ShiftRow]:
    """Compare the tested windows of each planned target with its support, fold by fold, and with its sources.

    Folds with a single person on a side are left out, and folds after the first ``MOST_FOLDS``.

    Args:
        units: what was planned.
        progress: called with the number of targets done, and of all.
    """
    by_target: dict[str, list[Unit]] = {}
    for unit in units:
        by_target.setdefault(unit.target.name, []).append(unit)
    found: list[ShiftRow] = []
    for done, (name, own) in enumerate(by_target.items(), 1):
        target, features = own[0].target, own[0].features
        folds = list({unit.fold.number: unit.fold for unit in own}.values())
        people = target.shards.table["person"]
        for fold in folds[:MOST_FOLDS]:
            if min(len(distinct(people[windows])) for windows in (fold.pool, fold.test)) > 1:
                given, tested = (_side(features, people, windows) for windows in (fold.pool, fold.test))
                found.append(ShiftRow(name, fold.number, SUPPORT, measure_shift(given, tested)))
        everyone = _side(features, people, union([fold.test for fold in folds]))
        found += _against_sources(target, everyone)
        if progress:
            progress(done, len(by_target))
    return found


def _side(features: TargetFeatures, people: LabelColumn, windows: NDArray[np.int64]) -> Side:
    chosen = evenly_by_person(people, windows)
    return Side(np.asarray(features.handcrafted[chosen], np.float64), people[chosen])


def _against_sources(target: Target, tested: Side) -> list[ShiftRow]:
    if target.sources is None or len(distinct(tested.people)) < 2:
        return []
    return [
        ShiftRow(target.name, ALL_FOLDS, part.name, measure_shift(_side_of(part), tested))
        for part in target.sources.sets
    ]


def _side_of(part: SourceSet) -> Side:
    table = part.shards.table
    labelled = np.flatnonzero(table["activity"] != UNLABELLED).astype(np.int64)
    chosen = evenly_by_person(table["person"], labelled)
    features = handcrafted_features(*part.shards.imu(chosen), part.shards.settings.imu_rate_hz)
    return Side(np.asarray(features, np.float64), table["person"][chosen])
