"""Examples of activities that several data sets share, and methods that learn from them alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_config
from hypothesis import given
from hypothesis import strategies as st

from datamodules.shards.concat import ConcatShards
from encoders.contract import ImuInput
from encoders.registry import build_imu_encoder
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.methods import find_method
from experiments.evaluation.methods.source_only import prototypes
from experiments.evaluation.plan import plan_units
from experiments.evaluation.protocol import run_units
from experiments.evaluation.targets import System, Target
from experiments.evaluation.transfer.examples import FEWEST, MOST, Examples
from experiments.evaluation.transfer.sources import Sources, SourceSet
from experiments.settings.evaluation import EvaluationConfig, TargetConfig

# What FakeShards calls bend, sit, turn, walk, in the words of two sources and by common names.
SISFALL = {"bend": "bend_over", "sit": "chair_slow", "turn": "jogging_slow", "walk": "walking_slow"}
WEDA = {"bend": "crouch", "sit": "sit_and_get_up", "turn": "jogging", "walk": "walking"}
METHODS = ("source_logistic", "source_trees", "source_mean", "source_prototypes", "source_probe")


def shards(source: str, names: dict[str, str], seed: int, per_class: int = 6) -> ConcatShards:
    made = FakeShards(seed=seed, source=source, per_class=per_class)
    made.table["activity"] = np.array([names[name] for name in made.table["activity"]])
    return ConcatShards([(source, made)])  # type: ignore[list-item]


def encoder() -> Any:
    return build_imu_encoder("conv_norms", {"channels": [16, 16], "kernels": [5, 5]}, ImuInput(50, 25.0)).eval()


def target(labels: str = "shared", names: dict[str, str] = SISFALL) -> Target:
    made = FakeShards(seed=3, source="sisfall")
    made.table["activity"] = np.array([names[name] for name in made.table["activity"]])
    fixed = encoder()
    others = [SourceSet("weda", shards("weda_fall", WEDA, 1)), SourceSet("utd", shards("utd_mhad", UTD, 2))]
    joined = ConcatShards([("sisfall", made)], common=labels != "own")  # type: ignore[list-item]
    return Target(TargetConfig("made", "sisfall", labels=labels), joined, sources=Sources(others, lambda _: fixed))


UTD = {"bend": "squat", "sit": "sit_to_stand", "turn": "jogging_in_place", "walk": "walking_in_place"}


def test_examples_have_common_names_and_their_source() -> None:
    made = Examples([shards("weda_fall", WEDA, 1), shards("utd_mhad", UTD, 2)], encoder)
    assert made.activities == ["bending", "running", "sit_to_stand", "walking"]
    assert {(name, number) for name, number in zip(made.names.tolist(), made.sets.tolist(), strict=True)} == {
        ("bending", 0), ("running", 0), ("sit_to_stand", 0), ("walking", 0),
        ("running", 1), ("sit_to_stand", 1), ("walking", 1),
    }  # fmt: skip
    chosen, labels = made.of(["walking", "bending"])
    assert made.names[chosen].tolist() == [["walking", "bending"][label] for label in labels]
    assert len(made.rows("handcrafted", lambda features: features.handcrafted)) == len(made.names)
    assert any("squat 24" in line for line in made.lines)


def test_rare_activities_are_not_learnt_and_frequent_ones_are_thinned() -> None:
    rare = shards("weda_fall", WEDA, 1)
    activity = rare.table["activity"]
    few = {"bend": "crouch", "sit": "sit_and_get_up", "turn": "", "walk": ""}
    some = shards("weda_fall", few, 2, per_class=FEWEST)
    assert Examples([some], encoder).activities == ["bending", "sit_to_stand"]
    assert len(activity) == len(Examples([rare], encoder).names)
    many = Examples([shards("weda_fall", WEDA, 1, per_class=MOST // 4 + 1)], encoder)
    again = Examples([shards("weda_fall", WEDA, 1, per_class=MOST // 4 + 1)], encoder)
    assert np.unique(many.names, return_counts=True)[1].tolist() == [MOST] * 4
    rows = [made.rows("handcrafted", lambda features: features.handcrafted) for made in (many, again)]
    assert (rows[0] == rows[1]).all()  # the same windows each time


def run(made: Target, *methods: str) -> dict[str, Any]:
    config = make_config(folds=2, methods=list(methods), shots=[1], draws=1, forest_trees=20)
    units = plan_units(config, [made], [System()])
    found = run_units(config, units, lambda cell: None, lambda result: None, lambda *progress: None)
    return {f"{r.cell.method} {r.cell.shots} {r.cell.fold}": r for r in found}


def test_activities_are_recognised_without_a_label_of_the_target() -> None:
    found = run(target(), *METHODS, "source_probe+balanced", "handcrafted_logistic")
    assert {result.cell.shots for name, result in found.items() if name.startswith("source")} == {0}
    for name in METHODS:
        for fold in (0, 1):
            result = found[f"{name} 0 {fold}"]
            assert result.classes == ["bending", "running", "sit_to_stand", "walking"]
            assert result.support_windows == 0
            # Chance is 0.25. The encoder has random weights, so that its features say less.
            assert result.metrics["balanced_accuracy"] > (0.4 if "pro" in name else 0.9), name
            assert "only activities that a source has too: bending, running, sit_to_stand, walking" in result.notes


def test_labels_of_the_target_change_nothing() -> None:
    made = target()
    first, *_ = run(made, "source_logistic").values()
    shuffled = target()
    activity = shuffled.shards.table["activity"]
    features = find_method("source_logistic")
    assert features.no_target_label
    assert not features.needs_labels
    # Labels of the people who are not tested are shuffled; predictions of those who are stay.
    pool = np.flatnonzero(np.isin(np.asarray(shuffled.shards.table["subject"]), ["3", "4"]))
    shuffled.shards.table["activity"] = activity.copy()
    order = np.random.default_rng(0).permutation(pool)
    names = np.array([str(name) for name in activity], object)
    names[pool] = names[order]
    shuffled.shards.table["activity"] = names
    second, *_ = run(shuffled, "source_logistic").values()
    assert first.confusion_by_subject == second.confusion_by_subject


def test_a_target_with_its_own_names_has_no_such_rows() -> None:
    assert not [name for name in run(target("own"), "source_logistic", "handcrafted_logistic") if "source" in name]


def test_two_shared_activities_are_needed() -> None:
    one = target(names={"bend": "jump", "sit": "stumble", "turn": "collapse_into_chair", "walk": "walking_slow"})
    with pytest.raises(EvaluationError, match=r"leaves 1 activities \(walking\); expected at least 2"):
        one.folds(EvaluationConfig(folds=2))


@given(st.integers(0, 2**32 - 1))
def test_each_source_counts_alike_in_a_prototype(seed: int) -> None:
    """A source's share does not grow with its windows: repeating them changes nothing."""
    rng = np.random.default_rng(seed)
    unit = rng.normal(size=(12, 5))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    labels, sets = np.tile([0, 1, 2], 4), np.repeat([0, 1], 6)
    twice = np.concatenate([np.arange(12), np.flatnonzero(sets == 1)])
    found = prototypes(unit, labels, sets)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1)
    assert prototypes(unit[twice], labels[twice], sets[twice]) == pytest.approx(found, abs=1e-12)
