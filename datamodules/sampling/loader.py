"""Batches in the order of a plan, read ahead by threads.

Threads rather than worker processes: a window of motion and features is some ten kilobytes, and passing it from one
process to another costs more than reading it. Reading files, NumPy's gather and the JPEG decoder let go of the
interpreter's lock, so batches can be read beside each other while the main thread trains. Where they are so small that
handing one over costs as much as reading it, several are read as one and then taken apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.sampling.order import BatchPlan

Batch = dict[str, Any]

_PLANNED = 1 << 16  # positions that are looked up at once
_TOLD = 16  # batches that are announced at once


class BatchLoader:
    """Whole batches in the order of a plan.

    Where it starts is asked at the beginning of each epoch, so that a resumed run goes on with the very next batch.

    Args:
        plan: the batches of this process.
        read: (windows, epoch) -> a batch; called in other threads.
        position: gives the number of batches done so far, over all epochs.
        read_ahead: batches, or groups of them, that are read before they are asked for.
        threads: that read, each a batch, or group of them, of its own.
        group: batches that are read as one; each gets its rows of what was read, which are tensors (B, ...) then.
        expect: is told which positions will be read, in their order, long before they are; None stands for "forget
            what was said before", at the beginning of an epoch.
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
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                # An epoch that is left early must not wait for batches that nobody wants.
                for future in waiting:
                    future.cancel()

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
            for start in range(0, len(coming), _TOLD):
                self._expect(np.concatenate(coming[start : start + _TOLD]))
            yield from self._grouped(now)
            now = coming
        yield from self._grouped(now)

    def _grouped(self, batches: list[NDArray[np.int64]]) -> Iterator[list[NDArray[np.int64]]]:
        for start in range(0, len(batches), self._group):
            yield batches[start : start + self._group]
