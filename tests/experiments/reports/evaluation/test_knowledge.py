"""Knowledge of the tested person: a column says it, and comparisons keep it apart."""

from __future__ import annotations

from pathlib import Path

from helpers.made_results import make_results

from experiments.evaluation.adaptation import find_contender
from experiments.reports.evaluation import Report, in_order, markdown, method_title
from experiments.reports.evaluation.figures import few_shot_figure, forest_figure
from experiments.reports.evaluation.page import html
from experiments.reports.evaluation.roles import pretrained, recommended
from experiments.reports.evaluation.score_tables import score_tables
from experiments.reports.evaluation.verdicts import verdicts_of
from experiments.statistics.results import read, rows, write

METHODS = (
    "handcrafted_rf",
    "handcrafted_logistic",
    "handcrafted_logistic+person",
    "hybrid_logistic",
    "hybrid_logistic+person",
    "hybrid_logistic+person_other",
    "external@limu_bert_x",
)


def made(methods: tuple[str, ...] = METHODS) -> Report:
    return Report("x/default", make_results("home", 8, ("fall", "sit", "walk"), (1, 10), 2, methods), 200)


def test_only_rows_of_the_same_knowledge_are_compared() -> None:
    pairs = {(pair.first, pair.second) for pair in made().pairs}
    assert pairs == {
        ("hybrid_logistic", "handcrafted_rf"),
        ("hybrid_logistic", "handcrafted_logistic"),
        ("hybrid_logistic", "external@limu_bert_x"),
        ("hybrid_logistic+person", "handcrafted_logistic+person"),
        ("hybrid_logistic+person", "hybrid_logistic+person_other"),
    }
    assert {p.claim.knowledge for p in made().planned if "+" in p.first} == {"unlabelled"}


def test_the_verdict_is_about_the_best_baseline_of_the_same_knowledge() -> None:
    planned = made().planned
    # k = 1, then k = 10; the control is no baseline.
    assert [len(p.verdict.claims) for p in planned] == [3, 1, 3, 1]
    best = [p.sentence for p in verdicts_of(made())[0].planned]
    assert "the best of 3 baselines at k = 10" in best[2]
    assert "the best of 1 baseline of the same knowledge (unlabelled) at k = 10" in best[3]
    text = markdown(made())
    assert all(sentence.replace("<", "&lt;") in text for sentence in best)
    assert "the best of 3 baselines" in html(made(), {})


def test_assumed_shares_are_a_knowledge_of_their_own() -> None:
    known = {name: find_contender(f"knn+{name}").knowledge for name in ("person", "em", "balanced", "person+balanced")}
    assert known == {"person": "unlabelled", "em": "unlabelled", "balanced": "shares", "person+balanced": "shares"}


def test_controls_are_neither_recommended_nor_planned() -> None:
    listed = ["hybrid_mean+person", "hybrid_mean", "linear_probe@b", "linear_probe+person_other", "finetune+em", "knn"]
    assert recommended(listed) == ["hybrid_mean", "finetune+em", "hybrid_mean+person", "linear_probe@b"]
    assert set(pretrained(listed)) == {*listed} - {"linear_probe+person_other"}


def test_tables_have_a_column_where_rows_differ_in_what_they_know() -> None:
    for table in score_tables(made(), "home", "windows"):
        assert table.columns[0] == "known of the tested person"
        known = {row[0]: row[1] for row in table.rows}
        assert known["handcrafted + logistic"] == "nothing"
        assert known["handcrafted + logistic; person's statistics"] == "unlabelled windows"
    plain = made(("handcrafted_rf", "hybrid_logistic"))
    assert "known of the tested person" not in markdown(plain)
    assert score_tables(plain, "home", "windows")[0].columns == ("k = 1", "k = 10")
    assert "these know something of the tested person -- " in markdown(made())


def test_titles_and_order_of_adapted_rows() -> None:
    assert method_title("hybrid_logistic+person+balanced") == (
        "handcrafted + pretrained, logistic; person's statistics and balanced shares"
    )
    assert method_title("linear_probe+mine@b") == "pretrained, linear probe (b); mine"
    assert method_title("external@limu_bert_x") == "external encoder, logistic (limu_bert_x)"
    listed = ["knn+balanced", "knn", "knn+person_other", "knn+person", "majority"]
    assert in_order(listed) == ["majority", "knn", "knn+person", "knn+person_other", "knn+balanced"]


def test_figures_tell_adapted_rows_apart() -> None:
    report = made()
    assert few_shot_figure(report, "home") is not None
    figure = forest_figure(report, "home")
    assert figure is not None
    assert [axis.get_title().replace("\n", " ") for axis in figure.axes] == [
        "handcrafted + pretrained, logistic minus ...",
        "handcrafted + pretrained, logistic; person's statistics minus ...",
    ]


def test_results_have_the_column_and_earlier_ones_are_read_without_it(tmp_path: Path) -> None:
    frame = rows(made().results)
    assert set(frame.loc[frame["method"].str.contains("+", regex=False), "knowledge"]) == {"unlabelled"}
    _, parquet = write(frame, tmp_path)
    assert (read(parquet)["knowledge"] == frame["knowledge"]).all()
    _, parquet = write(frame.drop(columns="knowledge"), tmp_path)
    assert set(read(parquet)["knowledge"]) == {"none"}
