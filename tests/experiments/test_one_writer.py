"""Two commands at once that write the same: one waits for the other, and what is there then is whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.made_encoders import small_head
from helpers.signalled import Command

from datamodules.shards.verify import verify
from experiments.inference.head import save_head
from experiments.settings.schema import Config

Make = Callable[..., Config]


def at_once(module: str, *arguments: str) -> list[str]:
    """Start the same command twice; what each says."""
    commands = [Command(module, *arguments) for _ in range(2)]
    said = [command.process.communicate(timeout=400)[0] for command in commands]
    assert [command.process.returncode for command in commands] == [0, 0], "\n".join(text[-3000:] for text in said)
    return said


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("module", ["experiments.build_shards", "experiments.features"])
def test_shards_and_features_are_made_once(module: str, tiny_yaml: Path, tmp_path: Path) -> None:
    said = at_once(module, str(tiny_yaml), f"paths.data={tmp_path}", f"paths.runs={tmp_path}")
    assert sum("waiting until it has ended" in " ".join(text.split()) for text in said) == 1
    (index,) = tmp_path.rglob("index.json")
    assert verify(index.parent) == []
    if module == "experiments.features":
        assert all("all good" in text for text in said)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_second_training_of_a_run_is_refused(tiny: Make, tiny_yaml: Path) -> None:
    config = tiny()
    arguments = (str(tiny_yaml), f"paths.data={config.paths.data}", f"paths.runs={config.paths.runs}")
    commands = [Command("experiments.pretrain", *arguments) for _ in range(2)]
    said = [command.process.communicate(timeout=400)[0] for command in commands]
    codes = [command.process.returncode for command in commands]
    assert sorted(codes) == [0, 1]
    refused = " ".join(said[codes.index(1)].split())
    assert f"process {commands[codes.index(0)].process.pid} on" in refused
    assert "is training there now; wait until it has ended" in refused


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_predictions_into_one_folder_are_those_of_one_call(tmp_path: Path) -> None:
    head = save_head(small_head("handcrafted_logistic"), tmp_path / "head")
    out = tmp_path / "out"
    commands = []
    for name, hours in (("short", 1), ("long", 2)):
        rows = np.random.default_rng(0).normal((0, 0, 9.81), 3, (hours * 3600 * 20, 3))
        np.savetxt(tmp_path / f"{name}.csv", rows, "%.3f", ",", header="ax,ay,az", comments="")
        options = ("--acceleration", "ax,ay,az:m/s^2", "--rate", "20", "--output", str(out), "--workers", "1")
        commands.append(Command("experiments.predict", str(head), str(tmp_path / f"{name}.csv"), *options))
    for command in commands:
        said, _ = command.process.communicate(timeout=400)
        assert command.process.returncode == 0, said[-3000:]
    names = [set(pd.read_csv(out / f"{table}.csv")["recording"]) for table in ("predictions", "bouts", "hours", "days")]
    assert names[0] in ({"short"}, {"long"})
    assert all(name == names[0] for name in names)
