"""Tables and sentences of evaluations that were made up."""

from __future__ import annotations

import dataclasses
import io
from itertools import pairwise

import numpy as np
import pytest
from helpers.made_results import METHODS, make_results
from rich.console import Console

from experiments.evaluation.cells import CellResult
from experiments.evaluation.features.embedding_map import make_embedding_map
from experiments.reports.evaluation import METRICS, Report, in_order, markdown, method_title, terminal_answer
from experiments.reports.evaluation.detail_tables import (
    cost_tables,
    event_tables,
    ranking_tables,
    recall_tables,
    robustness_tables,
)
from experiments.reports.evaluation.score_tables import difference_tables, score_tables
from experiments.reports.evaluation.sections import sections_of
from experiments.reports.evaluation.titles import headline_shots
from experiments.reports.evaluation.verdicts import verdicts_of
from experiments.reports.shared.table import Table
from experiments.statistics.claims import sentence_of
from experiments.statistics.groups import Key
from experiments.statistics.intervals import worst_third
from experiments.statistics.results import subject_means

HOME = "people at home"
ACTIVITIES = ("fall", "sit", "walk")


def report(people: int = 8, **asked: object) -> Report:
    """Two numbers of shots and two draws."""
    options: dict[str, object] = {"shots": (1, 10), "draws": 2, **asked}
    return Report("x/default", make_results(HOME, people, ACTIVITIES, **options), 500)  # type: ignore[arg-type]


def with_accuracy(result: CellResult, value: float) -> CellResult:
    """All of a cell's scores have this value."""
    metrics = dict.fromkeys(METRICS, value)
    return dataclasses.replace(result, metrics=metrics, by_subject=dict.fromkeys(result.by_subject, metrics))


def cells_of(table: Table, row: str) -> dict[str, str]:
    """Column -> text of a row."""
    found = next(r for r in table.rows if r[0] == row)
    return dict(zip(table.columns, found[1:], strict=True))


def test_a_score_table_has_a_row_a_contender_and_a_column_a_number_of_shots() -> None:
    made = report()
    tables = score_tables(made, HOME, "windows")
    assert [t.title for t in tables] == [
        "balanced accuracy, %",
        "macro-F1, %",
        "accuracy, %",
        "balanced accuracy of the worst third of subjects, %",
        "calibration error, %",
    ]
    for table in tables:
        assert table.columns == ("k = 0", "k = 1", "k = 10")
        assert [row[0] for row in table.rows] == [method_title(m) for m in in_order(METHODS)]
    probe = cells_of(tables[0], "pretrained, linear probe")
    means = subject_means(made.of(HOME, "linear_probe", 10), "balanced_accuracy")
    assert probe["k = 10"].startswith(f"{100 * sum(means.values()) / 8:.1f} [")
    assert probe["k = 0"] == ""
    lowest = worst_third(np.array(list(means.values())))
    assert cells_of(tables[3], "pretrained, linear probe")["k = 10"] == f"{100 * lowest:.1f}"
    assert "the 3 subjects" in tables[3].note


def test_conditions_stay_out_of_scores() -> None:
    plain, changed = report(), report(perturbations=["rotation=90", "noise=1"])
    assert score_tables(plain, HOME, "windows") == score_tables(changed, HOME, "windows")
    assert difference_tables(plain, HOME, "windows") == difference_tables(changed, HOME, "windows")


def test_whole_subjects_have_tables_of_their_own() -> None:
    made = report(subject_shots=(1, 2))
    assert score_tables(made, HOME, "windows") == score_tables(report(), HOME, "windows")
    table = score_tables(made, HOME, "subjects")[0]
    assert table.columns == ("k = 0", "1 subject", "2 subjects")  # methods without labels belong to both
    assert [s.kind for s in sections_of(made, HOME)][:2] == ["few_shot", "few_shot_subjects"]
    assert "few_shot_subjects" not in [s.kind for s in sections_of(report(), HOME)]


def test_systems_are_contenders_of_their_own() -> None:
    made = report(methods=("linear_probe", "linear_probe@imu_only", "majority"))
    rows = [row[0] for row in score_tables(made, HOME, "windows")[0].rows]
    assert rows == ["majority", "pretrained, linear probe", "pretrained, linear probe (imu_only)"]
    against = {(pair.first, pair.second) for pair in made.pairs}
    assert against == {
        ("linear_probe", "majority"),
        ("linear_probe@imu_only", "majority"),
        ("linear_probe", "linear_probe@imu_only"),
    }
    assert {(c.first, c.second) for c in made.between_systems} == {("linear_probe", "linear_probe@imu_only")}


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


