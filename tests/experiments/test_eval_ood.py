"""The evaluation as its users run it, on the tiny experiment."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import yaml

from experiments.eval_ood import main, run
from experiments.evaluation import methods, protocol, systems, unit_computation
from experiments.evaluation.cell_store import CellStore
from experiments.evaluation.prototypes.video import NoPrototypesError
from experiments.runtime.errors import UserError
from experiments.settings.load import load, to_yaml
from experiments.settings.schema import Config

Make = Callable[..., Config]
TARGET = (
    "datasets.target.source.name=simulator",
    "datasets.target.source.params={population: parkinson, subjects: 4, first_subject: 50, sessions_per_subject: 2,"
    " session_s: 60, placements: [chest], cameras: []}",
    "datasets.target.placement=chest",
    "evaluation.targets=[{name: chest and Parkinson's, dataset: target}]",
    "evaluation.shots=[1,3]",
    "evaluation.draws=2",
    "evaluation.draws_trained=1",
    "evaluation.finetune_epochs=2",
    "evaluation.finetune_min_steps=4",
    "evaluation.supervised_epochs=2",
    "evaluation.supervised_min_steps=4",
    "evaluation.bootstrap=200",
    "evaluation.map_windows=60",
    "evaluation.forest_trees=20",
)


def content(csv: Path) -> pd.DataFrame:
    """All of it but how long things took."""
    return pd.read_csv(csv, keep_default_na=False).drop(columns="seconds")


class Whole(NamedTuple):
    """An evaluation with all methods."""

    config: Config
    csv: Path
    out: str


@pytest.fixture(scope="module")
def whole(trained_runs: Path, tiny_in: Make, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    runs = tmp_path_factory.mktemp("whole") / "runs"
    shutil.copytree(trained_runs, runs)
    config = tiny_in(runs, "trainer.max_epochs=1", *TARGET)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        csv = run(config)
    return Whole(config, csv, out.getvalue())


@pytest.fixture
def evaluated(trained: Make) -> Config:
    return trained(*TARGET)


def test_all_methods_from_a_checkpoint_to_the_tables(whole: Whole) -> None:
    evaluated, csv, out = whole
    folder = csv.parent
    assert folder == Path(evaluated.paths.runs) / "tiny" / "default"
    frame = pd.read_csv(csv, keep_default_na=False)
    assert set(frame.method) == set(evaluated.evaluation.methods)
    assert set(frame.population) == {"parkinson"}
    assert frame.simulated.all()
    assert frame.value.between(0, 10).all()
    assert set(frame[frame.method == "linear_probe"].shots) == {1, 3}
    text = (folder / "results.md").read_text()
    assert "SIMULATED DATA" in text
    assert load(str(folder / "eval_config.yaml")).evaluation == evaluated.evaluation
    assert (folder / "results.parquet").is_file()
    assert list((folder / "tensorboard_eval").glob("events*"))
    assert any(path.name.startswith("few_shot") for path in (folder / "figures").iterdir())
    words = " ".join(out.split())
    # The answer first, then the warning, then where to go: no list of paths.
    flags = r"\(simulated(, see the audit)?\)"
    assert re.match(rf"chest and Parkinson's {flags}: On simulated people it never saw, the pretrained encoder", words)
    assert words.index("certain?") < words.index("SIMULATED DATA") < words.index("report: ")
    last = out.splitlines()[-3:]
    assert last[0] == f"report: {folder / 'report.html'}"
    assert last[1] == f"numbers: {folder / 'results.csv'}"
    assert last[2].startswith("next: ")
    assert text.index("On simulated people it never saw") < text.index("SIMULATED DATA") < text.index("## Planned")
    assert "![curve of the answer](figures/answer_chest_and_parkinson_s.png)" in text
    assert (folder / "figures" / "answer_chest_and_parkinson_s.png").is_file()


def test_splits_ledger_and_shifts_are_written_beside_the_results(whole: Whole) -> None:
    folder = whole.csv.parent
    frame = pd.read_csv(whole.csv, keep_default_na=False, dtype={"subject": str})
    (split,) = yaml.safe_load_all((folder / "splits.yaml").read_text(encoding="utf-8"))
    for fold in split["folds"]:
        tested = frame[(frame.fold == fold["fold"]) & (frame.subject != "")].subject.unique()
        assert sorted(tested) == sorted(fold["test"])
        assert not set(fold["test"]) & set(fold["support"])
    ledger = pd.read_csv(folder / "ledger.csv", keep_default_na=False)
    assert set(ledger.kind) == {"settings", "checkpoint"}
    assert not ledger.refused.any()
    assert pd.read_csv(folder / "shift.csv").empty  # one person at a time: nobody can be left out
    text = (folder / "results.md").read_text(encoding="utf-8")
    for title in ("### Who saw whom", "### Transitions"):
        assert title in text
    assert {"accuracy_pure", "accuracy_transition"} <= set(frame.metric)


@pytest.mark.slow
def test_a_second_run_computes_nothing_and_says_the_same(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    first = whole.csv.read_bytes()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a finished cell was computed again")

    monkeypatch.setattr(protocol, "compute_unit", never)
    assert run(whole.config).read_bytes() == first


@pytest.mark.slow
def test_an_interrupted_evaluation_goes_on(evaluated: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated.evaluation.methods = ["majority", "random_frozen", "linear_probe"]
    evaluated.evaluation.workers = 1  # what else is in flight when it is interrupted is lost
    whole = content(run(evaluated))
    (Path(evaluated.paths.runs) / "tiny" / "default" / "cells.jsonl").unlink()
    compute, calls = unit_computation.compute_unit, []

    def dies(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return compute(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(protocol, "compute_unit", dies)
    with pytest.raises(KeyboardInterrupt):
        run(evaluated)
    before = len(calls)
    assert content(run(evaluated)).equals(whole)
    frame = pd.read_csv(Path(evaluated.paths.runs) / "tiny" / "default" / "results.csv")
    cells = frame.groupby(["method", "shots", "fold", "draw"]).ngroups
    assert len(calls) - before == cells - 5  # five were done


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_results(evaluated: Config, tmp_path: Path) -> None:
    """A real process under SIGKILL, which no handler of ours can see."""
    whole = run(evaluated)
    expected, cells = content(whole), whole.parent / "cells.jsonl"
    finished = cells.read_bytes().count(b"\n")
    for path in (cells, whole):
        path.unlink()
    settings = tmp_path / "settings.yaml"
    settings.write_text(to_yaml(evaluated), encoding="utf-8")
    command = [sys.executable, "-m", "experiments.eval_ood", str(settings)]
    for kept in (3, 9, 17):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and (not cells.is_file() or cells.read_bytes().count(b"\n") < kept):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not whole.exists()
    subprocess.run(command, check=True, capture_output=True)
    assert content(whole).equals(expected)
    written = cells.read_bytes().count(b"\n") - len(CellStore(cells).ignored)
    assert written == finished  # none of the cells was computed twice


def test_without_a_checkpoint_it_says_what_to_do(tiny: Make) -> None:
    with pytest.raises(UserError, match="run `make pretrain EXPERIMENT=tiny` first"):
        run(tiny(*TARGET))
    with pytest.raises(UserError, match=r"no file 'nowhere\.ckpt'"):
        run(tiny("checkpoint=nowhere.ckpt", *TARGET))
    with pytest.raises(UserError, match=r"evaluation\.targets is empty"):
        run(tiny())


@pytest.mark.slow
def test_people_seen_in_pretraining_are_refused(evaluated: Config) -> None:
    evaluated.evaluation.targets[0].dataset = "pretraining"
    evaluated.evaluation.methods = ["majority", "linear_probe"]
    with pytest.raises(UserError, match=r"sim_h_000.*allow_seen_subjects"):
        run(evaluated)
    evaluated.evaluation.allow_seen_subjects = True
    text = (run(evaluated).parent / "results.md").read_text()
    assert "NOT OUT OF DISTRIBUTION" in text
    assert "sim_h_000" in text


def test_windows_of_another_length_or_rate_are_refused_before_anything_is_built(evaluated: Config) -> None:
    evaluated.window = dataclasses.replace(evaluated.window, duration_s=5.0)
    with pytest.raises(UserError, match=r"250 samples at 50 Hz.*trained on 200 samples at 50 Hz"):
        run(evaluated)


@pytest.mark.slow
def test_a_file_of_cells_that_was_torn_is_mended_and_said(
    evaluated: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated.evaluation.methods = ["majority", "handcrafted_rf"]
    csv = run(evaluated)
    whole, cells = content(csv), csv.parent / "cells.jsonl"
    cells.write_bytes(cells.read_bytes()[:-30])
    assert content(run(evaluated)).equals(whole)
    assert "its cell is computed again" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_methods_that_need_no_checkpoint_run_without_one(tiny: Make) -> None:
    config = tiny(*TARGET, "evaluation.methods=[majority,handcrafted_rf]", "evaluation.shots=[1]")
    frame = pd.read_csv(run(config), keep_default_na=False)
    assert set(frame.method) == {"majority", "handcrafted_rf"}
    assert set(frame.checkpoint) == {""}


def test_exit_codes_and_messages(tiny_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tiny_yaml), f"paths.runs={tmp_path}", *TARGET]) == 1
    assert "make pretrain" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main([str(tiny_yaml), "evaluation.shot=[1]"])
    assert stopped.value.code == 2
    assert main([str(tiny_yaml), f"paths.runs={tmp_path}", *TARGET, "evaluation.methods=[linear_prob]"]) == 1
    assert "linear_probe" in capsys.readouterr().err


def test_every_listed_method_exists() -> None:
    assert set(Config().evaluation.methods) <= set(methods.methods())


def test_a_source_without_labels_costs_zero_shot_only(evaluated: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise NoPrototypesError("data/x: no window has a label and a frame; prototypes need both")

    monkeypatch.setattr(systems, "build_prototypes", none)
    evaluated.evaluation.methods = ["majority", "zero_shot"]
    csv = run(evaluated)
    assert set(pd.read_csv(csv).method) == {"majority"}
    assert "left out: zero_shot (data/x" in (csv.parent / "results.md").read_text()
