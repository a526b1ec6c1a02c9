"""Commands that get signals: how they end, how soon, and that nothing of them is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

WITHIN_S = 30.0  # from the signal to the exit
_ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "", "PYTHONUNBUFFERED": "1"}


@dataclass
class Ended:
    """How a command ended."""

    code: int
    said: str
    seconds: float


class Command:
    """A command in a process group of its own, as a terminal starts it.

    Attributes:
        process: the first of its processes.
        said: what it has said, for who reads it to the end.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **_ENVIRONMENT},
            preexec_fn=_alone,
        )

    def members(self) -> list[int]:
        """All processes of the group that are still there."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[2]) == self.process.pid and fields[0] != "Z":
                    found.append(int(entry.name))
        return found

    def other_ranks(self) -> list[int]:
        return other_ranks(self.process.pid)

    def wait_for(self, there: Callable[[], object], seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        while not there():
            assert self.process.poll() is None, f"it ended too soon: {self.process.communicate()[0][-3000:]}"
            assert time.monotonic() < deadline, "what was waited for did not come"
            time.sleep(0.002)

    def holds_lock(self, folder: Path) -> bool:
        """Whether the first process has locked a file of this folder, at any depth."""
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        mine = {line[5].rpartition(":")[2] for line in lines if line[4] == str(self.process.pid)}
        return any(str(path.stat().st_ino) in mine for path in folder.rglob("*lock"))

    def pause(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def says(self, words: str) -> str:
        """Read what it prints until the words are there, wherever lines break; what it has said."""
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if words in " ".join(said.split()):
                return said
        raise AssertionError(f"it ended without {words!r}: {said[-3000:]}")

    def hears(self) -> bool:
        """Whether the command has its handlers: SIGUSR2 is caught, which Python leaves alone."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        return bool(caught >> (signal.SIGUSR2 - 1) & 1)

    def stop(self, number: int, to: Sequence[int] = ()) -> Ended:
        """Send the signal, to the first process or to these, and wait for the end of all."""
        started = time.monotonic()
        for pid in to or [self.process.pid]:
            os.kill(pid, number)
        said, _ = self.process.communicate(timeout=WITHIN_S + 60)
        seconds = time.monotonic() - started
        deadline = time.monotonic() + 5
        while (left := self.members()) and time.monotonic() < deadline:
            time.sleep(0.05)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, "processes were left behind"
        print(f"{signal.Signals(number).name}: {seconds:.1f} s")
        return Ended(self.process.returncode, said, seconds)


def _alone() -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's & has ignored


def other_ranks(first: int) -> list[int]:
    """The processes of a training besides the one that started them, by their rank.

    A command line does not tell them: until it runs its own program, any child has that of its parent.
    """
    ranks = {}
    for child in Path(f"/proc/{first}/task/{first}/children").read_text().split():
        with contextlib.suppress(OSError):  # it has just ended
            for entry in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                if entry.startswith(b"LOCAL_RANK="):
                    ranks[int(entry.partition(b"=")[2])] = int(child)
    return [ranks[rank] for rank in sorted(ranks)]
