"""Person statistics: closed forms, their windows, and what they never see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.fake_shards import ACTIVITIES, FakeShards
from helpers.made_cells import make_cell, make_config
from helpers.made_protocol import make_target, run

from experiments.evaluation.adaptation import adaptations, find_contender
from experiments.evaluation.adaptation.person import PersonRows
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.feature_table import FeatureTable
from experiments.evaluation.held_out_labels import HeldOutLabels
from experiments.evaluation.methods import CellData, Scores
from experiments.evaluation.perturbations import parse_perturbation
from experiments.evaluation.unlabelled import unlabelled_windows
from lightning_modules.probe import Standardisation


def predict(name: str, data: CellData, windows: np.ndarray) -> Scores:
    return np.asarray(find_contender(name).fit(data)(data.features, windows))


def cell(shards: FakeShards | None = None) -> tuple[CellData, np.ndarray, np.ndarray]:
    data, test, truth = make_cell(shards or FakeShards())
    return replace(data, unlabelled=np.union1d(data.pool, test)), test, truth


def moved(factor: float) -> FakeShards:
    """Subject 1 wears a sensor whose acceleration is stretched."""
    shards = FakeShards()
    shards._imu[shards.table["subject"] == "1", :, :3] *= factor
    return shards


def table_of(values: np.ndarray) -> FeatureTable:
    table = FeatureTable(*values.shape)
    table.put(np.arange(len(values)), values.astype(np.float32))
    return table


def test_each_person_has_mean_0_and_deviation_1() -> None:
    rng = np.random.default_rng(0)
    owners = np.repeat(np.arange(3), 40)
    values = rng.normal(size=(120, 5)) * (1 + owners[:, None]) + 10 * owners[:, None]
    everyone = np.arange(120)
    rows = PersonRows(table_of(values), Standardisation.of(values), owners, everyone)
    for person in range(3):
        own = rows[np.flatnonzero(owners == person)]
        assert own.mean(axis=0) == pytest.approx(0, abs=1e-5)  # float32 of values near 1
        assert own.std(axis=0) == pytest.approx(1, abs=1e-5)
    # Other windows of the person are measured by the same mean and deviation.
    half = PersonRows(table_of(values), Standardisation.of(values), owners, everyone[::2])
    hers = np.flatnonzero(owners == 1)
    known = values[hers[::2]]
    expected = (values[hers] - known.mean(axis=0)) / known.std(axis=0)
    assert half[hers] == pytest.approx(expected, abs=1e-4)  # two divisions, in float32 at last


def test_a_far_value_is_clipped_before_and_after() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2))
    values[0] = 1e6
    pooled = replace(Standardisation.of(values[1:]), clip=6.0)
    rows = PersonRows(table_of(values), pooled, np.zeros(50, np.int64), np.arange(50))
    assert np.abs(rows[np.arange(50)]).max() <= 6
    # The far value counts as 6 deviations in the person's own, not as a million.
    assert rows[np.arange(1, 50)].std() > 0.5


def test_a_person_with_one_window_or_none_keeps_the_statistics_of_the_pool() -> None:
    values = np.random.default_rng(0).normal(size=(10, 3))
    pooled = Standardisation.of(values)
    owners = np.array([0] * 8 + [1, 2])
    rows = PersonRows(table_of(values), pooled, owners, np.arange(9))
    assert rows[np.array([8, 9])] == pytest.approx(pooled(values[8:]), abs=1e-6)


@pytest.mark.parametrize("name", ["handcrafted_logistic", "linear_probe", "hybrid_logistic", "knn"])
def test_a_sensor_of_another_scale_is_made_good(name: str) -> None:
    plain, test, truth = cell()
    odd, _, _ = cell(moved(3.0))
    there = plain.features.shards.table["subject"][test] == "1"

    def right(data: CellData, contender: str) -> float:
        return float((predict(contender, data, test).argmax(axis=1) == truth)[there].mean())

    assert right(odd, f"{name}+person") >= right(odd, name)
    if "handcrafted" in name or "hybrid" in name:
        assert right(odd, f"{name}+person") > 0.7


def test_handcrafted_features_of_a_shifted_person_become_those_of_the_others() -> None:
    data, test, _ = cell()
    method = find_contender("handcrafted_logistic+person")
    assert (method.knowledge, method.person_windows, method.together) == ("unlabelled", "all", False)
    assert method.settings == ("evaluation.logistic_c",)
    scores = predict("handcrafted_logistic+person", data, test)
    assert scores.sum(axis=1) == pytest.approx(1)
    assert (scores == predict("handcrafted_logistic+person", data, test)).all()


def test_under_a_perturbation_the_statistics_are_those_of_the_perturbed_windows() -> None:
    data, test, _ = cell()
    method = find_contender("handcrafted_logistic+person")
    fitted = method.fit(data)
    turned = data.features.under(parse_perturbation("rotation=90"))
    scores = fitted(turned, test)
    assert scores.shape == (len(test), 4)
    assert (scores != fitted(data.features, test)).any()


def test_tables_as_they_are_stay_so() -> None:
    data, test, _ = cell()
    before = predict("handcrafted_mean", data, test)
    predict("handcrafted_mean+person", data, test)
    assert (predict("handcrafted_mean", data, test) == before).all()
    assert (data.features.handcrafted[test] == make_cell(FakeShards())[0].features.handcrafted[test]).all()


def test_only_methods_on_tables_of_features_know_persons_and_that_is_said() -> None:
    for name in ("finetune+person", "zero_shot+person", "majority+person"):
        with pytest.raises(EvaluationError, match="fits on no table of features"):
            find_contender(name)
    with pytest.raises(EvaluationError, match=r"expected handcrafted_rf\+person\+em"):
        find_contender("handcrafted_rf+em+person")
    with pytest.raises(EvaluationError, match="did you mean 'person'"):
        find_contender("handcrafted_rf+persan")
    with pytest.raises(EvaluationError, match="expected one adaptation to the person, found two"):
        find_contender("handcrafted_rf+person+person")
    assert set(adaptations()) == {
        "balanced",
        "balanced_other",
        "em",
        "neighbours",
        "neighbours_other",
        "person",
        "person_other",
        "personal",
        "personal_none",
        "pseudo_labels",
        "smoothed",
        "views",
    }


def test_an_adaptation_and_a_control_do_not_mix() -> None:
    """Of two kinds of unlabelled windows, one would be used, and the name would say the other."""
    for name in ("person+neighbours_other", "person_other+neighbours", "person+balanced_other", "em+neighbours_other"):
        with pytest.raises(EvaluationError, match="expected all with '_other' at the end of their names, or none"):
            find_contender(f"handcrafted_mean+{name}")
    assert find_contender("handcrafted_mean+person_other+balanced_other").person_windows == "other"
    assert find_contender("handcrafted_mean+person+em+neighbours").person_windows == "all"


def test_the_control_shows_half_the_activities_in_other_shares() -> None:
    shards = FakeShards(per_class=8)
    target = make_target(shards)
    fold = target.folds(make_config().evaluation)[0]
    table = target.shards.table
    everything = unlabelled_windows(table, fold, "all", (0,))
    assert (everything == np.union1d(fold.pool, fold.test)).all()
    assert not len(unlabelled_windows(table, fold, "", (0,)))
    drawn = [unlabelled_windows(table, fold, "other", (0, draw)) for draw in range(30)]
    shown = set()
    for windows in drawn:
        assert np.isin(fold.pool, windows).all()
        for subject in fold.test_subjects:
            own = windows[table["subject"][windows] == subject]
            activities, counts = np.unique(table["activity"][own], return_counts=True)
            assert len(activities) == 2
            assert counts.min() >= 1
            assert counts.max() <= 8
            shown.add((subject, tuple(activities), tuple(counts)))
    assert len(shown) > 20
    assert (unlabelled_windows(table, fold, "other", (0, 3)) == drawn[3]).all()


def test_the_protocol_gives_unlabelled_windows_to_adapted_methods_only() -> None:
    shards = FakeShards()
    names = ["handcrafted_logistic", "handcrafted_logistic+person", "handcrafted_logistic+person_other"]
    results = run(make_config(methods=names, shots=[2], draws=2), shards)
    assert {(r.cell.method, r.cell.knowledge) for r in results} == {
        (names[0], "none"), (names[1], "unlabelled"), (names[2], "unlabelled"),
    }  # fmt: skip
    assert all(r.metrics["accuracy"] > 0.3 for r in results)


@pytest.mark.parametrize("adaptation", ["person", "em", "balanced", "person+balanced"])
def test_labels_of_tested_people_make_no_difference(adaptation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tested people's labels are shuffled; the predictions stay the same to the last bit."""
    kept: list[list[np.ndarray]] = []
    honest = HeldOutLabels.score

    def score(self: object, scores: np.ndarray) -> object:
        kept[-1].append(scores)
        return honest(self, scores)  # type: ignore[arg-type]

    monkeypatch.setattr(HeldOutLabels, "score", score)
    for shuffled in (False, True):
        shards = FakeShards()
        if shuffled:
            # Only subjects 1 and 2 are tested, and give no labels.
            tested = np.flatnonzero(np.isin(shards.table["subject"], ["1", "2"]))
            names = shards.table["activity"][tested]
            shards.table["activity"][tested] = np.random.default_rng(0).permutation(names)
        kept.append([])
        run(
            make_config(methods=[f"handcrafted_logistic+{adaptation}"], shots=[2], draws=2, workers=1),
            shards,
            test_where={"subject": ["1", "2"]},
            support_where={"subject": ["3", "4"]},
        )
    assert len(kept[0]) == 2
    assert all((a == b).all() for a, b in zip(*kept, strict=True))


def test_adaptations_work_with_a_checkpoint_and_its_zero_shot() -> None:
    shards = FakeShards()
    data, test, truth = cell(shards)
    for name in ("zero_shot+balanced", "zero_shot+em", "hybrid_mean+person+balanced", "majority+balanced"):
        scores = predict(name, data, test)
        assert scores.shape == (len(test), len(ACTIVITIES))
        assert scores.sum(axis=1) == pytest.approx(1)
    # All are told apart by the prototypes already, and each was done as often: nothing is left to balance.
    assert (predict("zero_shot+balanced", data, test).argmax(axis=1) == truth).all()
