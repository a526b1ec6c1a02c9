"""Stopping by a signal: at once, or at the next step of a training, and in any case within half a minute.

Inside :func:`stoppable`, the signals of :data:`SIGNALS` raise :class:`Interrupted` where the main thread is. A training
asks for time with :func:`postpone`, and looks at :func:`received` after each step. A thread of its own hears of the
signal too: after :data:`GRACE_S` seconds it ends the process, whatever the main thread waits for.
:func:`end_because` stops a process in the same way for another reason than a signal.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

# What a terminal, a machine that shuts down, and Slurm (--signal=USR1@60) send.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)
GRACE_S = 20.0
_SAME_S = 1.0  # two of the same cause: a terminal tells a whole group of processes, and so may a parent
_EXIT_SIGNAL = 128  # plus the signal's number, as shells have it


class Interrupted(BaseException):
    """A command that a signal stopped, and that can go on; its exit code is 128 and the signal's number.

    It is no ``KeyboardInterrupt``, which Lightning would turn into exit code 1 and a kill of the other processes.

    Args:
        message: says how far it came, and how it goes on; empty where another process says it.
        number: the signal.
        exit_code: of the process; None takes 128 and the signal's number.
    """

    def __init__(self, message: str | None = None, number: int = signal.SIGINT, exit_code: int | None = None) -> None:
        said = f"stopped by {name_of(number)}; the same command goes on: what is finished is kept"
        super().__init__(said if message is None else message)
        self.signal = int(number)
        self.exit_code = _EXIT_SIGNAL + self.signal if exit_code is None else exit_code


def name_of(number: int) -> str:
    """Name a signal, as ``kill -l`` does; Ctrl-C by its key."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


class Abandoned(Interrupted):
    """A command that can't go on alone, as another process that it needs has ended; its exit code is 1."""


