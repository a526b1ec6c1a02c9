"""Order, warnings, notes and captions of whole reports."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from helpers.made_reports import HOME, on_screen, report
from helpers.made_results import make_results

from experiments.evaluation.cells import CellResult
from experiments.evaluation.features.embedding_map import make_embedding_map
from experiments.reports.evaluation import Report, in_order, markdown, method_title
from experiments.reports.evaluation.detail_tables import (
    cost_tables,
)
from experiments.reports.evaluation.sections import sections_of
from experiments.reports.evaluation.titles import headline_shots
from experiments.reports.evaluation.verdicts import verdicts_of
from experiments.statistics.groups import Key


def test_all_methods_have_titles_in_their_order() -> None:
    listed = ["finetune_tuned", "mine", "knn", "zero_shot_text", "linear_probe@b", "linear_probe", "majority"]
    assert in_order(listed) == [
        "majority",
        "zero_shot_text",
        "knn",
        "linear_probe",
        "linear_probe@b",
        "finetune_tuned",
        "mine",
    ]
    assert method_title("zero_shot_target@b") == "zero-shot, target videos (b)"
    assert method_title("my_own") == "my own"


def test_the_answer_comes_first_then_the_planned_comparisons_then_everything_else() -> None:
    assert headline_shots([0, 1, 5, 20, 100]) == [5, 100]  # of two that are as near, the fewer
    assert headline_shots([1, 5, 10, 20]) == [10, 20]
    assert headline_shots([3]) == [3]
    assert headline_shots([0]) == []
    made = report(people=12, shots=(1, 10, 50))
    text = markdown(made, ["figures/answer_people_at_home.png"])
    parts = (
        f"**{HOME}**: On people it never saw, the pretrained encoder",
        f"| {HOME}: balanced accuracy, % |",
        "![curve of the answer](figures/answer_people_at_home.png)",
        "## Planned comparisons",
        f"## {HOME}",
    )
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    (verdicts,) = verdicts_of(made)
    assert len(verdicts.planned) == 1 + 3 * 3
    for planned in verdicts.planned:
        assert f"- {planned.sentence.replace('<', '&lt;')}" in text
    assert f"best of 1 baseline without labels on {HOME}" in text


def test_warnings_and_flags_are_impossible_to_miss() -> None:
    made = dataclasses.replace(
        report(),
        simulated_targets=frozenset({HOME}),
        seen_allowed=True,
        audit={HOME: ["2 windows are in both p1 and p2."]},
        remarks=["left out: zero_shot (no videos)"],
    )
    text = markdown(made)
    first_number = text.index("| majority |")
    for line in ("SIMULATED DATA", "NOT OUT OF DISTRIBUTION", "AUDIT: 2 windows are in both", "left out: zero_shot"):
        assert text.index(line) < first_number
    lines = text.splitlines()
    headers = [line for line, below in pairwise(lines) if below.startswith("| --- |")]
    assert len(headers) > 8
    assert all("(simulated, seen subjects allowed, see the audit)" in line for line in headers)
    pretraining = dataclasses.replace(report(), pretraining_simulated=True)
    assert "pretrained on SIMULATED DATA" in markdown(pretraining)
    assert pretraining.flags(HOME) == " (pretraining simulated)"
    assert report().flags(HOME) == ""
    assert "SIMULATED" not in markdown(report())


def test_names_from_data_cannot_break_the_tables() -> None:
    bad = "a | b <script>alert(1)</script>"
    text = markdown(Report("x", make_results(bad, 3, ["x|y", "<b>", "z"], shots=(1,), draws=1), 100))
    assert "<script" not in text
    assert "<b>" not in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]
    for lines in tables:
        assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1, lines[0]


def test_cells_that_could_not_be_done_leave_their_note_and_no_number() -> None:
    def undone(result: CellResult) -> CellResult:
        return dataclasses.replace(
            result,
            metrics={},
            by_subject={},
            windows_by_subject={},
            hours_by_subject={},
            confusion_by_subject={},
            notes=["not done: one activity"],
        )

    all_cells = report(perturbations=["rotation=90"], event="fall").results
    some = [undone(c) if c.cell.method == "zero_shot" else c for c in all_cells]
    text = markdown(Report("x", some, 100))
    assert "- zero-shot, source videos: not done: one activity" in text
    assert "a random order" not in text
    nothing = Report("x", [undone(c) for c in all_cells], 100)
    assert "- not done: one activity" in markdown(nothing)
    assert "Nothing could be evaluated; the notes of this target say why." in on_screen(nothing)


def test_the_order_of_the_cells_does_not_matter() -> None:
    cells = report(perturbations=["noise=1", "rotation=90"], subject_shots=(1,)).results
    forward, backward = (markdown(Report("x", found, 100)) for found in (cells, cells[::-1]))
    assert sorted(forward.splitlines()) == sorted(backward.splitlines())
    assert [row for row in forward.splitlines() if row.startswith("|")] == [
        row for row in backward.splitlines() if row.startswith("|")
    ]


def test_cells_are_looked_up_by_what_is_asked_for() -> None:
    made = report(perturbations=["noise=1"], subject_shots=(1,))
    assert len(made.of(HOME, "linear_probe", 10)) == 8 * 2
    assert len(made.of(HOME, "linear_probe", 1, "subjects")) == 8 * 2
    assert len(made.of(HOME, "linear_probe")) == 8 * 2 * 3
    assert {r.cell.perturbation for r in made.of(HOME)} == {""}
    assert made.of(HOME, "nobody") == []
    assert made.shots(HOME) == [0, 1, 10]
    assert made.estimate(HOME, "accuracy", Key("linear_probe", "windows", 99, "")) is None


def test_caption_counts_windows_by_the_methods_that_are_tested_on_all() -> None:
    made = report(people=3)
    assert made.caption(HOME) == "population healthy; 3 test subjects, 48 test windows, 3 activities, 3 folds"
    fewer = [
        dataclasses.replace(c, windows_by_subject=dict.fromkeys(c.by_subject, 1)) if c.cell.method == "zero_shot" else c
        for c in made.results
    ]
    assert "48 test windows" in Report("x", fewer, 100).caption(HOME)


def test_notes_are_said_once_and_name_a_contender_that_is_alone() -> None:
    cells = [dataclasses.replace(c, notes=["few windows"]) for c in report().results]
    cells[-1] = dataclasses.replace(cells[-1], notes=["left out: jump"])
    notes = Report("x", cells, 100).notes(HOME)
    assert notes.count("few windows") == 1
    assert "pretrained, fine-tuned: left out: jump" in notes
    assert "pretrained, linear probe: 2" in notes[0]


def test_a_map_is_described_in_words() -> None:
    labels = ["sit", "walk"] * 20
    features = [[float(i % 2), 0.01 * i] for i in range(40)]
    found = make_embedding_map(np.array(features), labels, ["p1"] * 40, ["watch"] * 40)
    made = dataclasses.replace(report(), maps={HOME: found})
    section = next(s for s in sections_of(made, HOME) if s.kind == "map")
    assert "activity 100 % (by chance 49 %)" in section.text


def test_the_terminal_shows_the_answer_first_then_a_small_table_and_each_warning_once() -> None:
    warned = ["1 window is there twice."]
    made = dataclasses.replace(
        report(subject_shots=(1,)), seen_allowed=True, audit={HOME: warned}, remarks=["left out: [b]zero_shot[/b]"]
    )
    text = on_screen(made)
    assert text.startswith(f"{HOME} (seen subjects allowed, see the audit): On people of whom it may have seen some")
    lines = text.splitlines()
    assert sum("NOT OUT OF DISTRIBUTION" in line for line in lines) == 1
    assert sum(warned[0] in line for line in lines) == 1
    assert text.index("certain?") < text.index("NOT OUT OF DISTRIBUTION") < text.index("left out: [b]zero_shot[/b]")
    assert len(lines) < 24


def test_who_did_one_thing_only_is_said_beside_balanced_accuracy() -> None:
    made = report(people=3)
    assert "a single activity" not in made.reading(HOME)
    alone = []
    for result in made.results:  # p2 keeps windows of one activity
        row = result.confusion_by_subject.get("p2")
        kept = [counts if i == 1 else [0] * len(counts) for i, counts in enumerate(row)] if row else None
        confusion = {**result.confusion_by_subject, **({"p2": kept} if kept else {})}
        alone.append(dataclasses.replace(result, confusion_by_subject=confusion))
    said = Report("x", alone, 100).reading(HOME)
    assert "p2 did a single activity each: there, balanced accuracy is the activity's recall" in said
    made = report(people=3)
    assert cost_tables(made, HOME)
    walk = made.results[0].classes.index("walk")
    for position, result in enumerate(alone):  # everybody walks, nobody does anything else
        only = {
            subject: [counts if i == walk else [0] * len(counts) for i, counts in enumerate(matrix)]
            for subject, matrix in result.confusion_by_subject.items()
        }
        alone[position] = dataclasses.replace(result, confusion_by_subject=only)
    everyone = Report("x", [r for r in alone if r.cell.method != "majority"], 100)
    assert cost_tables(Report("x", alone, 100), HOME) == []  # a majority has all or nothing
    assert (
        "The only tested activity is walk: balanced accuracy is the recognised share of its windows"
        in everyone.reading(HOME)
    )
    assert cost_tables(everyone, HOME) == []  # there is no chance level to be above


@pytest.mark.parametrize(("people", "said"), [(1, "1 subject is too few"), (2, "2 subjects are too few")])
def test_one_tested_activity_is_said_of_too_few_people_for_intervals_as_well(people: int, said: str) -> None:
    walking = []
    for result in report(people=people).results:
        row = result.classes.index("walk")
        only = {
            subject: [counts if i == row else [0] * len(counts) for i, counts in enumerate(matrix)]
            for subject, matrix in result.confusion_by_subject.items()
        }
        walking.append(dataclasses.replace(result, confusion_by_subject=only))
    reading = Report("x", walking, 100).reading(HOME)
    assert f"{said} for intervals" in reading
    assert "The only tested activity is walk" in reading
