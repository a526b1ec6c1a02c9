"""What accuracy costs, on numbers that can be worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
from helpers.made_results import make_results

from experiments.evaluation.cells import CellResult
from experiments.statistics.costs import chance_levels, cost_of


def cells(accuracies: list[float], seconds: list[float]) -> list[CellResult]:
    """One subject and cell for each accuracy."""
    made = make_results("home", len(accuracies), ["sit", "walk"], shots=(5,), draws=1, methods=("linear_probe",))
    return [
        dataclasses.replace(
            result,
            metrics={"balanced_accuracy": a},
            by_subject={subject: {"balanced_accuracy": a} for subject in result.by_subject},
            seconds=s,
        )
        for result, a, s in zip(made, accuracies, seconds, strict=True)
    ]


def test_labels_and_seconds_per_point_above_chance() -> None:
    found = cost_of(cells([0.6, 0.7, 0.8], [100.0, 1.0, 3.0]), {"p1": 0.5, "p2": 0.5, "p3": 0.5})
    assert found.labels == 10  # 5 of each of 2 activities
    assert found.seconds == 3  # the median: the first cell paid for the others
    assert found.accuracy == pytest.approx(0.7)
    assert found.gain == pytest.approx(20)
    assert found.labels_per_point == pytest.approx(0.5)
    assert found.seconds_per_point == pytest.approx(0.15)


def test_nothing_above_chance_has_no_price() -> None:
    found = cost_of(cells([0.5, 0.4], [1.0, 1.0]), {"p1": 0.5, "p2": 0.5})
    assert found.gain == pytest.approx(-5)
    assert math.isnan(found.labels_per_point)
    assert math.isnan(found.seconds_per_point)


def test_the_gain_is_over_people_with_a_chance_level() -> None:
    assert cost_of(cells([0.9, 0.6], [1.0, 1.0]), {"p2": 0.5}).gain == pytest.approx(10)
    with pytest.raises(ValueError, match="chance level"):
        cost_of(cells([0.9], [1.0]), {"p9": 0.5})


def test_cells_that_could_not_be_done_cost_nothing() -> None:
    done, undone = cells([0.9, 0.6], [1.0, 50.0])
    undone = dataclasses.replace(undone, metrics={}, by_subject={})
    assert cost_of([done, undone], {"p1": 0.5, "p2": 0.5}).seconds == 1


def test_chance_is_the_majoritys_or_one_over_the_activities_done() -> None:
    made = make_results("home", 2, ["fall", "sit", "walk"], shots=(1,), draws=1)
    majority = [r for r in made if r.cell.method == "majority"]
    # The first person did two of the three activities; the majority always says the last.
    assert chance_levels(majority, made) == pytest.approx({"p1": 1 / 2, "p2": 1 / 3})
    assert chance_levels([], made) == pytest.approx({"p1": 1 / 2, "p2": 1 / 3})