class _Stopping:
    """The handlers of this process, and the thread that watches the time.

    Args:
        title: of the command, for the message of an end by force.
    """

    def __init__(self, title: str) -> None:
        self.received = 0
        self.postponed = False
        self.at_force: list[Callable[[], object]] = []
        self._title = title
        self._heard = 0  # by the thread: the handler waits for the main thread
        self._because, self._raised = "", False
        self._lost = False  # whether Python dropped the exception, as it does in __del__ and in weakrefs' callbacks
        self._at = self._started = 0.0
        self._grace_s = GRACE_S
        # Those that are ignored stay so: nohup ignores SIGHUP, a shell's background SIGINT.
        self._before = {n: signal.getsignal(n) for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN}
        self._hears, told = socket.socketpair()
        self._told = told
        told.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._not_raised
        for number in self._before:
            signal.signal(number, self._handle)
        self._thread = threading.Thread(target=self._watch, name="stopping", daemon=True)
        self._thread.start()

    def extend(self, grace_s: float) -> None:
        """Allow more time: for other processes, which have their own."""
        self._grace_s = grace_s

    def tell(self, number: int) -> bool:
        """Stop as if the signal had come, whatever thread this is; False if this process ignores it."""
        if number in self._before and not self._heard:
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        return number in self._before

    def end_because(self, reason: str) -> None:
        """Stop for another reason than a signal; nothing changes if one has come."""
        if self._before and not self._heard and not self._because:
            self._because = reason
            self.tell(next(iter(self._before)))  # any of them wakes the main thread

    def close(self) -> None:
        """Put everything back as it was."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        sys.unraisablehook = self._unraisable
        signal.set_wakeup_fd(self._wakeup)
        self._told.close()  # which ends the thread
        self._thread.join()
        self._hears.close()

    def forget(self) -> None:
        """Take the handlers away in a process that was just forked: what stops it is no signal to its parent."""
        signal.set_wakeup_fd(-1)  # the socket is the parent's
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        now, again = time.monotonic(), self.received
        if self._because and not self._raised:
            self._raised = True
            _kill_workers()
            raise Abandoned(self._because, number, 1)
        lost, self._lost = self._lost, False
        if lost and self.postponed:
            return
        if again and not lost and (number != signal.SIGINT or now - self._at < _SAME_S):
            return  # it is stopping; only a second Ctrl-C is in a greater hurry
        self.received, self._at = number, now
        if self.postponed and not again:
            return
        _kill_workers()
        raise Interrupted(number=number)

    def _not_raised(self, dropped: sys.UnraisableHookArgs) -> None:
        if isinstance(dropped.exc_value, Interrupted):
            self._lost = True
        else:
            self._unraisable(dropped)

    def _watch(self) -> None:
        deadline = None
        while True:
            if deadline is not None and time.monotonic() >= deadline:
                self._force(self._heard)
            self._hears.settimeout(None if deadline is None else 0.1)
            try:
                heard = self._hears.recv(1)
            except TimeoutError:
                if self._lost:
                    signal.pthread_kill(threading.main_thread().ident or 0, self._heard)
                deadline = self._started + self._grace_s
                continue
            if not heard:
                return
            if deadline is None and heard[0] in self._before:
                self._heard, self._started = heard[0], time.monotonic()
                deadline = self._started + self._grace_s

    def _force(self, number: int) -> None:
        # The main thread may hold any lock: nothing here waits for one.
        said = f"stopped by {name_of(number)}; it came to no end of its own within {self._grace_s:g} s"
        said += ". The same command goes on from what was saved"
        _write(f"\n{self._title}: {self._because or said}\n")
        _kill_workers()
        for end in self.at_force:
            end()
        os._exit(1 if self._because else _EXIT_SIGNAL + number)


def _kill_workers() -> None:
    for worker in multiprocessing.active_children():
        worker.kill()  # else their pool would wait until they have done what they are at


def _write(text: str) -> None:
    with suppress(OSError):  # whoever read this may be gone, as a terminal that was closed
        # Or read no more, as a pager that waits for a key: writing would wait, too, and nothing would end.
        if select.select([], [2], [], 0)[1]:
            os.write(2, text.encode())


_current: _Stopping | None = None


def _forget_in_child() -> None:
    global _current
    if _current is not None:
        _current.forget()
        _current = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


@contextmanager
def stoppable(title: str = "") -> Iterator[None]:
    """Let signals stop what is done inside; nothing changes inside another one, or in another than the main thread.

    Args:
        title: of the command, for the message of an end by force.

    Raises:
        Interrupted: a signal came.
    """
    global _current
    if _current is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _current = _Stopping(title or sys.argv[0])
    try:
        yield
    finally:
        _current.close()
        _current = None


def postpone(on: bool, at_force: Callable[[], object] | None = None) -> None:
    """Have signals noted alone, for :func:`received`, instead of raised; a second Ctrl-C is raised all the same.

    Args:
        on: False has them raised again.
        at_force: ends other processes, if this one is ended by force.
    """
    if _current is not None:
        _current.postponed = on
        _current.at_force = [] if at_force is None else [at_force]


def allow(grace_s: float) -> None:
    """Allow more time than :data:`GRACE_S` between the signal and an end by force."""
    if _current is not None:
        _current.extend(grace_s)


def hand_on(number: int) -> bool:
    """Stop this process as if it had got the signal; may be called in any thread.

    Returns:
        Whether it stops; it does not where it ignores the signal.
    """
    return _current is not None and _current.tell(number)


def end_because(reason: str) -> None:
    """Stop for another reason than a signal, postponed or not, with exit code 1; may be called in any thread."""
    if _current is not None:
        _current.end_because(reason)


def received() -> int:
    """Return the number of the signal that came; 0 if none did."""
    return 0 if _current is None else _current.received


def raise_received(message: str) -> None:
    """Raise what was noted while signals were postponed.

    Raises:
        Interrupted: a signal came.
    """
    if number := received():
        raise Interrupted(message, number)


def leave(exit_code: int) -> NoReturn:
    """End the process now, without taking the interpreter apart, which takes many seconds on a busy machine."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read this may be gone
            stream.flush()
    try:
        atexit._run_exitfuncs()
    finally:
        os._exit(exit_code)


def end_with_parent(every_s: float = 1.0, message: str = "") -> None:
    """End this process when its parent has ended: for those that a launcher starts, which would wait for it.

    Args:
        every_s: seconds between two looks.
        message: what is said then.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_s)
        _write(f"\n{message}\n" if message else "")
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def of_exit_code(code: int) -> int:
    """Return the signal that an exit code of a command tells of; 0 if none."""
    number: Any = -code if code < 0 else code - _EXIT_SIGNAL
    return int(number) if number in SIGNALS else 0
