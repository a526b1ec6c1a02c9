"""Pseudo-labels: what the second fit learns from, and that nothing of tested people is looked at."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_cell, make_config
from helpers.made_protocol import run

from experiments.evaluation.adaptation import find_contender, pseudo_labels
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods import CellData, Predict, Scores
from experiments.evaluation.methods.registry import Indices

NAME = "handcrafted_logistic+pseudo_labels"


def fits(data: CellData, answer: int) -> tuple[list[CellData], Scores]:
    """Fit a method that always gives one answer; list what it was fitted on, and what the mean of both fits says."""
    seen: list[CellData] = []

    def fit(cell: CellData) -> Predict:
        seen.append(cell)
        assert len(cell.features.handcrafted[cell.support]) == len(cell.support)
        given = 1.0 if len(cell.support) == len(data.support) else 0.5

        def predict(features: TargetFeatures, windows: Indices) -> Scores:
            return np.eye(4)[np.full(len(windows), answer)] * given

        return predict

    adapt = find_contender(NAME).fit.func  # type: ignore[attr-defined]
    return seen, np.asarray(adapt(fit, data)(data.features, data.pool[:3]))


def test_the_second_fit_has_the_whole_pool_and_keeps_known_labels() -> None:
    data, _, _ = make_cell(FakeShards(), shots=2)
    seen, scores = fits(data, answer=3)
    second = max(seen, key=lambda cell: len(cell.support))
    assert (second.support == data.pool).all()
    at = np.searchsorted(second.support, data.support)
    assert (second.support_labels[at] == data.support_labels).all()
    assert (np.delete(second.support_labels, at) == 3).all()
    assert list(second.support_subjects) == list(data.features.shards.table["subject"][second.support])
    assert scores == pytest.approx(np.eye(4)[[3, 3, 3]] * 0.75)  # the mean of 1 and 0.5


def test_a_large_pool_gives_all_known_labels_and_others_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudo_labels, "MOST", 20)
    data, _, _ = make_cell(FakeShards(), shots=2)
    drawn = [max(fits(replace(data, seed=seed), 0)[0], key=lambda c: len(c.support)).support for seed in (1, 1, 2)]
    for windows in drawn:
        assert len(windows) == 20
        assert np.isin(data.support, windows).all()
        assert np.isin(windows, data.pool).all()
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    monkeypatch.setattr(pseudo_labels, "MOST", 3)
    assert (max(fits(data, 0)[0], key=lambda c: len(c.support)).support == np.unique(data.support)).all()


def test_tested_windows_are_not_read_before_they_are_predicted() -> None:
    shards = FakeShards()
    data, test, truth = make_cell(shards, shots=1)
    method = find_contender(NAME)
    assert (method.knowledge, method.person_windows) == ("none", "")
    predict = method.fit(data)
    before = predict(data.features, test)
    odd = FakeShards()
    odd._imu[test] *= 5  # other people are tested; the fit must be the same
    changed, _, _ = make_cell(odd, shots=1)
    assert (method.fit(changed)(data.features, test) == before).all()
    assert (before.argmax(axis=1) == truth).mean() > 0.5


def test_it_goes_with_views_and_the_persons_windows_and_with_tables_only() -> None:
    data, test, _ = make_cell(FakeShards(), shots=1)
    data = replace(data, unlabelled=np.union1d(data.pool, test))
    for name in ("hybrid_mean+views+pseudo_labels", "linear_probe+pseudo_labels+person+neighbours"):
        assert find_contender(name).fit(data)(data.features, test).sum(axis=1) == pytest.approx(1), name
    for name in ("finetune+pseudo_labels", "zero_shot+pseudo_labels"):
        with pytest.raises(EvaluationError, match="fits on no table of features"):
            find_contender(name)
    with pytest.raises(EvaluationError, match=r"expected hybrid_mean\+pseudo_labels\+person"):
        find_contender("hybrid_mean+person+pseudo_labels")


def test_views_come_first_and_the_message_says_so() -> None:
    with pytest.raises(EvaluationError, match=r"before all other adaptations: expected hybrid_mean\+views\+pseudo_la"):
        find_contender("hybrid_mean+pseudo_labels+views")


@pytest.mark.parametrize("order", [1, -1])
def test_tables_in_units_of_each_person_are_the_same_before_and_after_those_of_another_name(order: int) -> None:
    """With and without ``+person``, labels are spread by tables of the same windows; one is made of raw features."""
    names = [NAME, f"{NAME}+person"][::order]

    def tables(*contenders: str) -> dict[str, list[np.ndarray]]:
        data, test, _ = make_cell(scaled(), shots=1)
        data = replace(data, unlabelled=np.union1d(data.pool, test))
        found: dict[str, list[np.ndarray]] = {}
        for name in contenders:

            def fit(cell: CellData, name: str = name) -> Predict:
                found.setdefault(name, []).append(cell.features.handcrafted[data.pool])
                return lambda features, windows: np.ones((len(windows), 4))

            pseudo = partial(find_contender(NAME).fit.func, fit)  # type: ignore[attr-defined]
            (pseudo if name == NAME else partial(find_contender(name).fit.func, pseudo))(data)  # type: ignore[attr-defined]
        return found

    together = tables(*names)
    for name in names:
        alone = tables(name)[name]
        assert len(alone) == 3
        assert all((one == other).all() for one, other in zip(together[name], alone, strict=True)), name


def scaled(factor: float = 3.0) -> FakeShards:
    """Subject 4, of the pool, wears a sensor whose acceleration is stretched."""
    shards = FakeShards()
    shards._imu[shards.table["subject"] == "4", :, :3] *= factor
    return shards


def test_labels_are_spread_in_units_of_each_person_and_learnt_from_features_as_they_are() -> None:
    data, _, _ = make_cell(scaled(), shots=2)
    spread, *others = sorted(fits(data, answer=0)[0], key=lambda cell: cell.features.view, reverse=True)
    assert (spread.support == data.support).all()
    assert len(others) == 2
    for subject in ("3", "4"):
        own = data.pool[data.features.shards.table["subject"][data.pool] == subject]
        rows = spread.features.handcrafted[own]
        varying = rows.std(axis=0) > 0.5  # deviation 1, less where far values were clipped
        assert varying.mean() > 0.8
        assert rows[:, varying].mean(axis=0) == pytest.approx(0, abs=0.3)  # of clipped values
        for cell in others:
            assert (cell.features.handcrafted[own] == data.features.handcrafted[own]).all()


def test_the_protocol_compares_a_method_with_itself_on_pseudo_labels() -> None:
    names = ["handcrafted_logistic", NAME]
    results = run(make_config(methods=names, shots=[1], draws=2), FakeShards())
    assert {(r.cell.method, r.cell.knowledge) for r in results} == {(name, "none") for name in names}
