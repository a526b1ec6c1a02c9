"""Rows and sums of evaluations whose numbers can be worked out by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.made_results import make_results

from experiments.evaluation.cells import CellResult
from experiments.evaluation.metrics import per_class_recall
from experiments.statistics import results

DOCUMENTED = [
    "dataset",
    "population",
    "method",
    "encoder",
    "checkpoint",
    "shots",
    "seed",
    "fold",
    "metric",
    "value",
    "n_test_windows",
    "n_test_subjects",
    "draw",
    "subject",
    "support_windows",
    "simulated",
    "system",
    "shots_unit",
    "perturbation",
    "support_subjects",
    "seconds",
    "knowledge",
    "incomplete",
]


def made() -> list[CellResult]:
    return make_results("home", 3, ["fall", "sit", "walk"], shots=(1, 5), draws=2, perturbations=["rotation=90"])


def with_people(result: CellResult, accuracy: dict[str, float]) -> CellResult:
    """The cell with other people in it."""
    return dataclasses.replace(
        result,
        by_subject={name: {"accuracy": value} for name, value in accuracy.items()},
        windows_by_subject=dict.fromkeys(accuracy, 4),
        confusion_by_subject={name: [[2, 1, 0], [0, 0, 0], [1, 0, 3]] for name in accuracy},
    )


def test_columns_are_the_documented_ones_and_survive_both_files(tmp_path: Path) -> None:
    frame = results.rows(made())
    assert list(frame.columns) == DOCUMENTED
    csv, parquet = results.write(frame, tmp_path)
    # to_csv writes the shortest digits that read back the same, if whoever reads asks for it.
    read = pd.read_csv(csv, keep_default_na=False, float_precision="round_trip")
    pd.testing.assert_frame_equal(read, pd.read_parquet(parquet), check_dtype=False, check_exact=True)
    assert not list(tmp_path.glob("*.tmp"))


def test_every_row_says_which_cell_it_is_of() -> None:
    cells = made()
    frame = results.rows(cells)
    keys = ["method", "system", "shots", "shots_unit", "fold", "draw", "perturbation"]
    by_cell = frame[(frame.metric == "macro_f1") & (frame.subject == "")].set_index(keys).value
    assert len(by_cell) == len(cells)
    for result in cells:
        c = result.cell
        at = (c.method, c.system, c.shots, c.shots_unit, c.fold, c.draw, c.perturbation)
        assert by_cell[at] == result.metrics["macro_f1"]


def test_recall_of_each_activity_is_told_for_people_only() -> None:
    frame = results.rows(made())
    recall = frame[frame.metric.str.startswith("recall[")]
    assert set(recall.metric) == {"recall[fall]", "recall[sit]", "recall[walk]"}
    assert "" not in set(recall.subject)
    assert "recall[fall]" not in set(recall[recall.subject == "p1"].metric)  # p1 never fell
    cell = made()[-1]
    (subject, counts), *_ = cell.confusion_by_subject.items()
    expected = per_class_recall(np.array(counts))[1]
    found = recall[
        (recall.subject == subject) & (recall.method == cell.cell.method) & (recall.shots == cell.cell.shots)
    ]
    found = found[(found.draw == cell.cell.draw) & (found.perturbation == cell.cell.perturbation)]
    assert found[found.metric == "recall[sit]"].value.tolist() == [expected]


def test_means_run_over_the_people_who_have_the_metric_and_say_how_many() -> None:
    cell = with_people(made()[0], {"a": 0.5, "b": 0.7, "c": 0.9})
    del cell.by_subject["c"]["accuracy"]
    frame = results.rows([dataclasses.replace(cell, metrics={"accuracy": 0.65})])
    mean = frame[frame.metric == "accuracy_by_subject"].iloc[0]
    assert mean.value == pytest.approx(0.6)
    assert (mean.n_test_subjects, mean.n_test_windows) == (2, 8)
    assert results.subject_means([cell], "accuracy") == {"a": 0.5, "b": 0.7}


def test_a_metric_that_nobody_has_alone_has_no_mean_over_people() -> None:
    cell = dataclasses.replace(with_people(made()[0], {"a": 0.5, "b": 0.7}), metrics={"auroc": 0.9})
    frame = results.rows([cell])
    assert "auroc" in set(frame.metric)
    assert "auroc_by_subject" not in set(frame.metric)


def test_no_cells_and_undone_cells_make_no_rows() -> None:
    assert list(results.rows([]).columns) == DOCUMENTED
    undone = dataclasses.replace(
        made()[0], metrics={}, by_subject={}, windows_by_subject={}, hours_by_subject={}, confusion_by_subject={}
    )
    assert results.rows([undone]).empty


def test_estimates_average_draws_before_people() -> None:
    draws = [with_people(made()[0], {"a": a, "b": 0.7, "c": 0.8}) for a in (0.6, 0.8)]
    draws[1] = dataclasses.replace(draws[1], cell=dataclasses.replace(draws[1].cell, draw=1))
    found = results.estimate(draws, "accuracy", 1000)
    assert found.mean == pytest.approx((0.7 + 0.7 + 0.8) / 3)
    # Three subjects get Student's interval: 4.3027 standard errors.
    half = 4.302653 * np.std([0.7, 0.7, 0.8], ddof=1) / np.sqrt(3)
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), rel=1e-6)
    assert (found.subjects, found.draws) == (3, 2)
    with pytest.raises(ValueError, match="no results"):
        results.estimate([], "accuracy", 10)


def test_checkpoints_of_one_name_are_averaged_as_draws_are() -> None:
    first = with_people(made()[0], {"a": 0.4, "b": 0.6})
    second = with_people(made()[0], {"a": 0.8, "b": 0.6})
    second = dataclasses.replace(second, cell=dataclasses.replace(second.cell, checkpoint="other", seed=1))
    assert results.subject_means([first, second], "accuracy") == pytest.approx({"a": 0.6, "b": 0.6})


def test_recalls_of_people() -> None:
    found = results.subject_recalls([with_people(made()[0], {"a": 0.5})])
    assert found == {"fall": {"a": pytest.approx(2 / 3)}, "walk": {"a": 0.75}}  # nobody sat
