"""Loader of batches in the order of a plan; threads read ahead.

Threads are used instead of worker processes: a window of motion and features has about ten kilobytes, and passing it
between processes costs more than reading it. File reads, NumPy's gather and the JPEG decoder release the interpreter's
lock, so threads read several batches at the same time while the main thread trains. Small batches, which cost as much
to hand over as to read, are read in groups and split afterwards.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.sampling.order import BatchPlan

Batch = dict[str, Any]

_PLANNED = 1 << 16  # positions planned at a time
_ANNOUNCED = 16  # batches per call of ``expect``


class BatchLoader:
    """Full batches in the order of a plan.

    The loader asks for its position at the beginning of each epoch, so a resumed run goes on with the next batch.

    Args:
        plan: the batches of this process.
        read: (positions, epoch) -> a batch; called in other threads.
        position: returns the number of finished batches, over all epochs.
        read_ahead: batches, or groups of batches, to read before they are needed.
        threads: threads that read; each reads one batch, or one group, at a time.
        group: batches that are read together and then split by rows. Above 1, all values of a batch must be tensors
            (B, ...).
        expect: called with the positions of coming batches, in order, well before they are read. None, at the
            beginning of an epoch, cancels earlier calls.

    Attributes:
        waited_s: seconds that the caller waited for batches that were not yet read, in all epochs.
    """

    def __init__(
        self,
        plan: BatchPlan,
        read: Callable[[NDArray[np.int64], int], Batch],
        position: Callable[[], int],
        read_ahead: int = 2,
        threads: int = 1,
        group: int = 1,
        expect: Callable[[NDArray[np.int64] | None], None] = lambda positions: None,
    ) -> None:
        self.plan = plan
        self._read = read
        self._position = position
        self._read_ahead = read_ahead
        self._threads = threads
        self._group = group
        self._expect = expect
        self.waited_s = 0.0

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        epoch, first = divmod(self._position(), len(self.plan))
        waiting: deque[Future[list[Batch]]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="read-ahead") as pool:
            try:
                for group in self._groups(epoch, first):
                    waiting.append(pool.submit(self._read_group, group, epoch))
                    if len(waiting) > self._read_ahead:
                        yield from self._wait(waiting.popleft())
                while waiting:
                    yield from self._wait(waiting.popleft())
            finally:
                # If the caller leaves an epoch early, do not wait for batches that were not yet read.
                for future in waiting:
                    future.cancel()

    def _wait(self, future: Future[list[Batch]]) -> list[Batch]:
        started = time.perf_counter()
        batches = future.result()
        self.waited_s += time.perf_counter() - started
        return batches

    def _read_group(self, group: list[NDArray[np.int64]], epoch: int) -> list[Batch]:
        if len(group) == 1:
            return [self._read(group[0], epoch)]
        together = self._read(np.concatenate(group), epoch)
        sizes = [len(windows) for windows in group]
        parts = zip(*(values.split(sizes) for values in together.values()), strict=True)
        return [dict(zip(together, part, strict=True)) for part in parts]

    def _groups(self, epoch: int, first: int) -> Iterator[list[NDArray[np.int64]]]:
        at_once = max(1, _PLANNED // self.plan.batch_size)
        self._expect(None)
        now: list[NDArray[np.int64]] = []
        for step in range(first, len(self.plan), at_once):
            coming = self.plan.batches(epoch, step, min(at_once, len(self.plan) - step))
            for start in range(0, len(coming), _ANNOUNCED):
                self._expect(np.concatenate(coming[start : start + _ANNOUNCED]))
            yield from self._grouped(now)
            now = coming
        yield from self._grouped(now)

    def _grouped(self, batches: list[NDArray[np.int64]]) -> Iterator[list[NDArray[np.int64]]]:
        for start in range(0, len(batches), self._group):
            yield batches[start : start + self._group]
