"""Shifts of an evaluation: each fold against its support, all tested people against each source."""

from __future__ import annotations

from helpers.fake_shards import FakeShards
from helpers.made_cells import joined, make_config

from experiments.evaluation.plan import plan_units
from experiments.evaluation.shifts import ALL_FOLDS, SUPPORT, measure_shifts
from experiments.evaluation.targets import System, Target
from experiments.evaluation.transfer.sources import Sources, SourceSet
from experiments.settings.evaluation import TargetConfig


def test_each_fold_and_each_source_is_compared() -> None:
    far = FakeShards(seed=3, source="far")
    far._imu[:, :, 2] += 20
    sources = Sources([SourceSet("far", joined(far))])
    target = Target(TargetConfig("made", "fake", sources=["far"]), joined(FakeShards()), sources=sources)
    units = plan_units(make_config(methods=["handcrafted_rf"], shots=[1, 2], draws=2), [target], [System()])
    rows = measure_shifts(units)
    assert [(row.dataset, row.fold, row.against) for row in rows] == [
        ("made", 0, SUPPORT),
        ("made", 1, SUPPORT),
        ("made", ALL_FOLDS, "far"),
    ]
    assert [row.shift.people for row in rows] == [(2, 2), (2, 2), (4, 4)]
    near, far_away = rows[0].shift, rows[2].shift
    assert far_away.auc > 0.99  # twice the gravity can't be missed
    assert near.auc < 0.9
    assert far_away.mmd2 > max(near.mmd2, 0.01)
    assert measure_shifts(units) == rows


def test_a_single_tested_person_has_no_shift() -> None:
    target = Target(TargetConfig("made", "fake"), joined(FakeShards()))
    units = plan_units(make_config(methods=["majority"], folds=4), [target], [System()])
    assert measure_shifts(units) == []
