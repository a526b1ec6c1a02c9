from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.fake_shards import ACTIVITIES, FakeShards
from helpers.made_cells import make_config, make_features, make_model, prototypes_of
from helpers.made_protocol import make_target, run
from scipy.stats import binom

import experiments.evaluation.plan as plan
from datamodules.pretraining import stream_seed
from experiments.evaluation.cells import CellResult
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods import CellData, Method
from experiments.evaluation.prototypes.video import Prototypes
from experiments.evaluation.splits import LeakError
from experiments.evaluation.targets import System
from lightning_modules.pretraining import ImuPretraining

FAST = ["majority", "zero_shot", "random_frozen", "linear_probe"]


def made(shards: FakeShards) -> tuple[ImuPretraining, Prototypes]:
    model = make_model(shards)
    return model, prototypes_of(shards, make_features(shards, model))


class Seen(NamedTuple):
    """What a method was given, and what it was asked to predict."""

    data: CellData
    test: Any


def spy(monkeypatch: pytest.MonkeyPatch, *names: str) -> dict[str, list[Seen]]:
    """Put in place of methods what records their data and answers at random."""
    seen: dict[str, list[Seen]] = {name: [] for name in names}

    def find(name: str) -> Method:
        def fit(data: CellData) -> Any:
            def predict(features: TargetFeatures, windows: Any) -> Any:
                seen[name].append(Seen(data, windows))
                rng = np.random.default_rng(data.seed)
                return rng.dirichlet(np.ones(len(data.classes)), len(windows))

            return predict

        return Method(name, fit, needs_labels=True)

    monkeypatch.setattr(plan, "find_contender", find)
    return seen


def test_all_cells_and_their_results() -> None:
    shards = FakeShards()
    model, prototypes = made(shards)
    config = make_config(methods=FAST, shots=[1, 3], draws=2)
    results = run(config, shards, model, prototypes)
    # Two folds: once for the two methods without labels, 2 shots x 2 draws for the two with.
    assert Counter(r.cell.method for r in results) == {
        "majority": 2, "zero_shot": 2, "random_frozen": 8, "linear_probe": 8,
    }  # fmt: skip
    assert len({r.cell.key for r in results}) == len(results)
    for result in results:
        assert result.classes == list(ACTIVITIES)
        assert result.confusion.sum() == sum(result.windows_by_subject.values()) == 48
        assert set(result.windows_by_subject) == ({"1", "2"} if result.cell.fold == 0 else {"3", "4"})
        assert result.support_windows == 4 * result.cell.shots
        assert result.cell.population == "healthy"
        assert result.notes == []
        assert not result.simulated
        weighted = sum(result.by_subject[s]["accuracy"] * n for s, n in result.windows_by_subject.items()) / 48
        assert result.metrics["accuracy"] == pytest.approx(weighted)
    by_method = {r.cell.method: r for r in results}
    assert by_method["majority"].metrics["balanced_accuracy"] == 0.25
    assert by_method["zero_shot"].metrics["recall@1"] > 0.8
    assert by_method["zero_shot"].metrics["pool_size"] == 4
    assert (by_method["majority"].cell.encoder, by_method["majority"].cell.checkpoint) == ("", "")
    assert (by_method["random_frozen"].cell.encoder, by_method["random_frozen"].cell.checkpoint) == (
        "cnn_transformer", "",
    )  # fmt: skip
    assert by_method["linear_probe"].cell.checkpoint == "abc"


@pytest.mark.parametrize("name", ["finetune", "supervised", "handcrafted_rf"])
def test_the_other_methods_end_to_end(name: str) -> None:
    shards = FakeShards(per_class=4)
    config = make_config(methods=[name], shots=[3], draws=2, draws_trained=1, supervised_min_steps=120)
    results = run(config, shards, make_model(shards))
    assert len(results) == (4 if name == "handcrafted_rf" else 2)
    assert all(r.metrics["accuracy"] > 0.6 for r in results)


def test_finished_cells_are_kept_and_an_interrupted_evaluation_goes_on() -> None:
    store: dict[str, CellResult] = {}
    shards = FakeShards()
    model, prototypes = made(shards)
    config = make_config(methods=FAST, shots=[1], draws=2)
    first = run(config, shards, model, prototypes, store)
    for key in list(store)[5:]:
        del store[key]
    kept = {key: result.seconds for key, result in store.items()}
    again = run(config, shards, model, prototypes, store)
    assert [r.cell for r in again] == [r.cell for r in first]
    assert [r.metrics for r in again] == [r.metrics for r in first]
    assert all(store[key].seconds == seconds for key, seconds in kept.items())


