"""Faults by the hundred: ``python -m helpers.faults.soak [--faults 1000] [--seed 0]``, from tests/ as a path.

A parent imports everything once, and runs each command undisturbed. Runners, as many as there are cores, fork from it;
their trials fork from them. Exit code 1 says that a trial found something; its line can be repeated with ``--only``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from helpers.faults import blows, scenes
from helpers.faults.blows import Blow
from helpers.faults.child import end_with
from helpers.faults.scenes import Scene
from helpers.faults.trials import Known, Outcome, finished, run_trial, size_of

_STATES = ("inputs", "built", "featured", "trained")  # each is the one before it, and a command's results
# What a scene starts from.
_STARTS = {
    "build": "inputs", "build2": "inputs", "features": "built", "pretrain": "featured", "ranks": "featured",
    "evaluate": "trained", "evaluate2": "trained", "predict": "trained", "predict2": "trained",
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run trials from the command line; a line for each that found something, and a table at the end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faults", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of trials to repeat")
    parser.add_argument("--scenes", nargs="*", default=list(blows.PLAN), help="default: all")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output", type=Path, help="for the outcomes, as lines of JSON")
    arguments = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        trials = [(n, *trial) for n, trial in enumerate(blows.plan(arguments.seed, arguments.faults))]
        trials = [one for one in trials if one[1] in arguments.scenes]
        if arguments.only:
            trials = [one for one in trials if one[0] in arguments.only]
        started = time.monotonic()
        known = undisturbed(folder, {scene for _, scene, _ in trials})
        prepared = time.monotonic() - started
        outcomes = run_all(known, trials, folder, arguments.seed, arguments.jobs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.output:
        lines = "".join(json.dumps(asdict(outcome)) + "\n" for outcome in outcomes)
        arguments.output.write_text(lines, encoding="utf-8")
    print(summary(outcomes, arguments.seed))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    took, cores = time.monotonic() - started, used.ru_utime + used.ru_stime
    print(f"{took:.0f} s, {prepared:.0f} of them for the undisturbed runs; {cores:.0f} s of one core")
    return 1 if any(outcome.problems for outcome in outcomes) else 0


def summary(outcomes: Sequence[Outcome], seed: int) -> str:
    """Markdown: how many faults of each kind met which command, and what was found."""
    kinds = [kind for kind in blows.KINDS if any(outcome.kind == kind for outcome in outcomes)]
    names = list(dict.fromkeys(name for name in blows.PLAN if any(outcome.scene == name for outcome in outcomes)))
    hits = Counter[tuple[str, str]]()
    for outcome in outcomes:
        hits[outcome.scene, outcome.kind] += outcome.hits
    lines = [f"| command | {' | '.join(kinds)} |", f"| --- |{' ---: |' * len(kinds)}"]
    lines += [f"| {name} | {' | '.join(str(hits[name, kind] or '') for kind in kinds)} |" for name in names]
    bad = [outcome for outcome in outcomes if outcome.problems]
    total, missed = sum(hits.values()), sum(outcome.missed for outcome in outcomes)
    lines.append(f"\nseed {seed}: {total} faults in {len(outcomes)} trials ({missed} came too early or too late)")
    lines.append(f"{len(bad)} trials found something" if bad else "all were survived")
    return "\n".join(lines)


def undisturbed(folder: Path, wanted: Iterable[str]) -> dict[str, Known]:
    """Make the states that scenes start from, import what they import, and run each as it is without a fault.

    Raises:
        RuntimeError: a command fails undisturbed, or two runs of it differ.
    """
    every = scenes.scenes()
    chosen = [name for name in blows.PLAN if name in set(wanted)]
    last = max((_STATES.index(_STARTS[name]) for name in chosen), default=0)
    (folder / "inputs").mkdir()
    _in_child(lambda: scenes.write_inputs(folder / "inputs"), folder)
    for before, state, made_by in zip(_STATES, _STATES[1 : last + 1], ("build", "features", "pretrain"), strict=False):
        shutil.copytree(folder / before, folder / state)
        _measure_in(every[made_by], folder / state, folder)
    if last == _STATES.index("trained"):
        _in_child(lambda: scenes.make_head(folder / "trained"), folder)
    known = {}
    for name in chosen:
        start = folder / _STARTS[name]
        found = [_measured(every[name], start, folder) for _ in range(2)]  # the second with everything imported
        if found[0].expected != found[1].expected or not found[1].expected:
            raise RuntimeError(f"{name}: two undisturbed runs differ: {found[0].expected} {found[1].expected}")
        known[name] = found[1]
    return known


def run_all(
    known: dict[str, Known], trials: Sequence[tuple[int, str, Blow]], folder: Path, seed: int, jobs: int
) -> list[Outcome]:
    """Run all trials in ``jobs`` processes."""
    sys.stdout.flush()
    runners = {}
    for job in range(jobs):
        mine, parent = trials[job::jobs], os.getpid()
        pid = os.fork()
        if pid == 0:
            end_with(parent)
            code = 1
            try:
                _run_some(known, mine, folder / f"runner-{job}", seed)
                code = 0
            finally:
                sys.stdout.flush()
                os._exit(code)
        runners[pid] = job
    failed = []
    while runners:
        pid, status = os.wait()
        if pid in runners and os.waitstatus_to_exitcode(status):
            failed.append(runners[pid])
        runners.pop(pid, None)
    if failed:
        raise RuntimeError(f"runners {failed} failed, see above")
    outcomes = []
    for job in range(jobs):
        text = (folder / f"runner-{job}" / "outcomes.jsonl").read_text(encoding="utf-8")
        outcomes += [Outcome(**json.loads(line)) for line in text.splitlines()]
    return sorted(outcomes, key=lambda outcome: outcome.number)


def _run_some(known: dict[str, Known], trials: Sequence[tuple[int, str, Blow]], folder: Path, seed: int) -> None:
    folder.mkdir()
    with (folder / "outcomes.jsonl").open("w", encoding="utf-8") as file:
        for number, scene, blow in trials:
            outcome = run_trial(number, known[scene], blow, folder / "trial", seed)
            file.write(json.dumps(asdict(outcome)) + "\n")
            file.flush()
            if outcome.problems:
                print(f"--seed {seed} --only {number}: {scene}: {outcome.blow}", flush=True)
                for problem in outcome.problems:
                    print(f"    {problem}", flush=True)


def _measured(scene: Scene, start: Path, folder: Path) -> Known:
    trial = folder / "measured"
    shutil.copytree(start, trial)
    before = size_of(trial)
    at_start = set(trial.rglob("*"))
    try:
        seconds, events = _measure_in(scene, trial, folder)
        new = [path.stat().st_size for path in trial.rglob("*") if path.is_file() and path not in at_start]
        return Known(scene, start, scene.found(trial), seconds, events, size_of(trial) - before, max(new, default=1))
    finally:
        shutil.rmtree(trial)


def _measure_in(scene: Scene, state: Path, folder: Path) -> tuple[float, int]:
    """Run a command; import here what it imported, and return its seconds and uses of files."""
    report = folder / "report.txt"
    started = time.monotonic()
    children = finished(scene, state, blows.count_events(report))
    seconds = time.monotonic() - started
    for child in children:
        if child.code != 0:
            raise RuntimeError(f"{scene.name} ended undisturbed with {child.code}: {child.said[-3000:]}")
    count, *names = report.read_text(encoding="utf-8").split()
    _import(names)
    return seconds, int(count)


def _in_child(work: Callable[[], None], folder: Path) -> None:
    """Do what starts threads in another process; import here what it imported."""
    report = folder / "report.txt"
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            report.write_text("\n".join(sys.modules), encoding="utf-8")
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("a state to start from could not be made, see above")
    _import(report.read_text(encoding="utf-8").split())


def _import(names: Iterable[str]) -> None:
    for name in names:
        if name not in sys.modules and name != "__mp_main__":
            with contextlib.suppress(Exception):
                importlib.import_module(name)


if __name__ == "__main__":
    sys.exit(main())
