"""One trial: a command is disturbed, what it says and leaves is looked at, and the same command has to finish."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from helpers.faults import blows
from helpers.faults.blows import Blow, SmallDisk
from helpers.faults.child import Child
from helpers.faults.scenes import Scene

LIMIT_S = 600.0  # for a command that takes seconds; a busy machine is slow
END_S = 60.0  # for the end after a signal, or after the death of another process
_TRIES = 5  # a fault that came too late is tried again, earlier
_LONGEST = 700  # characters of a message
AGAIN_SHARE = 1 / 3  # of the trials whose recovery is disturbed, too


@dataclass(frozen=True)
class Known:
    """A scene as it is undisturbed.

    Attributes:
        scene: what is run.
        start: folder with the state it starts from.
        expected: digests of its results.
        seconds: that it takes.
        events: times that it uses files.
        growth: bytes that it writes.
        largest: bytes of the largest file that it writes.
    """

    scene: Scene
    start: Path
    expected: Mapping[str, str]
    seconds: float
    events: int
    growth: int
    largest: int


@dataclass
class Outcome:
    """What a trial found; ``problems`` is empty where all was well."""

    number: int
    scene: str
    kind: str
    blow: str
    hits: int = 0
    missed: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


def size_of(folder: Path) -> int:
    """Bytes of all files, in pages, as a file system counts them."""
    return sum(-(-path.stat().st_size // 4096) * 4096 + 4096 for path in folder.rglob("*"))


def run_trial(number: int, known: Known, blow: Blow, folder: Path, seed: int) -> Outcome:
    """Disturb, look, and finish.

    Args:
        number: of the trial, for the outcome.
        known: the scene.
        blow: the fault.
        folder: for this trial alone; it is deleted.
        seed: of whether, and when, the recovery is disturbed.
    """
    started = time.monotonic()
    outcome = Outcome(number, known.scene.name, blow.kind, str(blow))
    rng = random.Random(f"{seed}/{number}")
    disk = SmallDisk(folder) if blow.kind == blows.DISK and SmallDisk.allowed(folder) else None
    try:
        _disturb_until_hit(known, blow, folder, disk, outcome)
        if outcome.hits and rng.random() < AGAIN_SHARE:
            again = Blow(blows.KILL, rng.random(), rng.random() < 0.5, 0.0)
            outcome.blow += f", then {again}"
            children = _struck(known, again, folder)
            if any(child.code != 0 for child in children):
                outcome.hits += 1
            outcome.problems += known.scene.torn(folder, known.expected)
        if outcome.hits:
            _finish(known, folder, outcome)
    finally:
        if disk is not None:
            disk.remove()
        shutil.rmtree(folder, ignore_errors=True)
    outcome.seconds = round(time.monotonic() - started, 2)
    return outcome


def finished(scene: Scene, folder: Path, before: Callable[[], None] = lambda: None) -> list[Child]:
    """Run a scene's command undisturbed."""
    children = _start(scene, folder, before)
    for child in children:
        child.code = child.wait(LIMIT_S)
    return children


def _disturb_until_hit(known: Known, blow: Blow, folder: Path, disk: SmallDisk | None, outcome: Outcome) -> None:
    for attempt in range(_TRIES):
        if disk is not None:
            disk.remove()
            disk.make()
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(known.start, folder, dirs_exist_ok=True)
        if disk is not None:
            disk.leave(int(blow.share * known.growth))
        children = _struck(known, blow, folder, small_disk=disk is not None)
        problems = [problem for child in children for problem in _said_wrong(child, blow)]
        torn = known.scene.torn(folder, known.expected)
        if disk is not None:
            disk.enlarge()
        whole = not torn and known.scene.found(folder) == dict(known.expected)
        ended = [child.code for child in children]
        not_begun = ended == [-signal.SIGTERM] and not children[0].said and not known.scene.found(folder)
        if all(code == 0 for code in ended) or not_begun or (whole and blow.kind in (blows.KILL, blows.TERM)):
            # It came before the beginning or after the end; what it left has to be right all the same.
            if not not_begun and not whole:
                outcome.hits += 1
                outcome.problems += ["the command said that all was well", *torn, *_differences(known, folder)]
                return
            outcome.missed += 1
            lower = blow.share * 0.6 if not not_begun else min(0.9, blow.share + 0.2)
            blow = Blow(blow.kind, lower, blow.at_event, (blow.more + 0.37 * attempt) % 1)
            continue
        outcome.hits += 1
        outcome.problems += problems + torn
        return