def test_a_cell_is_bound_to_what_its_result_depends_on() -> None:
    shards = FakeShards()
    model, prototypes = made(shards)

    def keys(shards: FakeShards = shards, digest: str = "abc", **evaluation: object) -> dict[str, set[str]]:
        config = make_config(**{"methods": FAST, "shots": [1], "draws": 1, **evaluation})
        found: dict[str, set[str]] = {}
        for result in run(config, shards, model, prototypes, digest=digest):
            found.setdefault(result.cell.method, set()).add(result.cell.key)
        return found

    def changed(other: dict[str, set[str]]) -> set[str]:
        return {name for name in before if not before[name] & other[name]}

    before = keys()
    assert changed(keys()) == set()
    assert changed(keys(bootstrap=5)) == set()
    assert changed(keys(probe_c=0.5)) == {"random_frozen", "linear_probe"}
    assert changed(keys(digest="other")) == {"zero_shot", "linear_probe"}
    assert changed(keys(activities=["walk", "sit"])) == set(FAST)
    assert changed(keys(folds=4)) == set(FAST)
    assert changed(keys(FakeShards(seed=1))) == set(FAST)


def test_draws_are_the_same_for_every_method_and_nested(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = spy(monkeypatch, "one", "two")
    shards, config = FakeShards(), make_config(methods=["one", "two"], shots=[1, 2, 4], draws=3)
    run(config, shards)

    def by_cell(name: str) -> list[tuple[list[int], list[int]]]:
        return sorted((d.test.tolist(), d.data.support.tolist()) for d in seen[name])

    assert by_cell("one") == by_cell("two")
    order = {d.data.seed: d for d in seen["one"]}
    planned = plan.plan_units(config, [make_target(shards)], [System()])
    supports = [
        set(order[stream_seed(0, c.fold, c.shots, c.draw)].data.support.tolist())
        for u in planned
        for c in u.cells
        if c.method == "one"
    ]
    for fold in range(2):
        one, two, four = (supports[fold * 9 + i * 3 : fold * 9 + i * 3 + 3] for i in range(3))
        assert all(a < b < c for a, b, c in zip(one, two, four, strict=True))
        assert len({frozenset(s) for s in four}) == 3


def test_every_labelled_window_is_tested_once_per_shots_and_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    shards = FakeShards()
    shards.table["activity"][::7] = ""
    seen = spy(monkeypatch, "one")
    run(make_config(methods=["one"], shots=[1, 2], draws=3), shards)
    tested = Counter(int(w) for _, test in seen["one"] for w in test)
    labelled = np.flatnonzero(shards.table["activity"] != "")
    assert set(tested) == set(labelled.tolist())
    assert set(tested.values()) == {6}
    for data, test in seen["one"]:
        subjects = shards.table["subject"]
        assert not set(subjects[data.pool]) & set(subjects[test])
        assert set(data.support) <= set(data.pool)


def test_shuffled_labels_give_chance() -> None:
    shards = FakeShards(per_class=12)
    np.random.default_rng(0).shuffle(shards.table["activity"])
    config = make_config(methods=["handcrafted_rf", "random_frozen"], shots=[8], draws=1)
    results = run(config, shards)
    for name in config.evaluation.methods:
        counts = np.sum([r.confusion for r in results if r.cell.method == name], axis=0)
        # 192 windows and 4 classes: 99.9 % of all binomial draws.
        low, high = binom.interval(0.999, counts.sum(), 0.25)
        assert low <= counts.trace() <= high


def test_few_windows_and_left_out_activities_are_noted() -> None:
    shards = FakeShards(per_class=3)
    table = shards.table
    table["activity"][(table["activity"] == "turn") & (table["subject"] < "3")] = ""
    results = run(make_config(methods=["random_frozen"], shots=[10], draws=1), shards)
    # Tested on 1 and 2, who never turn: it stays a possible answer, or the test would narrow the answers down.
    assert results[0].classes == ["bend", "sit", "turn", "walk"]
    assert results[0].notes == ["k = 10: fewer windows, so all of them, of bend, sit, turn, walk"]
    results = results[1:]
    assert results[0].classes == ["bend", "sit", "walk"]
    assert results[0].support_windows == 18
    assert results[0].notes[0] == "left out, without a label to learn from: turn (6 windows)"
    assert results[0].notes[1] == "k = 10: fewer windows, so all of them, of bend, sit, walk"


def test_unlabelled_windows_of_the_pool_are_not_chosen_by_their_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the labelled person lacks an activity, others' windows of it stay among those that a method may look at."""
    shards = FakeShards()
    table = shards.table
    table["activity"][(table["activity"] == "turn") & (table["subject"] == "3")] = "sit"
    seen = spy(monkeypatch, "majority")
    run(make_config(methods=["majority"], shots=[], subject_shots=[1], draws=4), shards)
    pool = np.flatnonzero(np.isin(table["subject"], ["3", "4"]))
    lacking = [one.data for one in seen["majority"] if len(one.data.classes) == 3 and 2 * 24 in one.data.pool]
    assert lacking
    for data in lacking:
        assert (data.pool == pool).all()
        assert data.pool_counts.tolist() == [12, 18, 12]  # of bend, sit and walk


def test_zero_shot_is_not_done_where_the_source_has_no_video_of_anything_tested() -> None:
    shards = FakeShards()
    model, whole = made(shards)
    some = Prototypes(["juggle"], whole.of(["bend"]), [1], "one", True)
    for result in run(make_config(methods=["zero_shot"]), shards, model, some):
        assert not result.metrics
        assert "not done: no prototype of any of these activities" in result.notes


def test_zero_shot_misses_what_the_source_has_no_video_of() -> None:
    shards = FakeShards()
    model, whole = made(shards)
    some = Prototypes(["bend", "walk"], whole.of(["bend", "walk"]), [1, 1], "two", True)
    result = run(make_config(methods=["zero_shot"]), shards, model, some)[0]
    assert result.classes == ["bend", "sit", "turn", "walk"]
    assert sum(result.windows_by_subject.values()) == 48
    assert result.notes == ["zero-shot: without a prototype, so always missed: sit, turn"]
    assert [row[1] + row[2] for row in result.confusion] == [0, 0, 0, 0]  # never answered
    assert result.metrics["balanced_accuracy"] <= 0.5
    assert result.simulated


def test_pretraining_subjects_are_refused_unless_allowed() -> None:
    shards = FakeShards()
    model = make_model(shards, pretraining_subjects=["fake/2", "other/1", "fake/4"])
    config = make_config(methods=["majority", "linear_probe"], shots=[1], draws=1)
    with pytest.raises(LeakError, match=r"'fake': tested subjects who were in pretraining too: fake/2, fake/4"):
        run(config, shards, model)
    config.evaluation.allow_seen_subjects = True
    results = run(config, shards, model)
    assert all("in pretraining too: fake/2, fake/4" in r.notes[0] for r in results)
    with pytest.raises(LeakError, match="does not say"):
        run(make_config(methods=["linear_probe"]), shards, make_model(shards, pretraining_subjects=None))


def test_what_a_method_lacks_is_said_before_anything_is_computed() -> None:
    shards = FakeShards()
    with pytest.raises(EvaluationError, match="linear_probe needs a checkpoint"):
        run(make_config(methods=["majority", "linear_probe"]), shards)


def test_scores_that_are_not_finite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> Method:
        return Method(
            name, lambda data: lambda features, windows: np.full((len(windows), 4), np.nan), needs_labels=True
        )

    monkeypatch.setattr(plan, "find_contender", find)
    with pytest.raises(EvaluationError, match="192 of them not finite"):
        run(make_config(methods=["broken"]), FakeShards())


def test_the_seed_of_the_draws_is_part_of_a_cell() -> None:
    shards = FakeShards()
    planned = []
    for seed in (0, 1):
        config = make_config(methods=["majority", "random_frozen"], shots=[1], draws=1)
        config.evaluation.draw_seed = seed
        units = plan.plan_units(config, [make_target(shards)], [System()])
        planned.append({unit.method.name: unit.cells[0].key for unit in units})
    assert planned[0]["majority"] == planned[1]["majority"]  # it draws nothing
    assert planned[0]["random_frozen"] != planned[1]["random_frozen"]
