"""The first words between the processes of a training that meet: who they are, and whether they are expected.

A process that connects says a :class:`Hello`, is welcomed, and says that it is still there: the first process may have
had no time for so long that it has given up, and connects again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import selectors
import socket
import struct
import time
from contextlib import suppress
from typing import NamedTuple

POLL_S = 0.2
ANSWER_S = 5.0  # that a process which has connected may take for its first words
WELCOME, _HERE, _OTHER = 128, 133, 134  # a byte each, beside those of peers.py
ANSWERS = {  # besides a welcome
    0: "the connection was closed",
    _OTHER: "another training is there, or one of another number of processes",
}
_FORM = struct.Struct("!12s8sII")
_NAME = b"imu-har peer"


class Hello(NamedTuple):
    """What a process says of itself.

    Attributes:
        name: of this protocol.
        training: digest of the words for the training, which are the same in all its processes.
        rank: of the process among all.
        world: number of processes.
    """

    name: bytes
    training: bytes
    rank: int
    world: int

    @classmethod
    def of(cls, training: str, rank: int, world: int) -> Hello:
        """What this process says."""
        return cls(_NAME, hashlib.blake2b(training.encode(), digest_size=8).digest(), rank, world)


def greet(line: socket.socket, hello: Hello) -> int:
    """Say who this process is; returns the answer, 0 if there was none.

    Raises:
        OSError: nobody answered.
    """
    if line.getsockname() == line.getpeername():
        # The system has drawn this very port for this end. An orderly end would keep the port for a minute.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    line.sendall(_FORM.pack(*hello))
    answer = int.from_bytes(line.recv(1), "big")
    if answer == WELCOME:
        line.sendall(bytes([_HERE]))
    return answer


class Guests:
    """Those who have connected to the first process and have not yet said who they are; none keeps another waiting.

    Args:
        listener: socket at which they come.
        host: what the first process would say of itself.
    """

    def __init__(self, listener: socket.socket, host: Hello) -> None:
        self.refused = False  # whether a process of another training came
        self._listener, self._host = listener, host
        self._said: dict[socket.socket, bytes] = {}
        self._until: dict[socket.socket, float] = {}
        self._selector = selectors.DefaultSelector()
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)

    def __enter__(self) -> Guests:
        return self

    def __exit__(self, *_: object) -> None:
        for line in list(self._said):
            self._forget(line).close()
        self._selector.close()

    def heard(self, arrived: set[int]) -> list[tuple[socket.socket, int]]:
        """Wait for a moment.

        Args:
            arrived: ranks that are there; further ones of these ranks are turned away.

        Returns:
            Connections of those that are expected, with their ranks.
        """
        found: dict[int, socket.socket] = {}
        for key, _ in self._selector.select(POLL_S):
            line: socket.socket = key.fileobj  # type: ignore[assignment]
            if line is self._listener:
                self._come()
                continue
            try:
                rank = self._rank_of(line, arrived | set(found))
            except (OSError, struct.error):  # some other program, or a process that has just ended
                self._forget(line).close()
            else:
                if rank is not None:
                    found[rank] = self._forget(line)
        for line in [line for line, until in self._until.items() if time.monotonic() > until]:
            self._forget(line).close()
        return [(line, rank) for rank, line in found.items()]

    def _come(self) -> None:
        with suppress(BlockingIOError, ConnectionError):  # it has gone again
            line, _ = self._listener.accept()
            line.setblocking(False)
            self._said[line] = b""
            self._until[line] = time.monotonic() + ANSWER_S
            self._selector.register(line, selectors.EVENT_READ)

    def _forget(self, line: socket.socket) -> socket.socket:
        self._selector.unregister(line)
        del self._said[line], self._until[line]
        return line

    def _rank_of(self, line: socket.socket, arrived: set[int]) -> int | None:
        """Hear what a guest says; returns its rank once it has taken its welcome.

        Raises:
            OSError: it has ended.
            struct.error: it is not expected.
        """
        before = self._said[line]
        heard = line.recv(_FORM.size + 1 - len(before))
        if not heard:
            raise ConnectionResetError
        said = self._said[line] = before + heard
        if len(said) < _FORM.size:
            return None
        guest = Hello(*_FORM.unpack(said[: _FORM.size]))
        if guest.name != _NAME or not 0 < guest.rank < guest.world or guest.rank in arrived:
            raise struct.error
        if (guest.training, guest.world) != (self._host.training, self._host.world):
            self.refused = True
            line.send(bytes([_OTHER]))
            raise struct.error
        if len(before) < _FORM.size:
            line.send(bytes([WELCOME]))
        return guest.rank if said[_FORM.size :] == bytes([_HERE]) else None
