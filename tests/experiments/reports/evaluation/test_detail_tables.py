"""Tables of ranking, events, recall, robustness and cost."""

from __future__ import annotations

from helpers.made_reports import HOME, cells_of, report

from experiments.reports.evaluation import Report
from experiments.reports.evaluation.detail_tables import (
    cost_tables,
    event_tables,
    ranking_tables,
    recall_tables,
    robustness_tables,
)
from experiments.reports.evaluation.sections import sections_of
from experiments.statistics.results import subject_means


def test_ranking_tells_the_pool_and_chance() -> None:
    (table,) = ranking_tables(report(), HOME)
    assert table.columns == ("activities", "recall@1, %", "recall@3, %", "recall@5, %", "MRR")
    chance = cells_of(table, "a random order")
    assert chance == {
        "activities": "3",
        "recall@1, %": "33.3",
        "recall@3, %": "100.0",
        "recall@5, %": "100.0",
        "MRR": "0.200",
    }
    assert ranking_tables(report(methods=("majority", "linear_probe")), HOME) == []


def test_events_are_told_where_the_target_has_one_and_for_whom_it_is_defined() -> None:
    made = report(event="fall")
    tables = event_tables(made, HOME, "fall")
    assert [t.title for t in tables] == ["fall: AUROC", "fall: AUPRC", "fall: detection"]
    assert tables[0].note.startswith("Over 7 of the 8 subjects")  # p1 never fell
    detection = cells_of(tables[2], "pretrained, linear probe, k = 10")
    assert set(detection) >= {"AUROC", "AUPRC", "AUPRC by chance", "sensitivity, %", "false alarms per hour"}
    assert detection["AUPRC by chance"] == "0.333 [0.333, 0.333]"
    assert "Rare event: fall" in [s.title for s in sections_of(made, HOME)]
    assert "event" not in [s.kind for s in sections_of(report(), HOME)]


def test_recall_by_activity_counts_those_who_did_it() -> None:
    (table,) = recall_tables(report(), HOME)
    assert [(row[0], row[1]) for row in table.rows] == [("fall", "7"), ("sit", "8"), ("walk", "8")]
    assert "pretrained, linear probe, k = 10" in table.columns
    assert not any("majority" in column for column in table.columns)


def test_robustness_compares_with_the_same_models_on_windows_as_they_are() -> None:
    made = report(draws=4, perturbations=["rotation=90", "rotation=180"])  # perturbations for two of the four draws
    (table,) = robustness_tables(made, HOME)
    assert table.columns == ("0", "90", "180")
    cells = [c for c in made.of(HOME, "linear_probe", 10) if c.cell.draw < 2]
    means = subject_means(cells, "balanced_accuracy")
    clean = cells_of(table, "pretrained, linear probe, k = 10")["0"]
    assert clean.startswith(f"{100 * sum(means.values()) / 8:.1f} [")
    assert robustness_tables(report(), HOME) == []


def test_cost_is_told_for_each_contender_and_number_of_shots() -> None:
    (table,) = cost_tables(report(), HOME)
    rows = [(row[0], row[1]) for row in table.rows]
    assert ("pretrained, linear probe", "k = 1") in rows
    assert ("pretrained, linear probe", "k = 10") in rows
    assert "majority" not in [name for name, _ in rows]
    assert "the majority's" in table.note
    without = Report("x", [c for c in report().results if c.cell.method != "majority"], 100)
    assert "one over the number of activities" in cost_tables(without, HOME)[0].note
