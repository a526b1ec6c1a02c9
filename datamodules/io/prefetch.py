"""A queue that fetches pieces into the cache ahead of their use, in the order of their use."""

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
    """A file that the cache can fetch.

    Attributes:
        name: name of the file, a digest of its content; so the content of a name never changes.
        nbytes: length of the file.
        fill: writes the content from the beginning of an open file on; raises StorageError on failure.
    """

    name: str
    nbytes: int
    fill: Callable[[BinaryIO], None] = field(compare=False)


class Prefetch:
    """A queue of pieces, and threads that fetch them.

    Args:
        fetch: puts a piece into the cache if it is missing; raises StorageError on failure.
        budget: most bytes of pieces that were fetched ahead, or are being fetched, and are not yet in use.
        connections: most threads.
    """

    def __init__(self, fetch: Callable[[Piece], None], budget: int, connections: int = CONNECTIONS) -> None:
        self.budget = budget
        self._fetch = fetch
        self._connections = connections
        self._lock = threading.Lock()
        self._queue: deque[Piece] = deque()
        self._queued: set[str] = set()
        self._ahead: dict[str, int] = {}
        self._threads = 0

    def expect(self, pieces: Iterable[Piece], next_up: bool = False) -> None:
        """Queue pieces in the order of their use, behind earlier ones.

        Args:
            pieces: pieces that will be used. A piece that is queued already keeps its place.
            next_up: True puts the pieces before all earlier ones.
        """
        with self._lock:
            new = [p for p in pieces if p.name not in self._queued and p.name not in self._ahead]
            self._queued.update(piece.name for piece in new)
            if next_up:
                self._queue.extendleft(reversed(new))
            else:
                self._queue.extend(new)
        self._start()

    def mark_used(self, piece: Piece) -> None:
        """Take a piece that is in use now out of the queue and out of the budget."""
        with self._lock:
            self._queued.discard(piece.name)
            freed = self._ahead.pop(piece.name, 0)
        if freed:
            self._start()

    def forget(self) -> None:
        """Clear the queue and the budget."""
        with self._lock:
            self._queue.clear()
            self._queued.clear()
            self._ahead.clear()

    def _start(self) -> None:
        with self._lock:
            missing = min(self._connections - self._threads, len(self._queue))
            for _ in range(missing):
                self._threads += 1
                # Daemon threads: the end of the program need not wait for pieces that will not be used.
                threading.Thread(target=self._work, name="prefetch", daemon=True).start()

    def _work(self) -> None:
        while (piece := self._next()) is not None:
            try:
                self._fetch(piece)
            except StorageError:  # the user of the piece will try again and get the error
                self.mark_used(piece)

    def _next(self) -> Piece | None:
        """Return the next piece to fetch; None ends the thread."""
        with self._lock:
            while self._queue:
                piece = self._queue[0]
                if piece.name not in self._queued:  # it came into use in the meantime
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
