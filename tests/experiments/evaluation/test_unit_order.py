"""Order of units, and tasks: units of one draw share fits."""

from __future__ import annotations

from itertools import pairwise

from helpers.fake_shards import FakeShards
from helpers.made_cells import make_config, make_model
from helpers.made_protocol import make_target

from experiments.evaluation.plan import Unit, plan_units
from experiments.evaluation.targets import System
from experiments.evaluation.unit_order import in_tasks, in_turn

METHODS = ["supervised", "handcrafted_logistic", "majority", "handcrafted_mean"]


def units() -> list[Unit]:
    config = make_config(methods=METHODS, shots=[1, 2], draws=2, draws_trained=1)
    return plan_units(config, [make_target(FakeShards())], [System("")])


def draw_of(unit: Unit) -> tuple[int, int, int]:
    cell = unit.cells[0]
    return cell.fold, cell.shots, cell.draw


def test_draws_come_one_after_the_other_and_the_longest_trainings_last() -> None:
    found = in_turn(units())
    assert sorted(u.cells[0].key for u in found) == sorted(u.cells[0].key for u in units())
    trained = [u.method.trained for u in found]
    assert trained == sorted(trained)
    quick = [draw_of(u) for u in found if not u.method.trained]
    assert quick == sorted(quick)
    assert [u.cells[0].shots for u in found if u.method.trained] == [2, 2, 1, 1]


def test_a_draw_is_one_task_and_a_training_a_task_of_its_own() -> None:
    tasks = in_tasks(in_turn(units()))
    for task in tasks:
        assert len({draw_of(u) for u in task}) == 1
        assert len(task) == 1 or not any(u.method.trained for u in task)
    draws = [draw_of(task[0]) for task in tasks if not task[0].method.trained]
    assert len(set(draws)) == len(draws)
    # Two folds of majority (no labels), and of 2 numbers of shots x 2 draws with two methods each.
    assert sorted(len(task) for task in tasks) == [1] * (2 + 4) + [2] * 8


def test_systems_and_people_with_all_their_labels_are_draws_of_their_own() -> None:
    """Units of two systems share no fit, nor do one labelled window an activity and one labelled person."""
    config = make_config(methods=["handcrafted_logistic", "handcrafted_mean"], shots=[1], subject_shots=[1], draws=1)
    shards = FakeShards()
    target = make_target(shards)
    models = [System(name, make_model(shards), name) for name in ("one", "two")]
    config.evaluation.methods += ["hybrid_logistic", "linear_probe"]
    found = plan_units(config, [target], models)

    def draw(unit: Unit) -> tuple[int, int, str]:
        return id(unit.features), unit.cells[0].fold, unit.cells[0].shots_unit

    assert len({draw(unit) for unit in found}) == 2 * 2 * 2
    for task in in_tasks(in_turn(found)):
        assert len({draw(unit) for unit in task}) == 1
    order = [draw(unit) for unit in in_turn(found)]
    runs = 1 + sum(one != other for one, other in pairwise(order))
    assert runs == len(set(order))  # each draw is one stretch