def test_each_pretrained_method_is_compared_with_the_best_baseline_and_only_these_are_corrected() -> None:
    made = report()
    planned = [(p.first, p.seconds, p.claim.shots) for p in made.planned]
    baselines = ("handcrafted_rf", "supervised")
    assert planned == [
        ("zero_shot", ("majority",), 0),
        *((first, baselines, k) for k in (1, 10) for first in ("knn", "linear_probe", "finetune")),
    ]
    claims = [claim for p in made.planned for claim in p.verdict.claims]
    assert {claim.difference.comparisons for claim in claims} == {len(planned)}
    assert all(claim.difference.adjusted_p >= claim.difference.p for claim in claims)
    for p in made.planned:
        assert p.claim is p.verdict.closest
        assert p.means[0] - p.means[1] == pytest.approx(p.claim.difference.mean, abs=1e-12)  # rounding alone


def test_every_pair_is_listed_once_at_each_number_of_shots_and_decides_nothing() -> None:
    made = report()
    pairs = [(pair.first, pair.second, pair.shots) for pair in made.pairs]
    assert len(set(pairs)) == len(pairs) == 2 * (7 + 6)
    assert ("linear_probe", "finetune", 1) in pairs
    assert ("finetune", "linear_probe", 1) not in pairs
    assert {pair.difference.comparisons for pair in made.pairs} == {1}
    tables = difference_tables(made, HOME, "windows")
    assert not any("*" in text for table in tables for row in table.rows for text in row)
    assert all("decide nothing" in table.note for table in tables)


def test_differences_are_taken_on_the_draws_that_both_did() -> None:
    cells = report(methods=("linear_probe", "supervised"), shots=(1,)).results
    probe = [with_accuracy(c, 0.9 - 0.4 * c.cell.draw) for c in cells if c.cell.method == "linear_probe"]
    scratch = [with_accuracy(c, 0.6) for c in cells if c.cell.method == "supervised" and c.cell.draw == 0]
    (planned,) = Report("x", probe + scratch, 100).planned
    assert planned.claim.difference.mean == pytest.approx(0.3)
    (pair,) = Report("x", probe + scratch, 100).pairs
    assert pair.difference.mean == pytest.approx(0.3)
    without_labels = [
        with_accuracy(c, 0.6) for c in make_results(HOME, 8, ACTIVITIES, methods=("zero_shot",)) if c.cell.draw == 0
    ]
    (pair,) = Report("x", probe + without_labels, 100).pairs
    assert pair.difference.mean == pytest.approx(0.1)  # of both draws


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


def test_too_few_people_decide_nothing_and_are_told_so() -> None:
    (verdicts,) = verdicts_of(report(people=4))
    assert {p.outcome for p in verdicts.planned} == {"too_few"}
    assert all("has too few subjects" in p.sentence for p in verdicts.planned)


def test_the_correction_is_the_one_asked_for_and_named() -> None:
    holm = report(people=8)
    other = dataclasses.replace(holm, correction="westfall_young")
    # Of 7 planned comparisons of 8 people, whose smallest p is 1/128, Holm's can show nothing.
    assert len(holm.planned) == 7
    assert {p.outcome for p in holm.planned} <= {"open", "too_few"}
    assert "better" in {p.outcome for p in other.planned}
    for made, name in ((holm, "Holm's correction"), (other, "Westfall and Young's correction")):
        assert name in markdown(made)


def test_no_pretrained_contender_no_claims() -> None:
    made = report(methods=("majority", "handcrafted_rf"))
    assert verdicts_of(made) == []
    assert "Planned comparisons" not in markdown(made)
    assert difference_tables(made, HOME, "windows") == []


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


def test_simulated_claims_say_so() -> None:
    pretraining = report(people=10, simulated=True)
    target = dataclasses.replace(pretraining, simulated_targets=frozenset({HOME}))
    for made, said in ((pretraining, "pretrained on simulated data"), (target, "simulated data")):
        (verdicts,) = verdicts_of(made)
        assert all(p.sentence.startswith(f"{said.capitalize()}: ") for p in verdicts.planned)


