"""The first screen's sentences, in every case that an evaluation can have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
from helpers.made_results import make_results

from experiments.evaluation.cells import CellResult
from experiments.reports.evaluation import METRICS, Report
from experiments.reports.evaluation.answer import answer_table, answers_of
from experiments.reports.evaluation.sentences import Facts, answer_sentence

HOME = "home"
ACTIVITIES = ("fall", "sit", "walk")
WIGGLE = 0.004  # from person to person, so that no interval is without width


def scored(
    scores: Mapping[str, float],
    people: int = 12,
    shots: tuple[int, ...] = (1, 4, 10),
    draws: int = 3,
    event: str = "",
    apart: float = WIGGLE,
    **asked: object,
) -> list[CellResult]:
    """Cells in which each contender has its score for everybody, but for a wiggle from person to person."""
    cells = make_results(HOME, people, ACTIVITIES, shots or (1,), draws, [*scores], event=event, **asked)  # type: ignore[arg-type]
    cells = [cell for cell in cells if shots or cell.cell.shots_unit == "subjects"]
    steps = [fold % 3 - 1 for fold in range(people)]
    found = []
    for cell in cells:
        first = cell.cell.contender.startswith(("linear_probe", "zero_shot", "hybrid"))
        value = scores[cell.cell.contender] + apart * (steps[cell.cell.fold] - sum(steps) / people) * first
        metrics = dict.fromkeys([*METRICS, *(["auroc"] if event else [])], value)
        by_subject = dict.fromkeys(cell.by_subject, metrics)
        found.append(dataclasses.replace(cell, metrics=metrics, by_subject=by_subject))
    return found


def sentence(cells: list[CellResult], **flags: object) -> str:
    (answer,) = answers_of(Report("x", cells, 500, **flags))  # type: ignore[arg-type]
    return answer.sentence


PROBE, FOREST, LOGISTIC = "linear_probe", "handcrafted_rf", "handcrafted_logistic"
TWO = {PROBE: 0.756, FOREST: 0.6, LOGISTIC: 0.695}
START = "On people it never saw, the pretrained encoder (linear probe) recognises 75.6 % with 4 labelled windows an"
BEST = "the best simple method (handcrafted + logistic)"


@pytest.mark.parametrize(
    ("scores", "options", "expected"),
    [
        (TWO, {}, f"{START} activity; {BEST} 69.5 %; with twelve people it is certain that pretraining is ahead."),
        (TWO, {"people": 4}, f"{START} activity; {BEST} 69.5 %; with four people that is not certain."),
        (TWO, {"apart": 0.4}, f"{START} activity; {BEST} 69.5 %; with twelve people that is not certain."),
        (
            {**TWO, LOGISTIC: 0.83},
            {"people": 13},
            f"{START} activity; {BEST} 83.0 %; with 13 people it is certain that pretraining is behind.",
        ),
        (
            {**TWO, LOGISTIC: 0.83},
            {"people": 5},
            f"{START} activity; {BEST} 83.0 %; with five people that is not certain.",
        ),
        (
            {**TWO, LOGISTIC: 0.756},
            {"apart": 0.0},
            f"{START} activity; {BEST} 75.6 %; for each of the twelve people they are equal.",
        ),
        (
            TWO,
            {"people": 1, "apart": 0.0},
            f"{START} activity; {BEST} 69.5 %; one person says nothing certain about others.",
        ),
        (
            {PROBE: 0.756, FOREST: 0.6},
            {"shots": (1,)},
            "On people it never saw, the pretrained encoder (linear probe) recognises 75.6 % with 1 labelled window an"
            " activity; the one simple method (handcrafted + random forest) 60.0 %; with twelve people it is certain"
            " that pretraining is ahead.",
        ),
        (
            {PROBE: 0.756, FOREST: 0.6, "supervised": 0.7},
            {},
            f"{START} activity; the best baseline (supervised from scratch) 70.0 %; with twelve people it is certain"
            " that pretraining is ahead.",
        ),
        (  # controls and adapted controls are neither the answer nor the baseline; one that is no worse is said
            {**TWO, "random_frozen": 0.9, "hybrid_random": 0.95, "majority": 0.2, "linear_probe+person_other": 0.99},
            {},
            f"{START} activity; {BEST} 69.5 %; with twelve people it is certain that pretraining is ahead. An encoder"
            " with random weights does no worse: 90.0 %.",
        ),
        (  # a control that is worse, or knows more than the answer, is not
            {**TWO, "random_frozen": 0.7, "random_frozen+person": 0.9},
            {},
            f"{START} activity; {BEST} 69.5 %; with twelve people it is certain that pretraining is ahead.",
        ),
        (  # who knows more is not compared with who knows less, and is not the headline
            {**TWO, "hybrid_logistic+person": 0.9, "handcrafted_logistic+person": 0.8},
            {},
            f"{START} activity; {BEST} 69.5 %; with twelve people it is certain that pretraining is ahead.",
        ),
        (
            {"linear_probe+person": 0.756, "handcrafted_logistic+person": 0.695},
            {},
            "On people it never saw, the pretrained encoder (linear probe, with the person's unlabelled windows)"
            " recognises 75.6 % with 4 labelled windows an activity; the one simple method (handcrafted + logistic)"
            " 69.5 %; with twelve people it is certain that pretraining is ahead.",
        ),
        (
            {"linear_probe+person": 0.756, LOGISTIC: 0.695},
            {},
            "On people it never saw, the pretrained encoder (linear probe, with the person's unlabelled windows)"
            " recognises 75.6 % with 4 labelled windows an activity; no simple method was evaluated that knows as much,"
            " so what pretraining gains stays open.",
        ),
        (
            {PROBE: 0.756, "random_frozen": 0.5, "majority": 0.1},
            {},
            f"{START} activity; no simple method was evaluated beside it, so what pretraining gains stays open.",
        ),
        (
            {FOREST: 0.6, LOGISTIC: 0.695, "majority": 0.2},
            {},
            "On people who gave no labels, the best method without pretraining (handcrafted + logistic) recognises"
            " 69.5 % with 4 labelled windows an activity; no pretrained encoder was evaluated.",
        ),
        (
            {FOREST: 0.6},
            {},
            "On people who gave no labels, the one method without pretraining (handcrafted + random forest) recognises"
            " 60.0 % with 4 labelled windows an activity; no pretrained encoder was evaluated.",
        ),
        (
            {"majority": 0.2},
            {},
            "On people who gave no labels, majority recognises 20.0 % without labels; only controls were evaluated,"
            " which say nothing about pretraining.",
        ),
        (
            {"zero_shot": 0.684, "majority": 0.111},
            {},
            "On people it never saw, the pretrained encoder (zero-shot, source videos) recognises 68.4 % without"
            " labels; the most frequent activity as every answer 11.1 %; with twelve people it is certain that"
            " pretraining is ahead.",
        ),
        (
            {"zero_shot": 0.684, **TWO, "majority": 0.111},
            {},
            f"{START} activity; {BEST} 69.5 %; with twelve people it is certain that pretraining is ahead.",
        ),
        (
            {"zero_shot": 0.684},
            {},
            "On people it never saw, the pretrained encoder (zero-shot, source videos) recognises 68.4 % without"
            " labels; no simple method was evaluated beside it, so what pretraining gains stays open.",
        ),
        (
            TWO,
            {"shots": (), "subject_shots": (1, 2)},
            "On people it never saw, the pretrained encoder (linear probe) recognises 75.6 % with all windows of two"
            f" people labelled; {BEST} 69.5 %; with twelve people it is certain that pretraining is ahead.",
        ),
        (
            TWO,
            {"event": "fall"},
            "On people it never saw, the pretrained encoder (linear probe) tells fall from all else with an AUROC of"
            f" 0.756 with 4 labelled windows an activity; {BEST} 0.695; with twelve people it is certain that"
            " pretraining is ahead.",
        ),
    ],
)
def test_a_target_has_one_sentence(scores: dict[str, float], options: dict[str, object], expected: str) -> None:
    assert sentence(scored(scores, **options)) == expected  # type: ignore[arg-type]


def test_what_was_not_out_of_distribution_or_simulated_is_in_the_sentence() -> None:
    cells = scored(TWO)
    assert sentence(cells, simulated_targets=frozenset({HOME})).startswith("On simulated people it never saw, the")
    assert sentence(cells, seen_allowed=True).startswith("On people of whom it may have seen some in pretraining, the")
    assert sentence(cells, pretraining_simulated=True).startswith(
        "On people it never saw, the encoder pretrained on simulated people (linear probe) recognises"
    )


def test_a_result_that_hangs_on_the_draw_of_labels_says_so() -> None:
    """All people share one fold's draws; the probe is better in half of the draws alone."""
    found = []
    for cell in scored(TWO, draws=4):
        value = 0.6 + {0: 0.5, 1: 0.5, 2: -0.1, 3: -0.1}[cell.cell.draw] * 0.3 * (cell.cell.method == PROBE)
        metrics = dict.fromkeys(METRICS, value)
        place = dataclasses.replace(cell.cell, fold=0)
        found.append(
            dataclasses.replace(cell, cell=place, metrics=metrics, by_subject=dict.fromkeys(cell.by_subject, metrics))
        )
    assert sentence(found).endswith("; that depends on which windows are labelled, so it is not certain.")


