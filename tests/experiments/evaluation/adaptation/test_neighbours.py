"""Neighbours: what is joined, what is not, and what a method is fitted on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import joined, make_cell, make_config
from helpers.made_protocol import run

from experiments.evaluation.adaptation import find_contender
from experiments.evaluation.adaptation.people import wearers
from experiments.evaluation.adaptation.similar_windows import Similarity
from experiments.evaluation.adaptation.used_tables import UsedTables
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.held_out_labels import UnlabelledShards
from experiments.evaluation.methods import CellData, Predict, Scores
from experiments.evaluation.methods.registry import Indices
from experiments.evaluation.perturbations import PLACEMENT, Perturbation
from experiments.evaluation.placements import find_other_placement


def cell() -> tuple[CellData, np.ndarray, np.ndarray]:
    data, test, truth = make_cell(FakeShards())
    return replace(data, unlabelled=np.union1d(data.pool, test)), test, truth


def guessing(truth: dict[int, int], wrong: set[int]) -> Predict:
    """Answer as in ``truth``, at 0.6; windows in ``wrong`` get the next activity."""

    def predict(features: TargetFeatures, windows: Indices) -> Scores:
        at = np.array([(truth[int(w)] + (int(w) in wrong)) % 4 for w in windows])
        return np.full((len(windows), 4), 0.4 / 3) + np.eye(4)[at] * (0.6 - 0.4 / 3)

    return predict


def answered(data: CellData, test: np.ndarray, predict: Predict, name: str = "neighbours") -> np.ndarray:
    adapt = find_contender(f"handcrafted_logistic+{name}").fit.func  # type: ignore[attr-defined]
    return np.asarray(adapt(lambda seen: predict, data)(data.features, test).argmax(axis=1))


def labels_of(data: CellData, test: np.ndarray, truth: np.ndarray) -> dict[int, int]:
    names = data.features.shards._shards.table["activity"]  # what the method never sees
    known = {int(w): data.classes.index(str(names[w])) for w in data.pool}
    return known | dict(zip(test.tolist(), truth.tolist(), strict=True))


def test_a_few_wrong_answers_are_outvoted_by_similar_windows() -> None:
    data, test, truth = cell()
    labels = labels_of(data, test, truth)
    wrong = set(test[::6].tolist())  # one of six windows of an activity
    right = answered(data, test, guessing(labels, wrong)) == truth
    alone = np.isin(test, list(wrong))
    assert right[~alone].all()
    assert right[alone].sum() >= 3  # of 8; the others' nearest windows are far, or wrong themselves
    assert not data.notes


def test_nothing_is_joined_where_labelled_windows_say_that_near_ones_differ() -> None:
    data, test, truth = cell()
    labels = labels_of(data, test, truth)
    # Of the pool, every second window is taken for another activity: near windows agree with half of the labels.
    wrong = set(np.setdiff1d(data.pool, data.support).tolist()) | set(data.support[::2].tolist())
    predict = guessing(labels, wrong)
    found = answered(data, test, predict)
    assert (found == predict(data.features, test).argmax(axis=1)).all()
    assert "nothing was joined, since fewer than 90% of the labelled windows have nearest ones that" in data.notes[0]


def on_the_leg() -> tuple[CellData, np.ndarray, np.ndarray, TargetFeatures]:
    """A cell, tested windows and their labels, and the features of another sensor, which lacks every fourth window."""
    own, leg = FakeShards(), FakeShards(seed=1)
    for shards in (own, leg):
        shards.table["recording"] = np.array([f"r{owner}" for owner in shards.table["subject"]])
        shards.table["start_s"] = 2.0 * (np.arange(shards.n_windows) % 24)
    leg.table["placement"] = np.full(leg.n_windows, "leg")
    leg.table["recording"][::4] = "elsewhere"
    data, test, truth = make_cell(own)
    there = dict([find_other_placement(joined(own), leg)])  # type: ignore[arg-type]
    both, kept = UnlabelledShards(joined(own), other_placements=there), data.features
    features = TargetFeatures(both, kept.windows, kept.spec, kept.model, 0, "cpu")
    data = replace(data, features=features, unlabelled=np.union1d(data.pool, test))
    return data, test, truth, features.under(Perturbation(PLACEMENT, "leg"))


def test_windows_are_similar_as_another_sensor_measured_them() -> None:
    data, test, truth, leg = on_the_leg()
    predict = guessing(labels_of(data, test, truth), set(test[1::6].tolist()))
    adapt = find_contender("handcrafted_logistic+neighbours").fit.func  # type: ignore[attr-defined]
    there = leg.shards.measured(test)
    assert 0 < len(there) < len(test)
    scores, owners = np.asarray(predict(leg, there)), wearers(data.features.shards)
    scale = Similarity([data.features.handcrafted], owners).typical(data.pool)
    expected = Similarity([leg.handcrafted], owners, scale).agreed(there, scores, there, scores)
    assert (expected != scores).any()
    found = np.asarray(adapt(lambda seen: predict, data)(leg, there))
    assert found == pytest.approx(expected, abs=1e-12)  # the same sums, in another order


@pytest.mark.parametrize("name", ["neighbours", "smoothed"])
def test_a_window_that_the_other_sensor_lacks_has_no_part(name: str) -> None:
    data, test, truth, leg = on_the_leg()
    predict = guessing(labels_of(data, test, truth), set(test[1::6].tolist()))
    adapt = find_contender(f"handcrafted_logistic+{name}").fit.func  # type: ignore[attr-defined]
    measured = replace(data, unlabelled=leg.shards.measured(data.unlabelled))
    there = leg.shards.measured(test)[1::2]
    expected = np.asarray(adapt(lambda seen: predict, measured)(leg, there))
    assert (expected != np.asarray(predict(leg, there))).any()
    assert (np.asarray(adapt(lambda seen: predict, data)(leg, there)) == expected).all()


def test_the_scale_is_that_of_the_pool() -> None:
    """Two pools of the same features have scales of their own."""
    data, test, truth = cell()
    predict = guessing(labels_of(data, test, truth), set(test[1::6].tolist()))
    adapt = find_contender("handcrafted_logistic+neighbours").fit.func  # type: ignore[attr-defined]

    def scores(pool: np.ndarray, features: TargetFeatures) -> np.ndarray:
        part = replace(data, pool=pool, features=features)
        return np.asarray(adapt(lambda seen: predict, part)(features, test))

    one, other = data.pool, np.setdiff1d(data.pool, data.pool[::3])
    first = scores(one, data.features)
    assert (scores(other, data.features) == scores(other, cell()[0].features)).all()
    assert (scores(other, data.features) != first).any()


def test_the_probabilities_of_a_method_are_those_of_its_fit_alone_and_summed_to_1() -> None:
    data, test, truth = cell()
    for name in ("handcrafted_mean", "hybrid_mean", "linear_probe", "hybrid_logistic+person"):
        contender = find_contender(f"{name}+neighbours")
        assert (contender.knowledge, contender.person_windows, contender.together) == ("unlabelled", "all", True)
        scores = contender.fit(data)(data.features, test)
        assert scores.sum(axis=1) == pytest.approx(1), name
        plain = find_contender(name).fit(data)(data.features, test)
        assert (scores.argmax(axis=1) == truth).mean() >= (plain.argmax(axis=1) == truth).mean(), name


def test_the_tables_that_a_method_reads_are_found_by_watching_it() -> None:
    data, _, _ = cell()

    def tables(name: str) -> tuple[str, int]:
        used = UsedTables()
        find_contender(name).fit(used.watching(data))
        return used.names, len(used.of(data.features))

    assert tables("handcrafted_mean") == ("handcrafted", 1)
    assert tables("hybrid_mean+person") == ("handcrafted, pretrained", 2)
    assert tables("linear_probe") == ("pretrained", 1)
    assert tables("majority") == ("handcrafted", 1)  # it reads none
    watched = UsedTables()
    find_contender("linear_probe+person").fit(watched.watching(data))
    rows = np.arange(5)
    assert (watched.of(data.features)[0][rows] == data.features.pretrained[rows]).all()  # as they were measured


def test_methods_without_labels_are_refused() -> None:
    with pytest.raises(EvaluationError, match="zero_shot is fitted on no labelled window, and 'neighbours' looks at"):
        find_contender("zero_shot+neighbours")


def test_the_protocol_runs_it_beside_its_control() -> None:
    names = ["handcrafted_logistic+person+neighbours", "handcrafted_logistic+person_other+neighbours_other"]
    results = run(make_config(methods=names, shots=[2], draws=2), FakeShards())
    assert {(r.cell.method, r.cell.knowledge) for r in results} == {(name, "unlabelled") for name in names}
    with pytest.raises(EvaluationError, match="comes before adaptations of probabilities"):
        find_contender("handcrafted_logistic+neighbours+person")
