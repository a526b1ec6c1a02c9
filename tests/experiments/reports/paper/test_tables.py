"""The paper's tables, from made results with known means."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from core.durable import TEMPORARY
from experiments.paper_tables import main
from experiments.reports.paper.tables import figure_3, load_runs, markdown, table_3, table_4, table_5
from experiments.runtime.errors import UserError
from experiments.statistics.results import COLUMNS, read


def make_run(folder: Path, better: float = 0.0, system: str = "", simulated: bool = False) -> Path:
    """Four people, two draws: person p has 0.5 + p / 20, draws are 0.02 apart around it."""
    rows = []
    for dataset in ("MMEA", "PD"):
        for method, shots in (("linear_probe", 10), ("linear_probe", 100), ("finetune", 10), ("zero_shot", 0)):
            for person in range(4):
                for draw in (0, 1):
                    share = 0.5 + person / 20 + better + 0.02 * (draw - 0.5) + shots / 1000
                    row = dict.fromkeys(COLUMNS, "") | {
                        "dataset": dataset, "method": method, "system": system, "shots": shots,
                        "shots_unit": "windows", "draw": draw, "fold": 0, "subject": f"p{person}",
                        "simulated": simulated, "perturbation": "",
                    }  # fmt: skip
                    rows.append(row | {"metric": "balanced_accuracy", "value": share})
                    if method == "zero_shot":
                        rows += [row | {"metric": name, "value": share} for name in ("mrr", "macro_f1", "recall@1")]
                    rows.append(row | {"metric": "balanced_accuracy", "value": 0.0, "perturbation": "rotation=90"})
                    rows.append(row | {"metric": "balanced_accuracy", "value": 0.0, "shots_unit": "subjects"})
                    rows.append(row | {"metric": "balanced_accuracy", "value": 0.0, "subject": ""})
    folder.mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(folder / "results.parquet")
    return folder


def test_means_over_people_of_their_means_over_draws(tmp_path: Path) -> None:
    people = load_runs([make_run(tmp_path / "ours" / "default")])
    table = table_3(people, resamples=0)  # without intervals
    assert list(table.index.get_level_values(0)) == [10, 100]
    columns: list[object] = list(table.columns)
    assert columns == [
        ("ours", "probe", "MMEA"), ("ours", "fine-tuned", "MMEA"),
        ("ours", "probe", "PD"), ("ours", "fine-tuned", "PD"),
    ]  # fmt: skip
    # 0.5 + (0 + 1 + 2 + 3) / 4 / 20 + k / 1000; windows under a perturbation, whole people and folds are not in it.
    assert table[("ours", "probe", "MMEA")].tolist() == ["58.5", "67.5"]
    assert table[("ours", "fine-tuned", "PD")].tolist()[0] == "58.5"
    assert "[" in table_3(people, resamples=200)[("ours", "probe", "MMEA")].iloc[0]


def test_systems_stand_side_by_side(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "ours" / "default", 0.1), make_run(tmp_path / "imu_only" / "default")]
    people = load_runs(runs)
    five = table_5(people, resamples=0)
    assert five.index.get_level_values(0).tolist() == ["ours/default", "imu_only/default"]
    assert five[("MMEA",)].tolist() == ["77.5", "67.5"]
    four = table_4(people, resamples=0)
    for metric, expected in (("MRR", ["0.675", "0.575"]), ("balanced accuracy, %", ["67.5", "57.5"])):
        assert four.T[("PD", "source videos", metric)].tolist() == expected
    figure = figure_3(people, resamples=200)
    assert [axis.get_title() for axis in figure.axes] == ["MMEA", "PD"]
    assert len(figure.legends[0].get_texts()) == 4


def test_named_systems_of_one_run(tmp_path: Path) -> None:
    people = load_runs([make_run(tmp_path / "ours" / "default", system="imu_only")])
    assert set(people["name"]) == {"imu_only"}


def test_files_and_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "sim" / "default", simulated=True)
    assert main([str(run), "--out", str(tmp_path / "out"), "--bootstrap", "100"]) == 0
    text = (tmp_path / "out" / "paper_tables.md").read_text()
    assert "SIMULATED DATA has a part in: MMEA, PD" in text
    assert text.index("SIMULATED") < text.index("Table 3") < text.index("Table 4") < text.index("Table 5")
    assert (tmp_path / "out" / "paper_figure_3.png").stat().st_size > 10_000
    assert len(pd.read_csv(tmp_path / "out" / "paper_tables.csv")) > 0
    assert "paper_tables.md" in capsys.readouterr().out


def test_runs_that_can_not_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match=r"results\.parquet: not there"):
        load_runs([tmp_path])
    pd.DataFrame({"dataset": ["x"]}).to_parquet(tmp_path / "results.parquet")
    with pytest.raises(UserError, match=r"no column 'method': the file is of a version before 0.1.0; evaluate again"):
        load_runs([tmp_path])
    assert main([str(tmp_path / "nowhere")]) != 0
    assert "results.parquet" in capsys.readouterr().err


def test_without_such_methods_it_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path / "ours" / "default")
    frame = pd.read_parquet(run / "results.parquet")
    frame[frame["method"] == "finetune"].to_parquet(run / "results.parquet")
    text = markdown(load_runs([run]), resamples=0)
    assert text.count("no such results") == 2


def test_results_of_version_0_1_0_are_read(tmp_path: Path) -> None:
    """That version called the column of perturbations ``condition``, and means over subjects ``_by_participant``."""
    now = make_run(tmp_path / "ours" / "default")
    frame = pd.read_parquet(now / "results.parquet")
    means = frame[frame["subject"] == ""].assign(metric="balanced_accuracy_by_subject")
    own_names = frame[frame["subject"] != ""].head(1).assign(metric="recall[walk_by_participant]")
    frame = pd.concat([frame, means, own_names], ignore_index=True)
    frame.to_parquet(now / "results.parquet")
    before = tmp_path / "before" / "ours" / "default"
    before.mkdir(parents=True)
    renamed = frame.assign(metric=frame["metric"].str.replace("_by_subject", "_by_participant"))
    renamed.rename(columns={"perturbation": "condition"}).to_parquet(before / "results.parquet")
    pd.testing.assert_frame_equal(read(before / "results.parquet"), frame)
    pd.testing.assert_frame_equal(load_runs([before]), load_runs([now]))
    assert len(load_runs([before])) > 0


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("value", float("nan"), "column 'value': expected a finite number, found nan"),
        ("value", float("inf"), "column 'value': expected a finite number, found inf"),
        ("value", "0.5", "column 'value': expected a finite number, found 0.5"),
        ("metric", 1, "column 'metric': expected text, found 1"),
        ("subject", None, "column 'subject': expected text, found None"),
        ("system", None, "column 'system': expected text, found None"),
        ("incomplete", None, "column 'incomplete': expected text, found None"),
        ("simulated", "no", "column 'simulated': expected true or false, found no"),
        ("shots", "one", "column 'shots': expected a whole number, 0 or more, found one"),
        ("shots", -1, "column 'shots': expected a whole number, 0 or more, found -1"),
        ("subject", "", "no result of a single subject"),
    ],
)
def test_results_that_no_evaluation_writes_are_refused(
    column: str, value: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "ours" / "default")
    pd.read_parquet(run / "results.parquet").assign(**{column: value}).to_parquet(run / "results.parquet")
    assert main([str(run), "--bootstrap", "10"]) == 1
    message = capsys.readouterr().err
    assert f"results.parquet: {said}" in message
    assert message.count("\n") == 1
    assert [path.name for path in run.iterdir()] == ["results.parquet"]


def test_two_runs_of_one_name_are_not_averaged(tmp_path: Path) -> None:
    """Neither two that name a system alike, nor two folders of which the last two names are the same."""
    first = make_run(tmp_path / "before" / "ours" / "default")
    better = make_run(tmp_path / "after" / "ours" / "default", better=0.1)
    with pytest.raises(UserError, match=r"before/ours/default and .*after/ours/default: different results of 'ours/"):
        load_runs([first, better])
    first = make_run(tmp_path / "a" / "compare", system="ours")
    better = make_run(tmp_path / "b" / "compare", better=0.1, system="ours")
    with pytest.raises(UserError, match=r"different results of 'ours' on 'MMEA' \(linear_probe\)"):
        load_runs([first, better])
    # A baseline that both evaluated is one.
    again = make_run(tmp_path / "c" / "compare", system="ours")
    pd.testing.assert_frame_equal(load_runs([first, again]), load_runs([first]))


def test_a_run_is_named_from_inside_its_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make_run(tmp_path / "ours" / "default"))
    assert set(load_runs([Path()])["name"]) == {"ours"}


def test_a_figure_that_does_not_fit_leaves_the_old_one_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "ours" / "default")
    assert main([str(run), "--bootstrap", "10"]) == 0
    picture = run / "paper_figure_3.png"
    before = picture.read_bytes()

    def half(_: Figure, path: Path, **_options: object) -> None:
        path.write_bytes(before[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", half)
    capsys.readouterr()
    assert main([str(run), "--bootstrap", "10"]) == 1
    assert f"{picture}: no space left" in capsys.readouterr().err
    assert picture.read_bytes() == before
    assert not list(run.glob(f"{TEMPORARY}*"))