def test_the_only_activity_is_named() -> None:
    found = []
    for cell in scored(TWO):
        row = cell.classes.index("walk")
        alone = {
            subject: [counts if i == row else [0] * len(counts) for i, counts in enumerate(matrix)]
            for subject, matrix in cell.confusion_by_subject.items()
        }
        found.append(dataclasses.replace(cell, confusion_by_subject=alone))
    assert "recognises 75.6 % of the windows of walk, the only activity tested, with 4 labelled" in sentence(found)


def test_systems_have_a_sentence_each_and_are_compared_with_each_other() -> None:
    report = Report("x", scored({"linear_probe@paper": 0.8, "linear_probe@ours": 0.7, LOGISTIC: 0.75}), 500)
    answers = answers_of(report)
    assert [answer.system for answer in answers] == ["paper", "ours"]  # as they were named, not by the alphabet
    assert answers[0].sentence.startswith("On people it never saw, 'paper' (linear probe) recognises 80.0 % with 4")
    assert [answer.standing for answer in answers] == ["ahead", "behind"]
    assert {(c.first, c.second, c.outcome) for c in report.between_systems} == {
        ("linear_probe@paper", "linear_probe@ours", "better")
    }
    table = answer_table(report)
    assert table is not None
    assert table.rows_are == "system"
    assert [(row[0], row[-1]) for row in table.rows] == [("paper", "yes, ahead"), ("ours", "yes, behind")]
    # A single named system is no comparison of systems.
    (alone,) = answers_of(Report("x", scored({"linear_probe@ours": 0.7, LOGISTIC: 0.75}), 500))
    assert alone.sentence.startswith("On people it never saw, the pretrained encoder (linear probe) recognises 70.0 %")


