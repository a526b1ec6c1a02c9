"""The paper's tables with its figures beside ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.paper_tables import main
from experiments.reports.paper.beside import Entry, entries, markdown, table
from experiments.reports.paper.published import ACCURACY, MRR, OWN, SHOTS, SYSTEMS, TABLE_3, TABLE_4, TABLE_5
from experiments.statistics.results import COLUMNS

RESAMPLES = 100


def people(target: str = "Ego4D to PD", system: str = "paper", simulated: bool = False) -> pd.DataFrame:
    """Four people, 0.5, 0.6, 0.7 and 0.8, whatever the method: as ``load_runs`` gives them."""
    rows = []
    for method, shots in (("linear_probe", 10), ("linear_probe", 100), ("finetune_paper", 10), ("zero_shot_target", 0)):
        for number in range(4):
            row = {"name": system, "dataset": target, "method": method, "shots": shots, "simulated": simulated}
            row |= {"subject": f"p{number}", "value": 0.5 + number / 10}
            rows.append(row | {"metric": "balanced_accuracy"})
            if shots == 0:
                rows.append(row | {"metric": "mrr"})
    return pd.DataFrame(rows)


def test_every_row_and_column_of_the_paper_is_there_whatever_was_evaluated() -> None:
    made = entries(people(system="another"), RESAMPLES)
    shown = {number: table(made, number) for number in (3, 4, 5)}
    assert {number: frame.shape for number, frame in shown.items()} == {3: (4, 8), 4: (6, 2), 5: (5, 2)}
    assert shown[3].index.tolist() == ["10", "20", "50", "100"]
    assert shown[5].index.tolist() == [SYSTEMS[system] for system in TABLE_5]
    assert shown[3].loc["100", "the paper's, probe, Ego4D to MMEA"] == "- (97.8)"
    assert shown[4].loc["MMEA to MMEA, MRR", "the paper's"] == "- (0.563)"
    assert shown[4].loc["MMEA to MMEA, MRR", "IMU2CLIP"] == "- (-)"
    assert {entry.subjects for entry in made} == {0}
    assert np.isnan([entry.ours for entry in made]).all()


def test_ours_stand_where_they_belong() -> None:
    made = entries(people(), RESAMPLES)
    shown = table(made, 3)
    assert str(shown.loc["10", "the paper's, probe, Ego4D to PD"]).startswith("65.0 [")
    assert str(shown.loc["10", "the paper's, probe, Ego4D to PD"]).endswith("] (67.4)")
    assert str(shown.loc["10", "the paper's, fine-tuned, Ego4D to PD"]).startswith("65.0 [")
    assert shown.loc["20", "the paper's, probe, Ego4D to PD"] == "- (70.3)"
    assert shown.loc["10", "IMU2CLIP, probe, Ego4D to PD"] == "- (28.0)"
    assert str(table(made, 4).loc["Ego4D to PD, MRR", "the paper's"]).startswith("0.650 [")
    assert str(table(made, 5).loc["the paper's", "Ego4D to PD"]).startswith("65.0 [")


def test_another_set_of_patients_stands_apart() -> None:
    made = entries(people("Ego4D to WearGait-PD"), RESAMPLES)
    shown = table(made, 5)
    assert shown.columns.tolist() == ["Ego4D to MMEA", "Ego4D to PD", "Ego4D to WearGait-PD"]
    assert shown.loc["the paper's", "Ego4D to PD"] == "- (78.3)"
    assert str(shown.loc["the paper's", "Ego4D to WearGait-PD"]).endswith("] (-)")


def test_the_jointly_trained_system_is_the_papers_where_it_is_the_only_one() -> None:
    # As text, where NaN is NaN: two intervals without a bound are the same.
    assert repr(entries(people(system="paper_joint"), RESAMPLES)) == repr(entries(people(), RESAMPLES))
    both = pd.concat([people(), people(system="paper_joint").assign(value=0.0)])
    assert repr(entries(both, RESAMPLES)) == repr(entries(people(), RESAMPLES))


def test_two_people_have_no_interval() -> None:
    assert Entry(3, "10", "x", 2, 50.0, np.nan, np.nan, 60.0).text() == "50.0 (60.0)"
    assert Entry(4, f"x, {MRR}", "x", 2, 0.5, np.nan, np.nan, np.nan).text() == "0.500 (-)"


def test_published_figures_are_whole_and_agree_with_each_other() -> None:
    assert all(len(values) == len(SHOTS) for values in TABLE_3.values())
    for system in ("imu2clip", OWN):  # Table 5 repeats what Table 3 has at 100 labels
        for target, value in TABLE_5[system].items():
            assert TABLE_3[(system, "linear_probe", target)][-1] == value
    assert all(value < 1 for (_, metric), row in TABLE_4.items() for value in row.values() if metric == MRR)
    assert all(value > 1 for (_, metric), row in TABLE_4.items() for value in row.values() if metric == ACCURACY)


def test_simulated_people_are_named_first() -> None:
    text = markdown(entries(people(), RESAMPLES), ["Ego4D to PD"])
    assert text.index("SIMULATED") < text.index("Table 3") < text.index("Table 4") < text.index("Table 5")
    assert "SIMULATED" not in markdown(entries(people(), RESAMPLES))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = dict.fromkeys(COLUMNS, "") | {"shots_unit": "windows", "draw": 0, "fold": 0, "perturbation": ""}
    rows = [whole | {"system": row["name"], **row} for row in people().to_dict("records")]
    pd.DataFrame(rows).drop(columns="name").to_parquet(tmp_path / "results.parquet")
    assert main([str(tmp_path), "--out", str(tmp_path / "out"), "--published", "--bootstrap", "100"]) == 0
    text = (tmp_path / "out" / "beside_the_paper.md").read_text()
    assert text in capsys.readouterr().out
    written = pd.read_csv(tmp_path / "out" / "beside_the_paper.csv")
    assert written["ours"].dropna().unique().tolist() == pytest.approx([65.0, 0.65])
    assert (tmp_path / "out" / "paper_tables.md").is_file()
