"""Evidence in a report: refused is not missing, a control is called one, a shift is beside accuracy."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.made_results import make_results

from experiments.evaluation.ledger import Entry, Ledger, Refused, Seen
from experiments.evaluation.shift import Shift
from experiments.evaluation.shifts import ALL_FOLDS, COLUMNS, SUPPORT, ShiftRow
from experiments.reports.evaluation import Report, markdown, terminal_answer
from experiments.reports.evaluation.evidence import Evidence
from experiments.reports.evaluation.evidence_files import LEDGER, write_ledger, write_shifts
from experiments.reports.evaluation.evidence_tables import (
    episode_tables,
    ledger_tables,
    shift_tables,
    transition_tables,
)
from experiments.reports.evaluation.score_tables import score_tables

CLASSES = ("freeze", "sit", "walk")
WHY = "it was trained on tested people: fake/3"
CONTROL = "control: video shuffled over all windows"


@pytest.fixture
def report() -> Report:
    methods = ("handcrafted_logistic", "linear_probe", "linear_probe@shuffled")
    results = make_results("made", 4, CLASSES, shots=(1, 5), draws=2, methods=methods, event="freeze")
    seen = [
        Seen("", "settings", {}, development={"fake": frozenset({"1"})}),
        Seen("", "checkpoint", {"fake": frozenset({"3", "9"})}, "pretraining (4 activities)", digest="a"),
        Seen("shuffled", "checkpoint", {"fake": frozenset({"9"})}, control=CONTROL, digest="b"),
        Seen("old", "checkpoint", {}, known=False, digest="c"),
        Seen("theirs", "external", {}, known=False, digest="d"),
    ]
    entries = (
        Entry("made", 0, seen[0], (), (), ("fake/1",), ""),
        Entry("made", 0, seen[1], (), ("fake/9",), (), ""),
        Entry("made", 1, seen[1], ("fake/3",), ("fake/9",), (), WHY),
        Entry("made", 0, seen[2], (), ("fake/9",), (), ""),
        Entry("made", 0, seen[3], (), (), (), "the checkpoint does not say"),
        Entry("made", 0, seen[4], (), (), (), ""),
    )
    refused = (
        Refused("made", "linear_probe", 1, (1, 5), WHY),
        Refused("made", "linear_probe@old", 0, (1, 5), "the checkpoint does not say"),
    )
    shifts = (
        ShiftRow("made", 0, SUPPORT, Shift(0.61, 0.0123, (10, 20), (3, 2))),
        ShiftRow("made", ALL_FOLDS, "far", Shift(math.nan, math.nan, (10, 20), (1, 4))),
    )
    evidence = Evidence(Ledger(entries), refused, shifts, frozenset({"linear_probe"}))
    return Report("tests/made", results, 200, evidence=evidence)


def test_refused_cells_are_rows_and_say_so(report: Report) -> None:
    rows = {row[0]: row[1:] for row in score_tables(report, "made", "windows")[0].rows}
    assert rows["pretrained, linear probe (old); 1 fold refused"] == ("refused", "refused")
    assert "refused" not in rows["pretrained, linear probe; 1 fold refused"]
    assert rows[f"pretrained, linear probe (shuffled); {CONTROL}"][0]
    assert "handcrafted + logistic" in rows
    text = markdown(report)
    assert "| pretrained, linear probe (old); 1 fold refused | refused | refused |" in text
    line = "REFUSED on made: pretrained, linear probe; 1 fold refused, pretrained, linear probe (old); 1 fold refused."
    assert f"{line} ledger.csv says why." in [str(part) for part in terminal_answer(report)]


def test_without_evidence_tables_are_as_they_were(report: Report) -> None:
    rows = score_tables(replace(report, evidence=Evidence()), "made", "windows")[0].rows
    assert [row[0] for row in rows] == [
        "handcrafted + logistic",
        "pretrained, linear probe",
        "pretrained, linear probe (shuffled)",
    ]


def test_the_ledger_names_whom_each_encoder_saw(report: Report) -> None:
    (table,) = ledger_tables(report, "made")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["settings of the evaluation"][5] == "fake/1"
    own = rows["checkpoint"]
    assert own[:2] == ("fake (2)", "pretraining (4 activities)")
    assert own[3:5] == ("fake/3", "fake/9")
    assert own[6] == f"refused, folds 1: {WHY}"
    assert rows[f"checkpoint shuffled; {CONTROL}"][6] == "compared"
    assert rows["checkpoint old"][0] == "not said"
    assert rows["checkpoint old"][6].startswith("refused, all folds")
    assert rows["external theirs"][0] == "not said"
    assert rows["external theirs"][6] == "compared"
    assert ledger_tables(replace(report, evidence=Evidence()), "made") == []


def test_a_shift_stands_beside_the_accuracy_on_the_same_people(report: Report) -> None:
    (table,) = shift_tables(report, "made")
    assert table.columns[:3] == ("two-sample AUC", "MMD²", "people")
    first, second = table.rows
    assert first[:4] == ("the people who give labels, fold 0", "0.610", "0.0123", "3 / 2")
    assert second[:4] == ("data set far", "–", "–", "1 / 4")
    cells = [r for r in report.of("made", "handcrafted_logistic", 5) if r.cell.fold == 0]
    mean = sum(r.metrics["balanced_accuracy"] for r in cells) / len(cells)
    assert first[4] == f"{100 * mean:.1f}"
    assert shift_tables(replace(report, evidence=Evidence()), "made") == []


def test_transitions_and_episodes_have_tables_where_they_were_measured(report: Report) -> None:
    assert transition_tables(replace(report), "made") == []
    assert episode_tables(replace(report), "made", "freeze") == []
    for result in report.results:
        for values in result.by_subject.values():
            values |= {"accuracy_pure": 0.9, "accuracy_transition": 0.6, "transition_share": 0.25}
            values |= {"episodes": 2.0, "episode_sensitivity": 0.5, "episode_false_alarms_per_hour": 3.0}
            values |= {"onset_error_s": 1.5, "onset_delay_s": -1.5}
    (transitions,) = transition_tables(report, "made")
    assert transitions.columns == ("windows with a transition, %", "accuracy, pure, %", "accuracy, transition, %")
    assert [row[1] for row in transitions.rows] == ["25.0 [25.0, 25.0]"] * 3
    (episodes,) = episode_tables(report, "made", "freeze")
    assert episodes.rows[0][-1] == "-1.5 [-1.5, -1.5]"
    assert "### Episodes: freeze" in markdown(report)


def test_files_hold_every_row(report: Report, tmp_path: Path) -> None:
    with write_ledger(report.evidence, tmp_path).open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == LEDGER
    assert len(rows) == 6
    assert dict(zip(header, rows[2], strict=True))["refused"] == "True"
    with write_shifts(report.evidence, tmp_path).open(encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert rows[0] == ["made", "0", "support", "0.61", "0.0123", "10", "20", "3", "2"]
