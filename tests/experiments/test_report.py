"""Rows, tables and figures of a small evaluation whose numbers can be worked out by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from experiments import figures, results
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
    assert "| pretrained, linear probe |  | 0.733 [0.700, 0.800] | 0.733 [0.700, 0.800] |" in text
    assert "3 test participants, 12 test windows, 2 activities" in text
    assert "| chance | 0.500 | 1.000 | 0.750 |" in text
    assert "| handcrafted + random forest | +0.100 [+0.100, +0.100] | +0.100 [+0.100, +0.100] |" in text
    assert "1000 bootstrap resamples of these 3 participants" in text
    assert "SIMULATED" not in text
    simulated = markdown(Report("x/default", cells(simulated=True), 1000, "last.ckpt"))
    assert simulated.count("SIMULATED") == 1
    assert "| accuracy (simulated) |" in simulated
    mixed = markdown(Report("x/default", cells(), 1000, "last.ckpt", pretraining_simulated=True))
    assert "pretrained on SIMULATED" in mixed
    assert "NOT OUT OF DISTRIBUTION" in markdown(Report("x", cells(), 1000, seen_allowed=True))


def test_terminal_tables_have_a_row_a_method() -> None:
    tables = terminal_tables(Report("x", cells(), 100))
    assert [table.row_count for table in tables] == [3, 3]


def test_figures_show_every_method_and_shot(tmp_path: Path) -> None:
    report = Report("x", cells(simulated=True), 100)
    made = figures.figures(report)
    assert set(made) == {
        "few_shot_people_at_home",
        "confusion_people_at_home_linear_probe",
        "confusion_people_at_home_zero_shot",
    }
    curves = made["few_shot_people_at_home"]
    assert [t.get_text() for t in curves.axes[0].get_xticklabels()] == ["1", "10"]
    assert len(curves.legends[0].get_texts()) == 3
    assert "simulated" in curves.get_suptitle()
    matrix = made["confusion_people_at_home_linear_probe"].axes[0]
    assert [t.get_text() for t in matrix.get_yticklabels()] == ["fall", "walk"]
    shares = matrix.images[0].get_array()
    assert shares is not None
    assert shares[1].tolist() == pytest.approx([2 / 6, 4 / 6])
    for path in figures.save(made, tmp_path):
        assert path.stat().st_size > 5000


def test_two_draws_of_a_fold_are_one_participant_each() -> None:
    doubled = [dataclasses.replace(r) for r in cells()]
    assert results.participant_means(doubled, "accuracy").keys() == set(PEOPLE)
