"""Signals at random moments to the long commands besides training: what is finished is kept, and they go on."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.made_encoders import small_head
from helpers.signalled import WITHIN_S, Command, Ended

from core.durable import TEMPORARY
from experiments.build_shards import run as build
from experiments.inference.head import save_head
from experiments.settings.load import load
from experiments.settings.schema import Config

Make = Callable[..., Config]
STUDY = (
    "datasets.study.source.name=simulator",
    "datasets.study.source.params={subjects: 4, first_subject: 50, sessions_per_subject: 2, session_s: 60,"
    " placements: [head], cameras: []}",
    "datasets.study.placement=head",
    "evaluation.targets=[{name: new people, dataset: study}]",
    "evaluation.bootstrap=200",
    "evaluation.shots=[1,2]",
    "evaluation.draws=3",
    "evaluation.methods=[majority, linear_probe, handcrafted_logistic]",
)


def stopped(module: str, *arguments: str, there: Callable[[Command], object] = Command.hears) -> Ended:
    """Stop a command by SIGTERM at a random moment after ``there``, and see to what holds of all."""
    command = Command(module, *arguments)
    command.wait_for(command.hears)
    command.wait_for(lambda: there(command))
    time.sleep(random.uniform(0, 1))
    ended = command.stop(signal.SIGTERM)
    assert ended.code == 143, ended.said[-3000:]
    assert ended.seconds < WITHIN_S
    assert "Traceback" not in ended.said
    assert "SIGTERM; the same command goes on" in ended.said
    return ended


def goes_on(module: str, *arguments: str) -> str:
    command = Command(module, *arguments)
    said, _ = command.process.communicate(timeout=400)
    assert command.process.returncode == 0, said[-3000:]
    return said


def has_pieces(folder: Path, count: int, _: Command) -> bool:
    return len(list(folder.rglob("pieces/*"))) >= count


def settings_of(config: Config) -> tuple[str, str]:
    return f"paths.data={config.paths.data}", f"paths.runs={config.paths.runs}"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_build_keeps_its_recordings_and_ends_with_the_same_bytes(tiny_yaml: Path, tmp_path: Path) -> None:
    many = "datasets.pretraining.source.params.sessions_per_subject=6"

    def shards(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.rglob("windows-*.h5")}

    build(load(str(tiny_yaml), [f"paths.data={tmp_path / 'whole'}", many, "build.workers=1"]))
    arguments = (str(tiny_yaml), f"paths.data={tmp_path / 'stopped'}", many, "build.workers=2")
    for kept in (1, 4):
        stopped(
            "experiments.build_shards",
            *arguments,
            there=partial(has_pieces, tmp_path / "stopped", kept),
        )
    goes_on("experiments.build_shards", *arguments)
    assert shards(tmp_path / "stopped") == shards(tmp_path / "whole") != {}
    assert not list((tmp_path / "stopped").rglob(f"{TEMPORARY}*"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_features_go_on_with_the_next_block(tiny_yaml: Path, tmp_path: Path) -> None:
    arguments = (str(tiny_yaml), f"paths.data={tmp_path}", f"paths.runs={tmp_path}")
    stopped("experiments.features", *arguments)
    assert "all good" in goes_on("experiments.features", *arguments)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_evaluation_keeps_its_cells(trained: Make, tiny_yaml: Path) -> None:
    config = trained(*STUDY)
    arguments = (str(tiny_yaml), *settings_of(config), "trainer.max_epochs=1", *STUDY, "evaluation.draws=60")
    cells = Path(config.paths.runs) / "tiny" / "default" / "cells.jsonl"
    stopped(
        "experiments.eval_ood", *arguments, there=lambda _: cells.is_file() and cells.read_bytes().count(b"\n") >= 5
    )
    kept = cells.read_bytes()
    assert all(json.loads(line)["digest"] for line in kept.splitlines())
    results = cells.parent / "results.csv"
    assert not results.exists()
    goes_on("experiments.eval_ood", *arguments)
    assert cells.read_bytes().startswith(kept)
    assert results.is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_evaluation_does_not_wait_for_trainings_of_its_workers(trained: Make, tiny_yaml: Path) -> None:
    long = ("evaluation.methods=[supervised]", "evaluation.shots=[1,2]", "evaluation.supervised_min_steps=1000000")
    config = trained(*STUDY, *long)
    arguments = (str(tiny_yaml), *settings_of(config), "trainer.max_epochs=1", *STUDY, *long, "evaluation.workers=2")
    # As above: two workers that train, their server, its tracker, and the command.
    stopped("experiments.eval_ood", *arguments, there=lambda command: len(command.members()) >= 5)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_head_is_written_whole_or_not_at_all(trained: Make, tiny_yaml: Path) -> None:
    config = trained(*STUDY)
    arguments = (str(tiny_yaml), *settings_of(config), "trainer.max_epochs=1", *STUDY)
    stopped("experiments.adapt", *arguments)
    head = Path(config.paths.runs) / "tiny" / "default" / "head"
    assert not list(head.rglob(f"{TEMPORARY}*"))
    goes_on("experiments.adapt", *arguments)
    assert (head / "head.json").is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_predictions_and_their_workers_end(tmp_path: Path) -> None:
    head = save_head(small_head("hybrid_logistic"), tmp_path / "head")
    rows = np.random.default_rng(0).normal((0, 0, 9.81), 3, (4 * 3600 * 50, 3))
    np.savetxt(tmp_path / "long.csv", rows, "%.3f", ",", header="ax,ay,az", comments="")
    out = tmp_path / "out"
    table = (str(tmp_path / "long.csv"), "--acceleration", "ax,ay,az:m/s^2", "--rate", "50")
    arguments = (str(head), *table, "--output", str(out), "--workers", "2")
    # Two workers, the server that they are forked from, the tracker of its resources, and the command.
    stopped("experiments.predict", *arguments, there=lambda command: len(command.members()) >= 5)
    assert not list(out.glob("*.csv"))
    goes_on("experiments.predict", *arguments)
    assert (out / "predictions.csv").is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_export_is_whole_or_not_there(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'export' is not installed")
    arguments = ("default", "--output", str(tmp_path / "out"), "--windows", "20")
    stopped("experiments.export", *arguments)
    assert not (tmp_path / "out" / "report.json").exists()
    goes_on("experiments.export", *arguments)
    assert (tmp_path / "out" / "report.json").is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_comparison_hands_the_signal_on_and_its_training_saves(tiny: Make, tiny_yaml: Path) -> None:
    config = tiny()
    last = Path(config.paths.runs) / "tiny" / "ours-seed0" / "checkpoints" / "last.ckpt"
    arguments = (str(tiny_yaml), *settings_of(config), *STUDY, "trainer.max_epochs=400", "trainer.validate_every=400")
    ended = stopped("experiments.compare", *arguments, "--systems", "ours", there=lambda _: last.is_file())
    assert "interrupted at step" in ended.said
    assert "not trained" not in ended.said
