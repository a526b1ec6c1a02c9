"""Cost of comparing windows with their checksums: reading with it and without it, in turns in one process.

    python -m benchmarks.checksums [--folder data/bench-checksums] [--passes 40] [--runs 9]

A process compares a window when it reads it for the first time. So a training pays in its first pass through the
windows, and looks up in all others that nothing is left to compare. The batches are those of pretraining, in random
order, from a warm page cache: where reading is fastest, the share of comparing is largest. Seconds are those of the
processor.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import data
from benchmarks.peers.protocol import BATCH
from benchmarks.results import ROOT, TITLES
from datamodules.features.cache import FeatureCache
from datamodules.pretraining import PretrainingDataModule
from datamodules.shards.reader import ShardSet

WINDOWS, CLIPS = 20_000, 1_000
_TIMED = 3  # passes of a run that are timed; later ones are all alike


def opened(folder: Path, case: str, compare: bool) -> PretrainingDataModule:
    """Open a case anew, as a new process would; without ``compare``, nothing is left to be compared."""
    shards = ShardSet.open(folder / "ours" / case, 2)
    shards.table  # noqa: B018  # opens every shard, which is not part of reading
    features = FeatureCache.open(folder / "ours" / case, shards, "made") if case == "features" else None
    module = PretrainingDataModule(shards, features, batch_size=BATCH[case], video=case != "imu", validation_share=0)
    if not compare:
        shards._checks.mark(np.arange(shards.n_windows))
        for known in features._compared if features else ():
            known[:] = True
    return module


def passes(module: PretrainingDataModule, size: int, count: int) -> Iterator[float]:
    """Yield the seconds of the processor of each pass through the windows."""
    for number in range(count):
        order = np.random.default_rng(number).permutation(module.training_windows)
        batches = np.array_split(order, max(1, len(order) // size))
        began = time.process_time()
        for windows in batches:
            module.read(windows, threads=1)
        yield time.process_time() - began


def measure(folder: Path, case: str, runs: int) -> tuple[dict[bool, float], dict[bool, float]]:
    """Return the seconds of a first and of a later pass, with and without comparing: of each, the fastest of all runs.

    Whatever else a machine does makes a pass slower, never faster.
    """
    first, later = {True: math.inf, False: math.inf}, {True: math.inf, False: math.inf}
    for number in range(runs + 1):
        for compare in (True, False) if number % 2 else (False, True):
            begin, *rest = passes(opened(folder, case, compare), BATCH[case], _TIMED)
            if number:  # the first run fills the page cache
                first[compare], later[compare] = min(first[compare], begin), min(later[compare], *rest)
    return first, later


def main() -> None:
    """Run the benchmark from the command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench-checksums", help="made if it is missing")
    parser.add_argument("--passes", type=int, default=40, help="of a training; the default experiment has 40")
    parser.add_argument("--runs", type=int, default=9, help="of which the fastest count")
    parser.add_argument("--windows", type=int, default=WINDOWS)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--cases", nargs="+", choices=data.CASES, default=data.CASES)
    arguments = parser.parse_args()
    data.make(arguments.folder, arguments.windows, arguments.clips)
    print(f"| comparing adds | to the first pass | to a later one | to {arguments.passes} passes |")
    print("| --- | ---: | ---: | ---: |")
    for case in arguments.cases:
        first, later = measure(arguments.folder, case, arguments.runs)
        whole = {compare: first[compare] + (arguments.passes - 1) * later[compare] for compare in first}
        shares = [f"{seconds[True] / seconds[False] - 1:+.1%}" for seconds in (first, later, whole)]
        print(f"| {TITLES[case]} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
