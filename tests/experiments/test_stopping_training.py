"""Signals to real trainings: what they save, say and return, on one process and on several."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers.equality import assert_same_weights
from helpers.signalled import WITHIN_S, Command

from experiments.pretrain import run
from experiments.runtime.peers import LOST
from experiments.runtime.stopping import SIGNALS
from experiments.settings.schema import Config

Make = Callable[..., Config]


def pretrain(config: Config, yaml: Path, *changes: str) -> Command:
    paths = (f"paths.data={config.paths.data}", f"paths.runs={config.paths.runs}")
    return Command("experiments.pretrain", str(yaml), *paths, *changes)


def last_of(config: Config, name: str) -> Path:
    return Path(config.paths.runs) / "tiny" / name / "checkpoints" / "last.ckpt"


def step_of(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, weights_only=True)["global_step"])


def is_beyond(last: Path, step: int) -> bool:
    return last.is_file() and step_of(last) > step


LONG = ("trainer.max_epochs=60", "trainer.validate_every=60")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_training_saves_at_the_next_step_of_any_signal_and_ends_as_if_it_had_not_been_stopped(
    tiny: Make, tiny_yaml: Path
) -> None:
    config = tiny("run.name=stopped", *LONG)
    whole, total = run(tiny("run.name=whole", *LONG)), 0
    total = step_of(whole)
    last = last_of(config, "stopped")
    random.seed(os.urandom(8))
    done = 0
    for number in random.sample(SIGNALS, len(SIGNALS)):
        command = pretrain(config, tiny_yaml, "run.name=stopped", *LONG)
        # The first epochs of this start are done, and the last ones are not.
        command.wait_for(partial(is_beyond, last, done))
        time.sleep(random.uniform(0, 0.4))
        ended = command.stop(number)
        assert ended.code == 128 + number, ended.said[-3000:]
        assert ended.seconds < WITHIN_S
        said = re.search(
            r"interrupted at step (\d+) of (\d+) by .*the same command goes on from step (\d+)", ended.said
        )
        assert said, ended.said[-3000:]
        assert "Traceback" not in ended.said
        done = step_of(last)
        assert said.groups() == (str(done), str(total), str(done))
        assert done < total, "it was not stopped in time to show anything"
    assert_same_weights(run(config), whole)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("who", ["the first", "another", "all"])
def test_two_processes_agree_on_the_step_at_which_they_stop(who: str, tiny: Make, tiny_yaml: Path) -> None:
    settings = ("run.name=two", "trainer.devices=2", "trainer.max_epochs=200", "trainer.validate_every=200")
    config = tiny(*settings)
    command = pretrain(config, tiny_yaml, *settings)
    last = last_of(config, "two")
    command.wait_for(lambda: last.is_file() and step_of(last) >= 6)
    others = command.other_ranks()
    assert len(others) == 1
    time.sleep(random.uniform(0, 0.5))
    ended = command.stop(
        signal.SIGTERM, {"the first": [], "another": others, "all": [command.process.pid, *others]}[who]
    )
    assert ended.code == 143, ended.said[-3000:]
    assert ended.seconds < WITHIN_S
    said = re.findall(r"interrupted at step (\d+) of \d+ by SIGTERM", ended.said)
    assert said == [str(step_of(last))], ended.said[-3000:]
    assert step_of(last) < 600
    # What was saved goes on, on one process too.
    once_more = pretrain(config, tiny_yaml, *settings, "trainer.devices=1")
    before = step_of(last)
    once_more.wait_for(lambda: step_of(last) > before)
    assert once_more.stop(signal.SIGTERM).code == 143


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("hangs", ["the first", "another"])
def test_a_process_that_hangs_keeps_the_others_no_longer_than_promised(hangs: str, tiny: Make, tiny_yaml: Path) -> None:
    settings = ("run.name=hung", "trainer.devices=2", "trainer.max_epochs=200", "trainer.validate_every=200")
    config = tiny(*settings)
    command = pretrain(config, tiny_yaml, *settings)
    last = last_of(config, "hung")
    command.wait_for(lambda: last.is_file() and step_of(last) >= 6)
    (other,) = command.other_ranks()
    os.kill(command.process.pid if hangs == "the first" else other, signal.SIGSTOP)
    if hangs == "another":
        ended = command.stop(signal.SIGTERM)
        assert ended.code == 143, ended.said[-3000:]
        assert ended.seconds < WITHIN_S
        assert "it came to no end of its own within 20 s" in ended.said
    else:
        os.kill(other, signal.SIGTERM)
        started = time.monotonic()
        while other in command.members():
            assert time.monotonic() - started < WITHIN_S
            time.sleep(0.1)
        os.kill(command.process.pid, signal.SIGCONT)  # Lightning's thread sees that the other ended, and kills it
        command.process.communicate(timeout=WITHIN_S)
        assert command.process.returncode != 0
    step_of(last)  # it is whole


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_ends_at_the_start_ends_the_training(number: int, tiny: Make, tiny_yaml: Path) -> None:
    settings = ("run.name=starting", "trainer.devices=2")
    command = pretrain(tiny(*settings), tiny_yaml, *settings)
    found: list[int] = []
    command.wait_for(lambda: found or found.extend(command.other_ranks()))
    time.sleep(random.uniform(0, 3))
    ended = command.stop(number, found)
    assert ended.seconds < WITHIN_S
    assert "Traceback" not in ended.said
    if number == signal.SIGKILL:
        assert (ended.code, ended.said.count(LOST)) == (1, 1), ended.said[-3000:]
    else:
        assert ended.code == 143, ended.said[-3000:]
        assert "stopped by SIGTERM; the same command goes on" in ended.said
        assert LOST not in ended.said
