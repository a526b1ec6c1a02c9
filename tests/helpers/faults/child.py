"""A command in a forked process, which need not import anything, and all that it says."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import multiprocessing
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helpers.faults.scenes import Scene, main_of

Before = Callable[[], None]


class Child:
    """A scene's command in a process of its own, in a session of its own.

    Args:
        scene: what is run.
        folder: where it runs.
        before: called in the new process, before the command.
        rank: of this process, where several run the command together; they meet at ``port``.
        port: see ``rank``.
    """

    def __init__(
        self, scene: Scene, folder: Path, before: Before = lambda: None, rank: int | None = None, port: int = 0
    ) -> None:
        self.scene, self.said = scene, ""
        self.code: int | None = None
        reader, writer = os.pipe()
        begun, begins = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            end_with(parent)
            os.close(reader)
            os.close(begun)
            _become(scene, folder, before, writer, begins, rank, port)
        os.close(writer)
        os.close(begins)
        os.read(begun, 1)  # what disturbs by time disturbs the command, not what is done before it
        os.close(begun)
        self.started = time.monotonic()
        self._reader = reader
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_NONBLOCK)

    def poll(self, wait_s: float = 0.0) -> int | None:
        """Listen for a time; the exit code once it has ended, negative for a signal, as subprocess has it."""
        deadline = time.monotonic() + wait_s
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._reader], [], [], min(left, 0.01)) if self._reader >= 0 else ([], [], [])
            if ready:
                self._listen()
            if self.code is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.code = os.waitstatus_to_exitcode(status)
            if self.code is not None:
                return self.code
            if left <= 0:
                return None

    def wait(self, limit_s: float) -> int | None:
        """Wait for the end, and end what it has left behind; None is a process that hung, and was killed."""
        code = self.poll(limit_s)
        self.kill_all()
        if code is None:
            os.waitpid(self.pid, 0)
        self._listen()
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1
        return code

    def kill_all(self) -> None:
        """Kill its whole session: it and its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def workers(self) -> list[int]:
        """The processes that it has started, and that are alive."""
        found = []
        for task in Path(f"/proc/{self.pid}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
        return found

    def _listen(self) -> None:
        while self._reader >= 0:
            try:
                heard = os.read(self._reader, 1 << 16)
            except BlockingIOError:
                return
            if not heard:
                os.close(self._reader)
                self._reader = -1
                return
            self.said += heard.decode(errors="replace")


def end_with(parent: int) -> None:
    """Have the kernel end this process when the one that forked it ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def _become(scene: Scene, folder: Path, before: Before, writer: int, begins: int, rank: int | None, port: int) -> None:
    """Run the command, as a fresh interpreter would; never returns."""
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        for descriptor in (nothing, writer):
            os.close(descriptor)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _fork_workers()
        arguments = list(scene.arguments)
        if rank is not None:
            os.environ.update(_as_torchrun(rank, scene.ranks, port))
        scene.prepare()
        main = main_of(scene)
        sys.argv = [scene.module, *arguments]
        before()
        os.close(begins)
        code = main(arguments)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _fork_workers() -> None:
    """Fork workers from this process: a server for that would import all again, which takes seconds each time."""
    made: Any = multiprocessing.get_context

    def get_context(method: str | None = None) -> Any:
        context = made("fork" if method == "forkserver" else method)
        if method == "forkserver":
            context.set_forkserver_preload = lambda names: None
        return context

    multiprocessing.get_context = get_context


def _as_torchrun(rank: int, ranks: int, port: int) -> dict[str, str]:
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "faults",
    }
