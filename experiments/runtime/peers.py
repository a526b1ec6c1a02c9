"""The processes of a training, and the connections by which each hears at once that another has stopped or died.

They exist before the group of torch.distributed does, which would wait for a dead process until its time-out, deaf to
signals. Every process has one connection to the first, which hands on what it hears; the kernel closes the connection
of a process that ends, however it ends. They meet at the address that the group uses afterwards.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from experiments.runtime.errors import UserError
from experiments.runtime.greeting import ANSWER_S, ANSWERS, POLL_S, WELCOME, Guests, Hello, greet
from experiments.runtime.stopping import SIGNALS, Interrupted, end_because, hand_on, of_exit_code, received

LOST = (
    "another process of this training has ended (killed, or out of memory); its own output says why."
    " The same command goes on from the last checkpoint"
)
_READY, _GO, _DONE, _LOST = 129, 130, 131, 132  # a byte each; what is below is a signal's number
_BIND_S = 10.0  # the port may be held for a moment by whoever tried it out
_OWN_WORDS_S = 3.0  # that a process has to say by itself what went wrong, after another one has ended
# Of an idle connection: firewalls forget one after minutes, and a machine without power says nothing.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 30, "TCP_KEEPCNT": 10}

_lines: set[socket.socket] = set()


def _close_in_child() -> None:
    # A worker that outlives its parent would keep the connection open.
    for line in list(_lines):
        line.close()
    _lines.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


class Peers:
    """All processes of a training, as one of them sees them.

    Args:
        rank: of this process among all.
        world: number of processes.
        address: host of the first process.
        port: that the first process listens at, until all have come.
        within_s: seconds in which all have to come.
        training: the same words in all of them; those of another training may come to the same port.
    """

    def __init__(self, rank: int, world: int, address: str, port: int, within_s: float, training: str = "") -> None:
        self.rank, self.world = rank, world
        self._address, self._port, self._within_s = address, port, within_s
        self._hello = Hello.of(training, rank, world)
        self._others: dict[socket.socket, int] = {}
        self._selector = selectors.DefaultSelector()
        self._came: set[int] = set()
        self._left: set[int] = set()  # those that have ended as they should
        self._go, self._news, self._closed = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peers", daemon=True)

    def end(self, error: BaseException | None) -> None:
        """Tell the others how this process ends, and close the connections."""
        if error is None:
            self._tell(_DONE)
        elif isinstance(error, Interrupted) and (number := received()):
            self._tell(number)
        self.close()

    @property
    def lost(self) -> bool:
        """Whether another process has ended, by itself or by a signal."""
        return self._news.is_set()

    def meet(self, gone: Callable[[], int | None] = lambda: None) -> None:
        """Wait until all processes are there.

        Args:
            gone: returns the exit code of a process that this one has started and that has ended; else None.

        Raises:
            UserError: they were not all there in time, or one has ended.
            Interrupted: a signal stopped one of them.
        """
        self._thread.start()
        deadline = time.monotonic() + self._within_s
        if self.rank:
            self._connect(deadline)
        else:
            self._gather(deadline, gone)

    def start_together(self) -> None:
        """Wait until all processes have come this far; one that prepares data may take hours.

        Raises:
            UserError: another one had nothing to do, and has ended.
            Interrupted: a signal stopped one of them, or one has died.
        """
        if self.rank:
            self._tell(_READY)
            self._wait(lambda: self._go.is_set() or bool(self._left))
            came = self._go.is_set()
        else:
            self._wait(lambda: len(self._came | self._left) == self.world - 1)
            came = len(self._came) == self.world - 1
            self._tell(_GO if came else _LOST)
        if not came:
            raise UserError(LOST)

    def wait_for_news(self, seconds: float = _OWN_WORDS_S) -> None:
        """Wait for the word that another process has ended, after something has failed that may be due to it."""
        self._news.wait(seconds)

    def close(self) -> None:
        """Close the connections."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        for line in list(self._others):
            self._drop(line)
        self._selector.close()

    def _gather(self, deadline: float, gone: Callable[[], int | None]) -> None:
        arrived: set[int] = set()  # not those who are there: one may have done what it has to, and left
        with self._listener() as listener, Guests(listener, self._hello) as guests:
            while missing := sorted(set(range(1, self.world)) - arrived):
                if (code := gone()) is not None:
                    raise Interrupted(number=number) if (number := of_exit_code(code)) else UserError(LOST)
                if time.monotonic() > deadline:
                    other = " (one of another training, or of another number of processes, came)" * guests.refused
                    raise UserError(
                        f"{self.world - len(missing)} of {self.world} processes of this training came within"
                        f" {self._within_s:g} s (trainer.start_within_s); process {missing[0]} did not{other}, and its"
                        " own output, if any, says why. The same command, on all of them, starts again"
                    )
                for line, rank in guests.heard(arrived):
                    arrived.add(rank)
                    self._add(line, rank)

    def _listener(self) -> socket.socket:
        both = socket.has_dualstack_ipv6()
        deadline = time.monotonic() + _BIND_S
        while True:
            try:
                family = socket.AF_INET6 if both else socket.AF_INET
                return socket.create_server(("", self._port), family=family, dualstack_ipv6=both, backlog=self.world)
            except OSError as error:
                if time.monotonic() > deadline:
                    raise UserError(
                        f"port {self._port}, at which the processes of this training meet, can't be used:"
                        f" {error.strerror}; MASTER_PORT=... names another one, for all of them"
                    ) from error
            time.sleep(POLL_S)

    def _connect(self, deadline: float) -> None:
        found = "nothing answered"
        while True:
            try:
                line = socket.create_connection((self._address, self._port), timeout=ANSWER_S)
                try:
                    answer = greet(line, self._hello)
                except BaseException:
                    line.close()
                    raise
                if answer == WELCOME:
                    self._add(line, 0)
                    return
                line.close()
                found = ANSWERS.get(answer, "another program is there")
            except OSError as error:
                found = error.strerror or str(error)
            if time.monotonic() > deadline:
                raise UserError(
                    f"the first process of this training was not found at {self._address}:{self._port} within"
                    f" {self._within_s:g} s (trainer.start_within_s): {found}; its own output, if any, says why. The"
                    " same command, on all of them, starts again"
                )
            time.sleep(POLL_S)

    def _add(self, line: socket.socket, rank: int) -> None:
        _lines.add(line)
        line.settimeout(ANSWER_S)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):
                line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._others[line] = rank
        self._selector.register(line, selectors.EVENT_READ)

    def _drop(self, line: socket.socket) -> None:
        self._selector.unregister(line)
        self._others.pop(line)
        _lines.discard(line)
        line.close()

    def _wait(self, there: Callable[[], bool]) -> None:
        while not there():
            time.sleep(POLL_S / 4)  # a signal, or the end of another process, raises here

    def _tell(self, word: int) -> None:
        for line in list(self._others):
            with suppress(OSError):  # it has ended
                line.sendall(bytes([word]))

    def _watch(self) -> None:
        while not self._closed.is_set():
            if not self._others:
                self._closed.wait(POLL_S)
                continue
            for key, _ in self._selector.select(POLL_S):
                self._hear(key.fileobj)  # type: ignore[arg-type]

    def _hear(self, line: socket.socket) -> None:
        rank = self._others[line]
        try:
            words = line.recv(16)
        except OSError:
            words = b""
        for word in words or bytes([_LOST]):
            if word == _READY:
                self._came.add(rank)
            elif word == _GO:
                self._go.set()
            else:
                self._drop(line)
                if word == _DONE:
                    self._left.add(rank)
                else:
                    self._end_with(word)
                return

    def _end_with(self, word: int) -> None:
        if self._news.is_set() or self._closed.is_set():
            return
        self._tell(word)
        self._news.set()
        # A signal that this process ignores, as a shell's & has it do, has ended another one all the same.
        if not (word in SIGNALS and hand_on(word)) and not self._closed.wait(_OWN_WORDS_S):
            end_because(LOST)