def _finish(known: Known, folder: Path, outcome: Outcome) -> None:
    children = finished(known.scene, folder)
    for child in children:
        if child.code != 0:
            outcome.problems.append(f"the same command then ended with {child.code}: {child.said[-_LONGEST:]}")
    outcome.problems += _differences(known, folder)


def _differences(known: Known, folder: Path) -> list[str]:
    try:
        found = known.scene.found(folder)
    except Exception as error:
        return [f"a result can't be read: {error}"]
    names = sorted({*found, *known.expected})
    return [
        f"{name}: {'another content' if name in found else 'is missing'}"
        for name in names
        if found.get(name) != known.expected.get(name)
    ]


def _start(scene: Scene, folder: Path, before: Callable[[], None]) -> list[Child]:
    if scene.ranks == 1:
        return [Child(scene, folder, before)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [Child(scene, folder, before, rank, port) for rank in range(scene.ranks)]


def _struck(known: Known, blow: Blow, folder: Path, small_disk: bool = False) -> list[Child]:
    """Run a command that meets a fault, to its end."""
    scene, at_s, before = known.scene, blow.share * known.seconds, lambda: None
    event = 1 + int(blow.share * known.events)
    if blow.at_event and blow.kind in blows.SIGNALS:
        before = blows.strike_at_event(event, blows.send(blows.SIGNALS[blow.kind]))
    elif blow.at_event and blow.kind == blows.DESCRIPTORS:
        before = blows.strike_at_event(event, lambda: blows.take_descriptors(os.getpid(), blow.more))
    elif blow.kind == blows.SIZE or (blow.kind == blows.DISK and not small_disk):
        before = blows.limit_size(1 + int(blow.share * known.largest))
    children = _start(scene, folder, before)
    struck = children[int(blow.more * len(children)) % len(children)]
    if blow.kind == blows.WORKER:
        _kill_worker(struck, at_s, blow.more)
    elif not blow.at_event and blow.kind in (*blows.SIGNALS, blows.RANK, blows.DESCRIPTORS):
        _strike(blow, struck, at_s)
    for child in (struck, *(child for child in children if child is not struck)):
        # An end by a signal comes soon; one that came before the signal is waited for as any.
        child.code = child.wait(END_S if blow.kind in (blows.RANK, blows.TERM) else LIMIT_S)
    return children


def _strike(blow: Blow, child: Child, at_s: float) -> None:
    if child.poll(at_s) is not None:
        return
    if blow.kind == blows.DESCRIPTORS:
        with contextlib.suppress(OSError):  # it has just ended
            blows.take_descriptors(child.pid, blow.more)
        return
    os.kill(child.pid, signal.SIGKILL if blow.kind == blows.RANK else blows.SIGNALS[blow.kind])


def _kill_worker(child: Child, at_s: float, more: float) -> None:
    """Kill one of its workers, a while after the first one has come."""
    while child.poll(0.005) is None and not child.workers():
        pass
    if child.code is None and child.poll(at_s * 0.3) is None and (workers := child.workers()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(workers[int(more * len(workers))], signal.SIGKILL)


def _said_wrong(child: Child, blow: Blow) -> list[str]:
    """What is wrong with the end of a disturbed command, beside its files."""
    end = child.said[-_LONGEST:].strip()
    if child.code is None:
        return [f"it hung; it had said: {end}"]
    if child.code == 0 or child.code == -signal.SIGKILL:
        return [] if child.code == 0 or blow.kind in (blows.KILL, blows.RANK) else [f"it died of SIGKILL: {end}"]
    problems = []
    if child.code < 0:
        problems.append(f"it died of {signal.Signals(-child.code).name}")
    elif blow.kind == blows.TERM and child.code != 128 + signal.SIGTERM and child.scene.ranks == 1:
        problems.append(f"exit code {child.code}; expected 143")
    lines = [line for line in child.said.splitlines() if line.strip()]
    name = f"python -m {child.scene.module}: "
    if "Traceback" in child.said:
        problems.append(f"a traceback: {end}")
    elif child.code > 0 and (not lines or not lines[-1].startswith(name) or len(lines[-1]) > _LONGEST):
        problems.append(f"no message of one line, {name}...; found: {end}")
    if "weights_only" in child.said:
        problems.append("torch's advice")
    return problems