def test_names_from_data_cannot_break_the_tables() -> None:
    bad = "a | b <script>alert(1)</script>"
    text = markdown(Report("x", make_results(bad, 3, ["x|y", "<b>", "z"], shots=(1,), draws=1), 100))
    assert "<script" not in text
    assert "<b>" not in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("| ")]
    for lines in tables:
        assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1, lines[0]


def test_two_subjects_get_no_interval_and_the_text_says_so() -> None:
    made = report(people=2)
    assert "2 subjects are too few for intervals" in made.reading(HOME)
    table = score_tables(made, HOME, "windows")[0]
    assert not any("[" in text for row in table.rows for text in row)


def test_intervals_of_shares_end_at_0_and_100() -> None:
    made = report(people=3, methods=("linear_probe",), shots=(1,), draws=1)
    values = [0.9, 0.95, 1.0]
    cells = [with_accuracy(c, v) for c, v in zip(made.results, values, strict=True)]
    (row,) = score_tables(Report("x", cells, 100), HOME, "windows")[0].rows
    assert row[1] == "95.0 [82.6, 100.0]"  # Student's interval goes to 107.4


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


def on_screen(made: Report) -> str:
    """What the terminal shows, each line as wide as it likes."""
    out = Console(file=io.StringIO(), width=400)
    for part in terminal_answer(made):
        out.print(part, highlight=False)
    return out.file.getvalue()  # type: ignore[attr-defined]


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


def one_fold(made: Report) -> Report:
    """The same people, tested at once: all with the same draws."""
    cells = [dataclasses.replace(r, cell=dataclasses.replace(r.cell, fold=0)) for r in made.results]
    return Report(made.title, cells, made.resamples)


def test_how_much_hangs_on_the_draw_is_told_where_all_people_share_it() -> None:
    apart = report(draws=4)
    assert not [t for t in score_tables(apart, HOME, "windows") if "from draw to draw" in t.title]
    assert {p.claim.over_draws for p in apart.planned} == {None}
    together = one_fold(apart)
    (table,) = (t for t in score_tables(together, HOME, "windows") if "from draw to draw" in t.title)
    text = cells_of(table, "pretrained, linear probe")["k = 10"]
    cells = together.of(HOME, "linear_probe", 10)
    of_draws = [
        100 * np.mean(list(subject_means([r for r in cells if r.cell.draw == draw], "balanced_accuracy").values()))
        for draw in range(4)
    ]
    assert text == f"{min(of_draws):.1f} to {max(of_draws):.1f}"
    assert "majority" not in {row[0] for row in table.rows}  # it has one draw


def test_a_gain_in_some_draws_alone_is_not_shown_however_many_people_it_was_for() -> None:
    """The probe is 0.5 better for each of twelve people in two draws of four, and 0.1 worse in the others."""
    made = one_fold(report(people=12, draws=4, methods=("handcrafted_rf", "linear_probe")))
    gain = {0: 0.5, 1: 0.5, 2: -0.1, 3: -0.1}
    lucky = [with_accuracy(r, 0.4 + gain[r.cell.draw] * (r.cell.method == "linear_probe")) for r in made.results]
    (at_ten,) = (p for p in Report("x", lucky, 500).planned if p.claim.shots == 10)
    assert at_ten.claim.difference.adjusted_p < 0.05
    assert at_ten.claim.difference.low > 0
    assert at_ten.outcome == "open"
    assert at_ten.verdict.depends_on_draws
    assert "depends on the draw of labels" in sentence_of(at_ten.claim)
    always = [with_accuracy(r, 0.4 + 0.2 * (r.cell.method == "linear_probe")) for r in made.results]
    (at_ten,) = (p for p in Report("x", always, 500).planned if p.claim.shots == 10)
    assert at_ten.outcome == "better"


def test_a_gain_in_so_few_draws_that_they_have_no_interval_is_not_shown() -> None:
    made = one_fold(report(people=12, draws=2, methods=("handcrafted_rf", "linear_probe")))
    always = [with_accuracy(r, 0.4 + 0.2 * (r.cell.method == "linear_probe")) for r in made.results]
    (at_ten,) = (p for p in Report("x", always, 500).planned if p.claim.shots == 10)
    assert at_ten.claim.difference.adjusted_p < 0.05
    assert at_ten.outcome == "open"
    assert "too few draws for an interval" in sentence_of(at_ten.claim)


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
