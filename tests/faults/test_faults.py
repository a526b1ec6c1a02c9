"""Commands that are killed, starved and cut off at random moments: words, nothing torn, the same result after all."""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from helpers.faults import blows
from helpers.faults.blows import PLAN, Blow, plan
from helpers.faults.scenes import scenes
from helpers.faults.trials import Outcome

ROOT = Path(__file__).resolve().parents[2]
TRIALS = 200  # a third of them are struck twice; a few are never hit
PAIRS = [(scene, kind) for scene, kinds in PLAN.items() for kind in kinds]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """What all trials found, made in processes that fork from one that has imported everything."""
    path = tmp_path_factory.mktemp("faults") / "outcomes.jsonl"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.run(
        [sys.executable, "-m", "helpers.faults.soak", "--faults", str(TRIALS), "--output", str(path)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert path.is_file(), process.stderr[-3000:]
    print(process.stdout)
    return [Outcome(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("scene", "kind"), PAIRS, ids=lambda value: str(value).replace(" ", "_"))
def test_a_fault_is_told_in_a_sentence_and_survived(outcomes: list[Outcome], scene: str, kind: str) -> None:
    found = [one for one in outcomes if (one.scene, one.kind) == (scene, kind)]
    assert found
    assert [f"--only {one.number}: {one.blow}: {problem}" for one in found for problem in one.problems] == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_there_were_two_hundred_faults(outcomes: list[Outcome]) -> None:
    assert sum(one.hits for one in outcomes) >= 200


def test_a_plan_is_the_same_for_the_same_seed_and_has_every_pair() -> None:
    assert plan(3, TRIALS) == plan(3, TRIALS) != plan(4, TRIALS)
    counted = Counter((scene, blow.kind) for scene, blow in plan(3, TRIALS))
    assert set(counted) == set(PAIRS)
    assert set(PLAN) == set(scenes())


def test_a_moment_by_use_of_files_comes_again_exactly() -> None:
    """The interpreter calls back at each use of a file; a child is struck at the third, whatever the clock says."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        blows.strike_at_event(3, lambda: os._exit(7))()
        for _ in range(5):
            os.write(writer, b"x")
            os.listdir("/")  # noqa: PTH208  one use of a file
        os._exit(0)
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert os.read(reader, 9) == b"xxx"
    os.close(reader)


def test_descriptors_are_taken_from_another_process() -> None:
    gc.collect()  # else files of earlier tests may be closed in the child, which then has more to open
    reader, writer = os.pipe()
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        gc.disable()
        os.write(tell, b"x")  # what libraries do after a fork, such as closing files, is over
        os.read(reader, 1)
        opened = 0
        try:
            while opened < 50:
                os.open("/", os.O_RDONLY)
                opened += 1
        finally:
            os._exit(opened)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.read(ready, 1)
    blows.take_descriptors(pid, more=0.4)
    os.write(writer, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
    for descriptor in (reader, writer, ready, tell):
        os.close(descriptor)


def test_a_moment_is_within_the_command() -> None:
    drawn = [Blow.drawn(kind, random.Random(seed)) for kind in blows.KINDS for seed in range(20)]
    assert all(0 <= blow.share < 1 for blow in drawn)
    assert not any(blow.at_event for blow in drawn if blow.kind in (blows.RANK, blows.WORKER, blows.DISK))
