"""Rows and tables of a small evaluation whose numbers can be worked out by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from experiments import results
from experiments.cells import Cell, CellResult
from experiments.report import Report, markdown, terminal_tables

PEOPLE = ("a", "b", "c")


def make(method: str, shots: int, draw: int, accuracy: dict[str, float], simulated: bool = False) -> CellResult:
    cell = Cell("people at home", "parkinson", method, "enc", "ck", shots, 0, draw, 0, "x")
    metrics = {"accuracy": 0.5, "balanced_accuracy": 0.5, "macro_f1": 0.4}
    if method == "zero_shot":
        metrics |= {"recall@1": 0.5, "recall@3": 1.0, "mrr": 0.75}
        metrics |= {"chance_recall@1": 0.5, "chance_recall@3": 1.0, "chance_mrr": 0.75}
    by_subject = {s: {**metrics, "accuracy": a, "balanced_accuracy": a} for s, a in accuracy.items()}
    return CellResult(
        cell,
        ["fall", "walk"],
        metrics,
        by_subject,
        dict.fromkeys(accuracy, 4),
        [[3, 3], [2, 4]],
        2 * shots,
        0.1,
        simulated,
    )


def cells(simulated: bool = False) -> list[CellResult]:
    found = [make("zero_shot", 0, 0, dict.fromkeys(PEOPLE, 0.5), simulated)]
    for shots in (1, 10):
        for draw in range(2):
            probe = {"a": 0.6 + 0.2 * draw, "b": 0.7, "c": 0.8}
            found.append(make("linear_probe", shots, draw, probe, simulated))
            forest = {name: value - 0.1 for name, value in probe.items()}
            found.append(make("handcrafted_rf", shots, draw, forest, simulated))
    return found


def test_the_columns_of_the_table_of_cells(tmp_path: Path) -> None:
    frame = results.rows(cells())
    assert list(frame.columns)[:12] == [
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
    ]
    csv, parquet = results.write(frame, tmp_path)
    read = pd.read_csv(csv, keep_default_na=False)
    pd.testing.assert_frame_equal(read, pd.read_parquet(parquet), check_dtype=False)
    pooled = read[(read.method == "linear_probe") & (read.subject == "") & (read.metric == "accuracy")]
    assert len(pooled) == 4
    assert set(pooled.n_test_windows) == {12}
    assert set(pooled.n_test_subjects) == {3}
    own = read[(read.method == "linear_probe") & (read.subject == "a") & (read.metric == "accuracy")]
    assert sorted(own.value) == pytest.approx([0.6, 0.6, 0.8, 0.8])
    by_participant = read[(read.method == "zero_shot") & (read.metric == "accuracy_by_participant")]
    assert by_participant.value.tolist() == [0.5]


def test_estimates_average_draws_before_people() -> None:
    probe = [r for r in cells() if r.cell.method == "linear_probe" and r.cell.shots == 1]
    found = results.estimate(probe, "accuracy", 10_000)
    assert found.mean == pytest.approx((0.7 + 0.7 + 0.8) / 3)
    assert (found.low, found.high) == pytest.approx((0.7, 0.8))  # 1 of 27 resamples is all c: more than 2.5 %
    assert (found.participants, found.draws) == (3, 2)
    with pytest.raises(ValueError, match="no results"):
        results.estimate([], "accuracy", 10)


def test_markdown_says_what_a_reader_must_know() -> None:
    text = markdown(Report("x/default", cells(), 1000, "last.ckpt"))
    assert "| accuracy, % | k = 0 | k = 1 | k = 10 |" in text
    assert "| pretrained, linear probe |  | 73.3 [70.0, 80.0] | 73.3 [70.0, 80.0] |" in text
    assert "population parkinson; 3 test participants, 12 test windows, 2 activities, 1 folds" in text
    assert "| zero-shot, source videos | 2 | 50.0 [50.0, 50.0] | 100.0 [100.0, 100.0] | 0.750 [0.750, 0.750] |" in text
    assert "| a random order | 2 | 50.0 | 100.0 | 0.750 |" in text
    assert "| handcrafted + random forest | +10.0 [+10.0, +10.0] | +10.0 [+10.0, +10.0] |" in text
    assert "1000 bootstrap resamples of these 3" in text
    assert "still too narrow to be trusted" in text
    assert "SIMULATED" not in text


def test_rows_come_in_one_order_whatever_the_order_of_the_cells() -> None:
    forward, backward = (markdown(Report("x", found, 100)) for found in (cells(), cells()[::-1]))
    assert forward == backward
    order = ["| zero-shot", "| handcrafted", "| pretrained, linear probe"]
    assert [forward.index(row) for row in order] == sorted(forward.index(row) for row in order)


def test_simulated_data_are_said_first_and_in_each_table() -> None:
    target = frozenset({"people at home"})
    simulated = markdown(Report("x", cells(True), 100, "last.ckpt", target, pretraining_simulated=True))
    assert simulated.count("SIMULATED DATA") == 1
    assert simulated.index("SIMULATED DATA") < simulated.index("| accuracy (simulated), % |")
    tables = [line for line in simulated.splitlines() if line.startswith("| ") and "k = 1" in line]
    assert len(tables) == 4
    assert all("(simulated)" in line for line in tables)
    real = markdown(Report("x", cells(), 100, "last.ckpt", pretraining_simulated=True))
    assert "pretrained on SIMULATED DATA" in real
    assert "(pretraining simulated)" in real
    assert "NOT OUT OF DISTRIBUTION" in markdown(Report("x", cells(), 100, seen_allowed=True))


def test_two_participants_get_no_interval_and_the_table_says_so() -> None:
    found = [make("linear_probe", 1, 0, {"a": 0.5, "b": 0.75})]
    text = markdown(Report("x", found, 100))
    assert "| pretrained, linear probe | 62.5 |" in text
    assert "2 participants are too few for intervals" in text


def test_differences_are_taken_on_the_draws_that_both_did() -> None:
    found = [make("linear_probe", 1, draw, dict.fromkeys(PEOPLE, 0.9 - 0.4 * draw)) for draw in range(2)]
    found.append(make("supervised", 1, 0, dict.fromkeys(PEOPLE, 0.6)))
    assert "| supervised from scratch | +30.0 [+30.0, +30.0] |" in markdown(Report("x", found, 100))


def test_a_cell_that_could_not_be_done_leaves_its_note_and_no_number() -> None:
    def undone(result: CellResult) -> CellResult:
        return dataclasses.replace(
            result, classes=["walk"], metrics={}, by_subject={}, windows_by_subject={}, notes=["not done: one activity"]
        )

    first, *others = cells()
    text = markdown(Report("x", [undone(first), *others], 100))
    assert "- zero-shot, source videos: not done: one activity" in text
    assert "a random order" not in text
    nothing = Report("x", [undone(result) for result in cells()], 100)
    assert "- not done: one activity" in markdown(nothing)
    assert [table.row_count for table in terminal_tables(nothing)] == [0, 0]


def test_windows_are_counted_by_the_methods_that_are_tested_on_all() -> None:
    fewer = dataclasses.replace(cells()[0], windows_by_subject=dict.fromkeys(PEOPLE, 1))
    assert "12 test windows" in Report("x", [*cells()[1:], fewer], 100).caption("people at home")


def test_notes_are_said_once_and_name_a_method_that_is_alone() -> None:
    first, *others = (dataclasses.replace(r, notes=["few windows"]) for r in cells())
    alone = dataclasses.replace(first, notes=["left out: jump", "zero-shot: always missed: run"])
    notes = Report("x", [alone, *others], 100).notes("people at home")
    assert notes[1:] == [
        "zero-shot, source videos: left out: jump",
        "zero-shot: always missed: run",
        "few windows",
    ]
    assert "pretrained, linear probe: 2" in notes[0]


def test_terminal_tables_have_a_row_a_method() -> None:
    tables = terminal_tables(Report("x", cells(), 100))
    assert [table.row_count for table in tables] == [3, 3]


def test_two_draws_of_a_fold_are_one_participant_each() -> None:
    doubled = [dataclasses.replace(r) for r in cells()]
    assert results.participant_means(doubled, "accuracy").keys() == set(PEOPLE)
