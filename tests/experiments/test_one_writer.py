"""Two commands at once that write the same: one waits for the other, and what is there then is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def writing(module: str, *arguments: str, begun: Callable[[Command], object]) -> Iterator[Command]:
    """The command, which stands still as soon as it has begun; afterwards it ends well."""
    command = Command(module, *arguments)
    command.wait_for(lambda: begun(command))
    command.pause()
    try:
        yield command
    finally:
        command.go_on()
        command.said, _ = command.process.communicate(timeout=400)
    assert command.process.returncode == 0, command.said[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("module", ["experiments.build_shards", "experiments.features"])
def test_shards_and_features_are_made_once(module: str, tiny_yaml: Path, tmp_path: Path) -> None:
    arguments = (str(tiny_yaml), f"paths.data={tmp_path}", f"paths.runs={tmp_path}")
    with writing(module, *arguments, begun=lambda command: command.holds_lock(tmp_path)) as first:
        second = Command(module, *arguments)
        second.says("waiting until it has ended")
        made = sorted(path for path in tmp_path.rglob("*.h5"))
    said, _ = second.process.communicate(timeout=400)
    assert second.process.returncode == 0, said[-3000:]
    assert made == []  # nothing was written before the second came
    (index,) = tmp_path.rglob("index.json")
    assert verify(index.parent) == []
    assert "waiting until" not in " ".join(first.said.split())
    if module == "experiments.features":
        assert all("all good" in text for text in (first.said, said))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_second_training_of_a_run_is_refused(tiny: Make, tiny_yaml: Path) -> None:
    config = tiny()
    arguments = (str(tiny_yaml), f"paths.data={config.paths.data}", f"paths.runs={config.paths.runs}")
    owner = Path(config.paths.runs) / "tiny" / ".default.training.owner"
    with writing("experiments.pretrain", *arguments, begun=lambda _: owner.exists()) as first:
        second = Command("experiments.pretrain", *arguments)
        said, _ = second.process.communicate(timeout=400)
        assert second.process.returncode == 1, said[-3000:]
    refused = " ".join(said.split())
    assert f"process {first.process.pid} on" in refused
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
