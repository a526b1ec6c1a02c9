"""The faults: what is done to a command, and when."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KILL, TERM, DISK, SIZE, DESCRIPTORS, WORKER, RANK = (
    "SIGKILL", "SIGTERM", "disk full", "file size", "descriptors", "worker killed", "rank killed",
)  # fmt: skip
KINDS = (KILL, TERM, DISK, SIZE, DESCRIPTORS, WORKER, RANK)
_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.truncate", "shutil.rmtree", "socket.connect", "os.listdir"}
# How often which command meets which fault: the quick ones more often than the slow ones.
PLAN = {
    "build": {KILL: 9, TERM: 5, DISK: 4, SIZE: 4, DESCRIPTORS: 4},
    "build2": {KILL: 4, TERM: 3, WORKER: 7, DESCRIPTORS: 2},
    "features": {KILL: 14, TERM: 7, DISK: 7, SIZE: 7, DESCRIPTORS: 7},
    "pretrain": {KILL: 10, TERM: 8, DISK: 5, SIZE: 5, DESCRIPTORS: 5},
    "ranks": {RANK: 6, TERM: 4},
    "evaluate": {KILL: 6, TERM: 4, DISK: 3, SIZE: 3, DESCRIPTORS: 3},
    "evaluate2": {WORKER: 7, KILL: 2, TERM: 2},
    "predict": {KILL: 10, TERM: 5, DISK: 5, SIZE: 5, DESCRIPTORS: 5},
    "predict2": {WORKER: 8, KILL: 3},
}


@dataclass(frozen=True)
class Blow:
    """One fault.

    Attributes:
        kind: one of :data:`KINDS`.
        share: when, as a share of the command's time, or of its uses of files; or of the space that it needs.
        at_event: whether ``share`` counts uses of files instead of seconds: such a moment comes again exactly.
        more: further chance: which worker, how many descriptors are left.
    """

    kind: str
    share: float
    at_event: bool
    more: float

    @classmethod
    def drawn(cls, kind: str, rng: random.Random) -> Blow:
        """Draw the moment."""
        at_event = kind in (KILL, TERM, DESCRIPTORS) and rng.random() < 0.5
        return cls(kind, rng.random(), at_event, rng.random())

    def __str__(self) -> str:
        unit = "files" if self.at_event else "bytes" if self.kind in (DISK, SIZE) else "seconds"
        return f"{self.kind} at {self.share:.4f} of the {unit}"


def plan(seed: int, count: int) -> list[tuple[str, Blow]]:
    """Draw scenes and faults; the same for the same seed."""
    rng = random.Random(seed)
    weighted = [(scene, kind, weight) for scene, kinds in PLAN.items() for kind, weight in kinds.items()]
    total = sum(weight for *_, weight in weighted)
    # Each pair as often as its weight says, and what is left over by chance.
    chosen = [(scene, kind) for scene, kind, weight in weighted for _ in range(count * weight // total)]
    weights = [weight for *_, weight in weighted]
    rest = rng.choices([(scene, kind) for scene, kind, _ in weighted], weights, k=count - len(chosen))
    chosen += rest
    rng.shuffle(chosen)
    return [(scene, Blow.drawn(kind, rng)) for scene, kind in chosen]


def count_events(report: Path) -> Callable[[], None]:
    """What a process calls to count its uses of files; at its end, a file has the count, and what it has imported."""

    def before() -> None:
        seen = _Seen(lambda: None, -1)
        leave: Any = os._exit

        def left(code: int) -> None:
            seen.over = True
            report.write_text("\n".join([str(seen.count), *sys.modules]), encoding="utf-8")
            leave(code)

        os._exit = left  # type: ignore[assignment]
        sys.addaudithook(seen)

    return before


def strike_at_event(number: int, strike: Callable[[], None]) -> Callable[[], None]:
    """What a process calls to be struck, by itself, when it uses files for the ``number``-th time."""
    return lambda: sys.addaudithook(_Seen(strike, number))


class _Seen:
    def __init__(self, strike: Callable[[], None], number: int) -> None:
        self.count, self.over, self._process = 0, False, os.getpid()
        self._strike, self._number = strike, number

    def __call__(self, event: str, arguments: object) -> None:
        if event not in _EVENTS or self.over or os.getpid() != self._process:
            return
        self.count += 1
        if self.count == self._number:
            self.over = True
            self._strike()


def send(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def take_descriptors(process: int, more: float) -> None:
    """Leave a process none to two descriptors more than it has open."""
    used = {int(path.name) for path in Path(f"/proc/{process}/fd").iterdir()}
    free = [number for number in range(len(used) + 4) if number not in used]
    _, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (free[int(more * 3)], hard))


def limit_size(size: int) -> Callable[[], None]:
    """Let no file grow beyond ``size``, as on a file system that has no room for it."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class SmallDisk:
    """A file system in memory, of few bytes, that can be made larger. Needs the right to mount."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def allowed(folder: Path) -> bool:
        """Try it."""
        folder.mkdir(parents=True, exist_ok=True)
        done = _mount(folder, "size=64k").returncode == 0
        if done:
            SmallDisk(folder).remove()
        return done

    def make(self) -> None:
        """Make it, large."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _mount(self.folder, "size=1g", check=True)

    def leave(self, room: int) -> None:
        """Leave room for so many bytes beside what is in it."""
        found = os.statvfs(self.folder)
        self._resize((found.f_blocks - found.f_bfree) * found.f_frsize + room)

    def enlarge(self) -> None:
        self._resize(1 << 30)

    def _resize(self, size: int) -> None:
        options = f"remount,size={-(-size // 4096) * 4096}"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True, capture_output=True)

    def remove(self) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=False, capture_output=True)


def _mount(folder: Path, options: str, check: bool = False) -> subprocess.CompletedProcess[bytes]:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, check=check, capture_output=True)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127)


SIGNALS = {KILL: signal.SIGKILL, TERM: signal.SIGTERM}
