"""Augmented labels: rows of views, what a method is fitted on, and that predictions are of windows as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_cell, make_config
from helpers.made_protocol import run

from datamodules.augment import AugmentSettings
from experiments.evaluation.adaptation import find_contender
from experiments.evaluation.adaptation.views import ViewedRows
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.feature_table import FeatureTable
from experiments.evaluation.methods import CellData, Predict
from experiments.evaluation.random_views import RandomView
from experiments.settings.schema import Config


def table_of(values: np.ndarray) -> FeatureTable:
    table = FeatureTable(*values.shape)
    table.put(np.arange(len(values)), values.astype(np.float32))
    return table


def with_augmentation(data: CellData, settings: AugmentSettings, views: int = 2) -> CellData:
    config: Config = data.config
    pretraining = replace(config.pretraining, augment=settings)
    return replace(
        data, config=replace(config, pretraining=pretraining, evaluation=replace(config.evaluation, views=views))
    )


def test_rows_of_a_view_lie_below_those_of_the_windows_and_are_read_when_asked_for() -> None:
    plain = np.arange(12.0).reshape(4, 3)
    asked: list[int] = []

    def view(number: int) -> FeatureTable:
        asked.append(number)
        return table_of(plain + 100 * number)

    rows = ViewedRows(table_of(plain), view, 2)
    assert rows.shape == (12, 3)
    assert (rows[np.array([3, 0])] == plain[[3, 0]]).all()
    assert not asked
    assert (rows[np.array([9, 1, 8])] == np.stack([plain[1] + 200, plain[1], plain[0] + 200])).all()
    assert asked == [2]
    pool = np.arange(4)
    assert rows.standardisation(pool).mean == pytest.approx(plain.mean(axis=0))


def test_views_that_change_nothing_give_the_fit_of_the_windows_counted_by_the_root_of_their_number() -> None:
    """Three equal copies at C / sqrt(3) are one copy at C sqrt(3)."""
    data, test, _ = make_cell(FakeShards())
    still = with_augmentation(data, AugmentSettings.only())
    stronger = data.config.evaluation.logistic_c * np.sqrt(3)
    config = replace(data.config, evaluation=replace(data.config.evaluation, logistic_c=stronger))
    expected = find_contender("handcrafted_logistic").fit(replace(data, config=config))(data.features, test)
    found = find_contender("handcrafted_logistic+views").fit(still)(data.features, test)
    # Views pass through float32 units once more, and the search stops at a finite precision.
    assert found == pytest.approx(expected, abs=1e-3)


def test_a_method_is_fitted_on_views_and_predicts_windows_as_they_are() -> None:
    data, test, truth = make_cell(FakeShards())
    data = with_augmentation(data, AugmentSettings())
    read: list[np.ndarray] = []

    def fit(seen: CellData) -> Predict:
        assert len(seen.support) == len(seen.support_labels) == len(seen.support_subjects) == 3 * len(data.support)
        read.append(seen.features.handcrafted[seen.support])
        return lambda features, windows: features.handcrafted[windows].astype(np.float64)

    adapted = find_contender("handcrafted_logistic+views")
    plain = data.features.handcrafted
    scores = adapted.fit.func(fit, data)(data.features, test)  # type: ignore[attr-defined]
    assert (scores == plain[test]).all()
    own, first, second = np.split(read[0], 3)
    assert (own == plain[data.support]).all()
    assert (first != own).any()
    assert (second != first).any()
    for name in ("handcrafted_mean+views", "hybrid_mean+views", "linear_probe+views", "knn+views"):
        predicted = find_contender(name).fit(data)(data.features, test)
        assert predicted.sum(axis=1) == pytest.approx(1), name
        assert (predicted.argmax(axis=1) == truth).mean() > 0.3, name  # 4 activities


def test_a_view_of_a_window_is_the_same_whatever_windows_are_read_with_it() -> None:
    shards = FakeShards()
    view = RandomView(1, 0, AugmentSettings())
    numbers = np.arange(shards.n_windows)
    whole = view.of(numbers, *shards.imu(numbers), 50.0)
    part = numbers[3::5]
    for all_of_them, some in zip(whole, view.of(part, *shards.imu(part), 50.0), strict=True):
        assert np.allclose(all_of_them[part], some, atol=1e-5)  # float32; sums over batches of another size
    assert not np.allclose(whole[0], RandomView(2, 0, AugmentSettings()).of(numbers, *shards.imu(numbers), 50.0)[0])


def test_views_come_before_the_persons_statistics_which_are_of_windows_as_they_are() -> None:
    data, test, _ = make_cell(FakeShards())
    data = with_augmentation(replace(data, unlabelled=np.union1d(data.pool, test)), AugmentSettings.only())
    # Views that change nothing: labelled windows and views have the same rows, also in units of the person.
    seen: list[np.ndarray] = []
    method = find_contender("handcrafted_logistic+views+person")
    assert (method.knowledge, method.person_windows) == ("unlabelled", "all")
    assert method.fit(data)(data.features, test).sum(axis=1) == pytest.approx(1)

    def fit(cell: CellData) -> Predict:
        seen.append(cell.features.handcrafted[cell.support])
        return lambda features, windows: features.handcrafted[windows].astype(np.float64)

    inner = find_contender("handcrafted_logistic+views")
    person = find_contender("handcrafted_logistic+person")
    person.fit.func(lambda cell: inner.fit.func(fit, cell), data)(data.features, test)  # type: ignore[attr-defined]
    own, first, second = np.split(seen[0], 3)
    assert first == pytest.approx(own, abs=1e-2)  # features in deviations; a few are ratios of small numbers
    assert second == pytest.approx(own, abs=1e-2)
    with pytest.raises(EvaluationError, match=r"expected handcrafted_logistic\+views\+person"):
        find_contender("handcrafted_logistic+person+views")


def test_the_protocol_compares_a_method_with_itself_on_views() -> None:
    names = ["handcrafted_logistic", "handcrafted_logistic+views"]
    results = run(make_config(methods=names, shots=[2], draws=2), FakeShards())
    assert {(r.cell.method, r.cell.knowledge) for r in results} == {(name, "none") for name in names}
