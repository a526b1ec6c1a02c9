"""Score tables of evaluations that were made up: rows, columns, intervals, draws."""

from __future__ import annotations

import numpy as np
from helpers.made_reports import HOME, cells_of, one_fold, report, with_accuracy
from helpers.made_results import METHODS

from experiments.reports.evaluation import Report, in_order, method_title
from experiments.reports.evaluation.score_tables import difference_tables, score_tables
from experiments.reports.evaluation.sections import sections_of
from experiments.statistics.intervals import worst_third
from experiments.statistics.results import subject_means


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
