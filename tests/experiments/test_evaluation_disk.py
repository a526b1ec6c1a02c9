"""A whole evaluation on a disk that fills up, and of a run on a disk that is read-only."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from helpers.small_disk import fill, read_only, small_disk

from core.durable import TEMPORARY
from experiments.eval_ood import run
from experiments.runtime.command_line import EXIT_FAILED, EXIT_OK, guarded
from experiments.settings.schema import Config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
Make = Callable[..., Config]
PROGRESS = re.compile(r"\d+/\d+ |━")
ROOMS = (0, 10_000, 60_000, 400_000)  # bytes that are left; each time it comes further
TARGET = (
    "trainer.max_epochs=1",
    "datasets.target.source.name=simulator",
    "datasets.target.source.params={population: parkinson, subjects: 3, first_subject: 50, sessions_per_subject: 1,"
    " session_s: 45, placements: [chest], cameras: []}",
    "datasets.target.placement=chest",
    "evaluation.targets=[{name: people, dataset: target}]",
    "evaluation.methods=[majority, handcrafted_logistic, linear_probe]",
    "evaluation.shots=[1]",
    "evaluation.draws=2",
    "evaluation.bootstrap=20",
    "evaluation.map_windows=20",
)


def ended(config: Config, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Evaluate under the guard of every command: the exit code, and all that it said beside its progress."""
    capsys.readouterr()
    code = guarded(lambda: EXIT_OK if run(config) else EXIT_FAILED, "experiments.eval_ood")
    said = capsys.readouterr().err
    return code, "".join(line for line in said.splitlines(keepends=True) if not PROGRESS.search(line))


def numbers(runs: Path) -> pd.DataFrame:
    """All of the results but how long things took."""
    return pd.read_csv(runs / "tiny" / "default" / "results.csv", keep_default_na=False).drop(columns="seconds")


@pytest.fixture
def expected(tiny_in: Make, trained_runs: Path, tmp_path: Path) -> pd.DataFrame:
    """What an evaluation that nothing disturbs finds."""
    runs = tmp_path / "undisturbed"
    shutil.copytree(trained_runs, runs)
    run(tiny_in(runs, *TARGET))
    return numbers(runs)


def test_on_a_full_disk_it_says_so_once_and_the_same_command_goes_on(
    tiny_in: Make, trained_runs: Path, expected: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", "100m") as disk:
        runs = disk / "runs"
        shutil.copytree(trained_runs, runs)
        config = tiny_in(runs, *TARGET)
        cells = runs / "tiny" / "default" / "cells.jsonl"
        kept: list[str] = []
        for room in ROOMS:
            filling = fill(disk, leave=room)
            code, said = ended(config, capsys)
            assert code == EXIT_FAILED, room
            assert re.fullmatch(
                rf"python -m experiments\.eval_ood: {disk}/\S+: no space left: it needs .* are free there;"
                r" make room, and the same command goes on\n",
                said,
            ), (room, said)
            # What was finished before is kept, and nothing is torn.
            lines = cells.read_text(encoding="utf-8").splitlines() if cells.is_file() else []
            assert lines[: len(kept)] == kept
            kept = lines
            filling.unlink()
        assert kept
        assert ended(config, capsys) == (EXIT_OK, "")
        assert cells.read_text(encoding="utf-8").splitlines()[: len(kept)] == kept
        pd.testing.assert_frame_equal(numbers(runs), expected)
        assert (runs / "tiny" / "default" / "report.html").stat().st_size
        assert not [path for path in runs.rglob("*") if path.name.startswith(TEMPORARY)]


def test_a_run_on_a_read_only_disk_is_evaluated_into_another_folder(
    tiny_in: Make, trained_runs: Path, expected: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "archive"
    shutil.copytree(trained_runs, runs)
    folder = runs / "tiny" / "default"
    before = sorted(runs.rglob("*"))
    with read_only(runs):
        code, said = ended(tiny_in(runs, *TARGET), capsys)
        assert code == EXIT_FAILED
        assert said == (
            f"python -m experiments.eval_ood: {folder}: nothing can be written there (Read-only file system), and"
            " evaluating needs to; paths.runs=... names another folder, and"
            f" checkpoint={folder}/checkpoints/last.ckpt takes the encoder from here\n"
        )
        elsewhere = tmp_path / "elsewhere"
        assert ended(tiny_in(elsewhere, *TARGET, f"checkpoint={folder}/checkpoints/last.ckpt"), capsys) == (EXIT_OK, "")
    pd.testing.assert_frame_equal(numbers(elsewhere), expected)
    assert sorted(runs.rglob("*")) == before