def test_a_method_of_ones_own_counts_as_pretrained_if_it_has_a_checkpoint() -> None:
    cells = scored({"mine": 0.7, LOGISTIC: 0.6})
    assert "no pretrained encoder was evaluated" in sentence(cells)
    with_checkpoint = [
        dataclasses.replace(c, cell=dataclasses.replace(c.cell, checkpoint="abc")) if c.cell.method == "mine" else c
        for c in cells
    ]
    assert "the pretrained encoder (mine) recognises 70.0 %" in sentence(with_checkpoint)


def test_targets_have_a_row_each_and_one_target_a_row_for_each_number_of_labels() -> None:
    one = scored({**TWO, "zero_shot": 0.5, "majority": 0.1})
    table = answer_table(Report("x", one, 500))
    assert table is not None
    assert [row[0] for row in table.rows] == ["none", "1 an activity", "4 an activity", "10 an activity"]
    assert table.rows[2][1:3] == ("75.6 (linear probe)", "69.5 (logistic)")
    assert table.rows[2][3].startswith("+6.1 [+")
    other = [dataclasses.replace(c, cell=dataclasses.replace(c.cell, dataset="ward")) for c in one]
    table = answer_table(Report("x", [*one, *other], 500, simulated_targets=frozenset({"ward"})))
    assert table is not None
    assert [row[:2] for row in table.rows] == [(HOME, "4 an activity"), ("ward (simulated)", "4 an activity")]
    assert "the difference is in points, in brackets" in table.note
    assert answer_table(Report("x", scored({FOREST: 0.6}), 500)) is None
    table = answer_table(Report("x", scored(TWO, event="fall"), 500))
    assert table is not None
    assert table.rows[1][3].startswith("+0.061 [+0.0")
    assert "the difference is one of AUROCs, in brackets" in table.note


def test_the_numbers_of_a_sentence_are_of_the_same_draws() -> None:
    """Training from scratch did one draw alone: the probe is compared, and quoted, on that draw."""
    found = []
    for cell in scored({PROBE: 0.7, "supervised": 0.65}, draws=2):
        if cell.cell.method == "supervised" and cell.cell.draw:
            continue
        lucky = 0.1 * (cell.cell.method == PROBE and cell.cell.draw == 0)
        metrics = {name: value - lucky for name, value in cell.metrics.items()}
        found.append(dataclasses.replace(cell, metrics=metrics, by_subject=dict.fromkeys(cell.by_subject, metrics)))
    said = sentence(found)
    assert "recognises 60.0 % with 4" in said
    assert "(supervised from scratch) 65.0 %; with twelve people it is certain that pretraining is behind." in said


def test_the_sentence_depends_on_its_facts_alone() -> None:
    facts = Facts("transfer_mean", 0.8, 10, baseline="external@limu", baseline_value=0.7, standing="ahead", subjects=1)
    assert answer_sentence(facts) == (
        "On people it never saw, the encoder that learnt other data sets' labels (beside handcrafted features, logistic"
        " and extra trees) recognises 80.0 % with 10 labelled windows an activity; the one baseline (external encoder,"
        " logistic, limu) 70.0 %; with one person it is certain that pretraining is ahead."
    )
