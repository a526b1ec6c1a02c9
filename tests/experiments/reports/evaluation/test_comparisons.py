"""Comparisons of contenders: which are planned, which are corrected, and what decides."""

from __future__ import annotations

import dataclasses

import pytest
from helpers.made_reports import ACTIVITIES, HOME, one_fold, report, with_accuracy
from helpers.made_results import make_results

from experiments.reports.evaluation import Report, markdown
from experiments.reports.evaluation.score_tables import difference_tables, score_tables
from experiments.reports.evaluation.verdicts import verdicts_of
from experiments.statistics.claims import sentence_of


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


def test_without_labels_simple_methods_that_know_other_sets_are_baselines_too() -> None:
    made = report(methods=("majority", "source_mean", "source_prototypes", "zero_shot", "handcrafted_rf"))
    planned = [(p.first, p.seconds, p.claim.shots) for p in made.planned]
    baselines = ("majority", "source_mean")
    assert planned == [("zero_shot", baselines, 0), ("source_prototypes", baselines, 0)]


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


def test_simulated_claims_say_so() -> None:
    pretraining = report(people=10, simulated=True)
    target = dataclasses.replace(pretraining, simulated_targets=frozenset({HOME}))
    for made, said in ((pretraining, "pretrained on simulated data"), (target, "simulated data")):
        (verdicts,) = verdicts_of(made)
        assert all(p.sentence.startswith(f"{said.capitalize()}: ") for p in verdicts.planned)


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
