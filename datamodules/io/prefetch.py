"""Fetches what will be needed before it is, in the order in which it will be."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from datamodules.io.store import StorageError

CONNECTIONS = 4  # downloads at a time


@dataclass(frozen=True)
class Piece:
    """Something that may be in the cache.

    Attributes:
        name: of its file: a digest of its content, so that it never changes.
        nbytes: its length.
        fill: writes it from the beginning of a file on; raises StorageError where that can't be done.
    """

    name: str
    nbytes: int
    fill: Callable[[BinaryIO], None] = field(compare=False)


class Prefetch:
    """A queue of pieces, and threads that bring them while there is something to bring.

    Args:
        bring: sees that a piece is in the cache; raises StorageError where it can't be had.
        budget: bytes that may lie ready, or be on their way, without having been asked for.
        connections: threads.
    """

    def __init__(self, bring: Callable[[Piece], None], budget: int, connections: int = CONNECTIONS) -> None:
        self.budget = budget
        self._bring = bring
        self._connections = connections
        self._lock = threading.Lock()
        self._queue: deque[Piece] = deque()
        self._queued: set[str] = set()
        self._ahead: dict[str, int] = {}
        self._threads = 0

    def expect(self, pieces: Iterable[Piece], next_up: bool = False) -> None:
        """Say that these will be needed, in this order, after those that were named before.

        Args:
            pieces: what will be needed; what is in the queue already keeps its place.
            next_up: they are needed now, before all others.
        """
        with self._lock:
            new = [p for p in pieces if p.name not in self._queued and p.name not in self._ahead]
            self._queued.update(piece.name for piece in new)
            if next_up:
                self._queue.extendleft(reversed(new))
            else:
                self._queue.extend(new)
        self._start()

    def needed(self, piece: Piece) -> None:
        """Say that a piece is being used now: it no longer counts as fetched ahead, and need not be fetched."""
        with self._lock:
            self._queued.discard(piece.name)
            freed = self._ahead.pop(piece.name, 0)
        if freed:
            self._start()

    def forget(self) -> None:
        """What was expected is not coming."""
        with self._lock:
            self._queue.clear()
            self._queued.clear()
            self._ahead.clear()

    def _start(self) -> None:
        with self._lock:
            missing = min(self._connections - self._threads, len(self._queue))
            for _ in range(missing):
                self._threads += 1
                # Whoever ends the program doesn't wait for what nobody will read.
                threading.Thread(target=self._work, name="prefetch", daemon=True).start()

    def _work(self) -> None:
        while (piece := self._next()) is not None:
            try:
                self._bring(piece)
            except StorageError:  # whoever needs the piece will try again, and is told
                self.needed(piece)

    def _next(self) -> Piece | None:
        """The next piece to bring, or None, after which the thread ends."""
        with self._lock:
            while self._queue:
                piece = self._queue[0]
                if piece.name not in self._queued:  # it was asked for in the meantime
                    self._queue.popleft()
                elif sum(self._ahead.values()) + piece.nbytes > self.budget:
                    break
                else:
                    self._queue.popleft()
                    self._queued.discard(piece.name)
                    self._ahead[piece.name] = piece.nbytes
                    return piece
            self._threads -= 1
            return None
