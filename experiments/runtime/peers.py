"""The processes of a training, and the connections by which each hears at once that another has stopped or died.

They exist before the group of torch.distributed does, which would wait for a dead process until its time-out, deaf to
signals. Every process has one connection to the first, which hands on what it hears; the kernel closes the connection
of a process that ends, however it ends. They meet at the address that the group uses afterwards.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from experiments.runtime.errors import UserError
from experiments.runtime.stopping import SIGNALS, Interrupted, end_because, hand_on, of_exit_code, received

LOST = (
    "another process of this training has ended (killed, or out of memory); its own output says why."
    " The same command goes on from the last checkpoint"
)
_HELLO = struct.Struct("!12sII")  # the name below, rank, number of processes
_NAME = b"imu-har peer"
_WELCOME, _READY, _GO, _DONE, _LOST = 128, 129, 130, 131, 132  # a byte each; what is below is a signal's number
_POLL_S = 0.2
_BIND_S = 10.0  # the port may be held for a moment by whoever tried it out
_ANSWER_S = 5.0  # that a process which has connected may take for its first words
_OWN_WORDS_S = 3.0  # that a process has to say by itself what went wrong, after another one has ended

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
    """

    def __init__(self, rank: int, world: int, address: str, port: int, within_s: float) -> None:
        self.rank, self.world = rank, world
        self._address, self._port, self._within_s = address, port, within_s
        self._others: dict[socket.socket, int] = {}
        self._selector = selectors.DefaultSelector()
        self._came: set[int] = set()
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
        """Wait until all processes have come this far; one that prepares data may take hours."""
        if self.rank:
            self._tell(_READY)
            self._wait(self._go.is_set)
        else:
            self._wait(lambda: len(self._came) == self.world - 1)
            self._tell(_GO)

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
        with self._listener() as listener:
            listener.settimeout(_POLL_S)
            while missing := sorted(set(range(1, self.world)) - set(self._others.values())):
                if (code := gone()) is not None:
                    raise Interrupted(number=number) if (number := of_exit_code(code)) else UserError(LOST)
                if time.monotonic() > deadline:
                    raise UserError(
                        f"{self.world - len(missing)} of {self.world} processes of this training came within"
                        f" {self._within_s:g} s (trainer.start_within_s); process {missing[0]} did not, and its own"
                        " output, if any, says why. The same command, on all of them, starts again"
                    )
                with suppress(TimeoutError):
                    line, _ = listener.accept()
                    self._welcome(line)

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
            time.sleep(_POLL_S)

    def _welcome(self, line: socket.socket) -> None:
        try:
            line.settimeout(_ANSWER_S)
            name, rank, world = _HELLO.unpack(line.recv(_HELLO.size, socket.MSG_WAITALL))
            if name == _NAME and world == self.world and 0 < rank < world and rank not in self._others.values():
                line.sendall(bytes([_WELCOME]))
                self._add(line, rank)
                return
        except (OSError, struct.error):  # some other program, or a process that has just ended
            pass
        line.close()

    def _connect(self, deadline: float) -> None:
        while True:
            with suppress(OSError):
                line = socket.create_connection((self._address, self._port), timeout=_ANSWER_S)
                try:
                    line.sendall(_HELLO.pack(_NAME, self.rank, self.world))
                    if line.recv(1) == bytes([_WELCOME]):
                        self._add(line, 0)
                        return
                    line.close()
                except BaseException:
                    line.close()
                    raise
            if time.monotonic() > deadline:
                raise UserError(
                    f"the first process of this training was not found at {self._address}:{self._port} within"
                    f" {self._within_s:g} s (trainer.start_within_s); its own output, if any, says why. The same"
                    " command, on all of them, starts again"
                )
            time.sleep(_POLL_S)

    def _add(self, line: socket.socket, rank: int) -> None:
        _lines.add(line)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._others[line] = rank
        self._selector.register(line, selectors.EVENT_READ)

    def _drop(self, line: socket.socket) -> None:
        self._selector.unregister(line)
        self._others.pop(line)
        _lines.discard(line)
        line.close()

    def _wait(self, there: Callable[[], bool]) -> None:
        while not there():
            time.sleep(_POLL_S / 4)  # a signal, or the end of another process, raises here

    def _tell(self, word: int) -> None:
        for line in list(self._others):
            with suppress(OSError):  # it has ended
                line.sendall(bytes([word]))

    def _watch(self) -> None:
        while not self._closed.is_set():
            if not self._others:
                self._closed.wait(_POLL_S)
                continue
            for key, _ in self._selector.select(_POLL_S):
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
                if word != _DONE:
                    self._end_with(word)
                return

    def _end_with(self, word: int) -> None:
        if self._news.is_set() or self._closed.is_set():
            return
        self._tell(word)
        self._news.set()
        if word in SIGNALS:
            hand_on(word)
        elif not self._closed.wait(_OWN_WORDS_S):
            end_because(LOST)
