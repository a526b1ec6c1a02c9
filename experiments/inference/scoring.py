"""Scores of all windows of a recording, computed part by part, on several cores where that is worth it.

The process that reads recordings imports torch only if it scores them itself.

Shape legend: W windows, C classes, K stretches of time.
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from datamodules.io.worker_process import end_workers, result_of, start_worker
from datamodules.recording import ImuStream
from datamodules.resampling import RememberedResampling, Resampling
from datamodules.signal import resample
from datamodules.windows.settings import FAULTS, Reason
from experiments.evaluation.timeline import Scores
from experiments.inference.errors import InferenceError
from experiments.inference.head_facts import HeadFacts, read_facts
from experiments.inference.parts import Part, parts_of
from experiments.inference.watch import Watch

if TYPE_CHECKING:
    from experiments.inference.head import Head
    from experiments.inference.recordings import Recorded

_WORTH_IT = 12  # parts, two hours: fewer are scored sooner than processes start
_LATER = [reason.value for reason in FAULTS[FAULTS.index(Reason.FLAT_LINE) + 1 :]]  # of two faults, the first is named
_folder = Path()
_head: Head | None = None
_resampling = RememberedResampling()  # of a worker


class Scorer:
    """Scores recordings by a head, in this process or in several."""

    def __init__(self, folder: Path, pool: ProcessPoolExecutor | None, workers: int) -> None:
        self.facts: HeadFacts = read_facts(folder)
        self._folder = folder
        self._pool = pool
        self._workers = workers
        self._resampling = RememberedResampling()

    @cached_property
    def head(self) -> Head:
        """The head, loaded when this process scores a part itself."""
        return _loaded(self._folder)

    def score(self, recorded: Recorded) -> Scores:
        """Score all windows of a recording, in the order of time."""
        watch = Watch()

        def watched() -> Iterator[ImuStream]:
            for stretch in recorded.stretches:
                watch.see(stretch)
                yield stretch

        grid = self.facts.grid
        parts = parts_of(watched(), recorded.channel_mask, grid)
        found = _joined(self._scored(parts), len(self.facts.classes))
        if Reason.FLAT_LINE in grid.excluded_faults():
            found = _without(found, watch.hangs(found.starts, grid.duration_s))
        if not len(found.starts):
            return found
        return replace(found, end=watch.end, not_worn=watch.not_worn(), dead=watch.dead())

    def _scored(self, parts: Iterator[Part]) -> Iterator[Scores]:
        first = deque(itertools.islice(parts, _WORTH_IT))
        alone = self._pool is None or len(first) < _WORTH_IT
        waiting: deque[Future[Scores]] = deque()
        try:
            while part := first.popleft() if first else next(parts, None):  # nothing is kept that was handed on
                if alone or self._pool is None:
                    yield score_part(self.head, part, self._resampling)
                    continue
                waiting.append(self._pool.submit(_score_in_worker, part))
                if len(waiting) > 2 * self._workers:
                    yield result_of(self._pool, waiting.popleft())
            while waiting and self._pool is not None:
                yield result_of(self._pool, waiting.popleft())
        except BrokenProcessPool as error:
            raise InferenceError(
                "a worker process died without an error (killed, or out of memory); the same command tries again, with"
                " --workers 1 in the least memory"
            ) from error
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def scorer(folder: Path, workers: int) -> Iterator[Scorer]:
    """Open a head, and as many processes as ``workers``; they are started when a recording is long enough.

    Raises:
        InferenceError: the head can't be used.
    """
    if workers < 2:
        alone = Scorer(folder, None, 1)
        _ = alone.head  # a damaged one is refused before anything is read
        yield alone
        return
    # Threads do not survive a fork. Workers fork from a server that has imported everything and started no thread.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "experiments.inference.head"])
    pool = ProcessPoolExecutor(workers, context, _start, (folder,))
    try:
        yield Scorer(folder, pool, workers)
    finally:
        end_workers(pool)


def score_part(head: Head, part: Part, resampling: Resampling = resample) -> Scores:
    """Cut and score the windows of a part."""
    windows, excluded = part.cut(head.grid, resampling=resampling)
    probabilities = np.full((len(part.starts), len(head.classes)), np.nan)
    reasons = np.full(len(part.starts), "", dtype="U16")
    kept = np.searchsorted(part.starts, [window.start_s for window in windows])
    probabilities[kept] = head.probabilities(windows)
    for exclusion in excluded:
        reasons[np.searchsorted(part.starts, exclusion.start_s)] = exclusion.reason.value
    return Scores(part.starts, probabilities, reasons)


def _without(scores: Scores, hangs: NDArray[np.bool_]) -> Scores:
    """Scores without those of windows in which an axis hangs: the whole recording tells, so it comes last."""
    lost = hangs & ((scores.reasons == "") | np.isin(scores.reasons, _LATER))
    probabilities = np.where(lost[:, None], np.nan, scores.probabilities)
    return replace(scores, probabilities=probabilities, reasons=np.where(lost, Reason.FLAT_LINE.value, scores.reasons))


def _joined(parts: Iterable[Scores], n_classes: int) -> Scores:
    found = list(parts)
    if not found:
        return Scores(np.empty(0), np.empty((0, n_classes)), np.empty(0, "U16"))
    return Scores(
        np.concatenate([part.starts for part in found]),
        np.concatenate([part.probabilities for part in found]),
        np.concatenate([part.reasons for part in found]),
    )


def _loaded(folder: Path) -> Head:
    from experiments.inference.head import load_head

    return load_head(folder)


def _start(folder: Path) -> None:
    global _folder
    start_worker()
    threadpool_limits(1)
    _folder = folder


def _score_in_worker(part: Part) -> Scores:
    global _head
    if _head is None:  # not in ``_start``: what is wrong with a head comes back with the first part's result
        _head = _loaded(_folder)
    return score_part(_head, part, _resampling)
