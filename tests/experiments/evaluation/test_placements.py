"""Tested windows of another sensor: the same people, recordings and times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import joined, make_config
from hypothesis import given
from hypothesis import strategies as st

from experiments.eval_ood import run
from experiments.evaluation.cells import CellResult
from experiments.evaluation.held_out_labels import UnlabelledShards
from experiments.evaluation.perturbations import PLACEMENT, Perturbation, PerturbationError, apply, parse_perturbation
from experiments.evaluation.placements import SAME_TIME_S, OtherPlacement, PlacementError, find_other_placement
from experiments.evaluation.plan_checks import expand_perturbations
from experiments.evaluation.protocol import run_protocol
from experiments.evaluation.target_data import open_targets
from experiments.evaluation.targets import System, Target
from experiments.runtime.errors import UserError
from experiments.settings.evaluation import TargetConfig
from experiments.settings.schema import Config


def on_the_leg(seed: int = 0, **options: Any) -> FakeShards:
    """The same recordings, with a sensor that feels each activity as the wrist feels another one."""
    shards = FakeShards(seed=seed, **options)
    shards._imu = np.roll(shards._imu, shards.n_windows // 16, axis=0)
    shards.table["placement"] = np.full(shards.n_windows, "leg")
    shards.fingerprint += "-leg"
    return shards


def evaluate(
    other_placements: dict[str, OtherPlacement], store: dict[str, CellResult] | None = None, **config: Any
) -> list[CellResult]:
    kept = {} if store is None else store
    target = Target(TargetConfig("fake", "fake"), joined(FakeShards()), other_placements)
    return run_protocol(
        make_config(**{"methods": ["majority", "handcrafted_rf"], "shots": [1, 4], "draws": 2, **config}),
        [target],
        [System()],
        lambda cell: kept.get(cell.key),
        lambda result: kept.update({result.cell.key: result}),
        lambda *_: None,
    )


def other_placements(shards: FakeShards) -> dict[str, OtherPlacement]:
    return dict([find_other_placement(joined(FakeShards()), shards)])  # type: ignore[arg-type]


@given(st.lists(st.floats(-0.2, 0.2), min_size=96, max_size=96), st.randoms(use_true_random=False))
def test_windows_are_found_by_recording_and_time(moved: list[float], order: Any) -> None:
    leg, numbers = on_the_leg(), list(range(96))
    order.shuffle(numbers)
    leg.table = {name: column[numbers] for name, column in leg.table.items()}
    leg.table["start_s"] = np.array(moved)
    name, found = find_other_placement(joined(FakeShards()), leg)  # type: ignore[arg-type]
    assert name == "leg"
    for window, there in enumerate(found.windows):
        same = numbers.index(window)
        assert there == (same if abs(moved[same]) <= SAME_TIME_S else -1)


def test_the_nearest_of_several_windows_of_a_recording() -> None:
    own, leg = FakeShards(("1",), per_class=2), on_the_leg(subjects=("1",), per_class=2)
    for shards in (own, leg):
        shards.table["recording"] = np.full(8, "r")
        shards.table["start_s"] = np.arange(8) * 0.15
    for later, nearest in ((0.06, [0, 1, 2, 3, 4, 5, 6, 7]), (0.08, [0, 0, 1, 2, 3, 4, 5, 6])):
        leg.table["start_s"] = own.table["start_s"] + later
        assert find_other_placement(joined(own), leg)[1].windows.tolist() == nearest  # type: ignore[arg-type]


def test_another_sensor_s_windows_are_tested_and_nothing_else_changes() -> None:
    results = evaluate(other_placements(on_the_leg()))
    found = Counter((r.cell.method, r.cell.shots, r.cell.perturbation) for r in results)
    assert found == {
        ("majority", 0, ""): 2, ("majority", 0, "placement=leg"): 2, ("handcrafted_rf", 1, ""): 4,
        ("handcrafted_rf", 4, ""): 4, ("handcrafted_rf", 4, "placement=leg"): 4,
    }  # fmt: skip

    def mean(perturbation: str) -> float:
        chosen = [r for r in results if r.cell.perturbation == perturbation and r.cell.shots == 4]
        return float(np.mean([r.metrics["accuracy"] for r in chosen]))

    assert mean("") > 0.9
    assert mean("placement=leg") < 0.1
    for result in results:
        assert sum(result.windows_by_subject.values()) == 48
        assert result.notes == []


def test_where_the_sensor_measured_the_same_nothing_changes() -> None:
    twin = FakeShards()
    twin.table["placement"] = np.full(twin.n_windows, "leg")
    results = evaluate(other_placements(twin))
    by_condition = {
        perturbation: [r.by_subject for r in results if r.cell.perturbation == perturbation and r.cell.shots == 4]
        for perturbation in ("", "placement=leg")
    }
    assert by_condition[""] == by_condition["placement=leg"] != []


def test_windows_that_the_sensor_did_not_measure_are_left_out_and_counted() -> None:
    leg = on_the_leg()
    gone = (leg.table["subject"] == "1") | (np.arange(96) % 4 == 0)
    leg.table["recording"] = np.where(gone, "other", leg.table["recording"])
    results = evaluate(other_placements(leg))
    for result in results:
        if not result.cell.perturbation:
            assert result.notes == []
            continue
        missing = 24 + 6 if result.cell.fold == 0 else 12
        assert result.notes == [f"placement=leg: {missing} of 48 tested windows were not measured there"]
        assert sum(result.windows_by_subject.values()) == 48 - missing
        assert set(result.by_subject) == ({"2"} if result.cell.fold == 0 else {"3", "4"})


def test_a_fold_that_the_sensor_measured_nobody_of_has_no_score() -> None:
    leg = on_the_leg()
    leg.table["recording"] = np.where(np.isin(leg.table["subject"], ["1", "2"]), "other", leg.table["recording"])
    results = evaluate(other_placements(leg))
    for result in results:
        nobody = result.cell.perturbation != "" and result.cell.fold == 0
        assert bool(result.metrics) != nobody
    assert any("48 of 48" in note for r in results for note in r.notes)


@pytest.mark.slow
def test_cells_are_bound_to_the_other_sensor_s_shards() -> None:
    store: dict[str, CellResult] = {}
    evaluate({}, store)
    without = len(store)
    evaluate(other_placements(on_the_leg()), store)
    first = len(store)
    assert first == without + 2 + 4  # what was done without another placement is kept
    evaluate(other_placements(on_the_leg(seed=1)), store)
    assert len(store) == first + 2 + 4


def test_methods_see_the_other_sensor_s_motion_and_no_window_that_is_not_there() -> None:
    leg = on_the_leg()
    leg.table["recording"] = np.where(np.arange(96) == 5, "other", leg.table["recording"])
    plain = UnlabelledShards(joined(FakeShards()), other_placements=other_placements(leg))
    under = plain.under(Perturbation(PLACEMENT, "leg"))
    assert np.array_equal(under.measured(np.arange(8)), [0, 1, 2, 3, 4, 6, 7])
    assert np.array_equal(plain.measured(np.arange(8)), np.arange(8))
    assert np.array_equal(under.imu(np.array([7, 2]))[0], leg._imu[[7, 2]])
    with pytest.raises(ValueError, match="window 5 was not measured under perturbation 'placement=leg'"):
        under.imu(np.array([4, 5]))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            lambda s: s.table.update(placement=np.full(96, "wrist")),
            "windows of 'wrist', the placement of data set 'fake' itself",
        ),
        (lambda s: s.table.update(placement=np.full(96, "")), r"placements \[''\]; expected the windows of one named"),
        (lambda s: s.table["placement"].__setitem__(3, "hip"), r"placements \['hip', 'leg'\]; expected"),
        (lambda s: s.index.build.update(source="another"), "no window of the same recording and time"),
        (lambda s: s.table.update(start_s=np.full(96, 0.3)), "no window of the same recording and time"),
        (
            lambda s: setattr(s, "settings", replace(s.settings, imu_rate_hz=50.0)),
            "windows of 100 samples at 50 Hz, data set 'fake' has 50",
        ),
    ],
)
def test_shards_that_are_no_other_placement_are_refused(change: Callable[[FakeShards], None], found: str) -> None:
    leg = on_the_leg()
    change(leg)
    with pytest.raises(PlacementError, match=found):
        other_placements(leg)


def test_placements_are_read_and_not_made() -> None:
    perturbation = Perturbation(PLACEMENT, "left_leg")
    assert str(perturbation) == "placement=left_leg"
    assert parse_perturbation(str(perturbation)) == perturbation
    assert perturbation.changes(50.0)
    for text in ("placement", "placement=leg"):
        with pytest.raises(
            PerturbationError, match="name the data sets of the other sensors in a target's 'placements'"
        ):
            expand_perturbations([text])
    for kind, level in ((PLACEMENT, ""), (PLACEMENT, 3.0), ("noise", "leg")):
        with pytest.raises(PerturbationError, match="expected a"):
            Perturbation(kind, level)
    with pytest.raises(ValueError, match="windows of another placement are read, not made"):
        apply(
            perturbation, np.arange(1), np.zeros((1, 4, 6), np.float32), np.ones((1, 4), bool), np.ones((1, 6), bool), 5
        )


SETS = tuple(
    setting
    for place in ("head", "chest")
    for setting in (
        f"datasets.{place}.source.name=simulator",
        f"datasets.{place}.source.params={{subjects: 4, first_subject: 50, sessions_per_subject: 1, session_s: 60,"
        f" placements: [{place}], cameras: []}}",
        f"datasets.{place}.placement={place}",
    )
)


def test_simulated_people_with_two_sensors_from_the_settings_to_the_figure(tiny: Callable[..., Config]) -> None:
    csv = run(
        tiny(
            *SETS,
            "evaluation={targets: [{name: people, dataset: head, placements: [chest]}], methods: [handcrafted_rf],"
            " shots: [2], draws: 2, bootstrap: 100, forest_trees: 20, folds: 2}",
        )
    )
    frame = pd.read_csv(csv, keep_default_na=False)
    assert set(frame.perturbation) == {"", "placement=chest"}
    assert (csv.parent / "figures" / "robustness_people.png").stat().st_size > 10_000
    text = Path(csv.parent / "results.md").read_text()
    assert "sensor worn elsewhere" in text
    assert "| as fitted | chest |" in text


def test_a_target_without_a_gyroscope_has_none_elsewhere_either(tiny: Callable[..., Config]) -> None:
    targets = "evaluation.targets=[{name: plain, dataset: head, placements: [chest]}, {name: without, dataset: head,"
    plain, without = open_targets(tiny(*SETS, f"{targets} placements: [chest], gyroscope: false}}]"))
    chest = Perturbation(PLACEMENT, "chest")
    for target, channels in ((plain, 6), (without, 3)):
        shards = UnlabelledShards(target.shards, other_placements=target.other_placements)
        for windows in (shards, shards.under(chest)):
            assert windows.imu(np.arange(4))[2].sum(axis=1).tolist() == [channels] * 4
    assert plain.other_placements["chest"].shards.fingerprint != without.other_placements["chest"].shards.fingerprint


def test_what_is_no_other_placement_is_said_with_the_target(tiny: Callable[..., Config]) -> None:
    with pytest.raises(
        UserError, match=r"target 'people', placements, 'head': .* the placement of data set 'head' itself"
    ):
        run(
            tiny(
                *SETS,
                "evaluation={targets: [{name: people, dataset: head, placements: [head]}], methods: [majority]}",
            )
        )
