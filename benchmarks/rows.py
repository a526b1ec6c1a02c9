"""Reading rows of a file in random order: one call per row against one call for many, with one thread and with two.

    python -m benchmarks.rows [--folder data/bench] [--runs 5]

All ways take turns. Rows come from the data of ``make bench`` in the page cache. 256 rows at a time go into buffers
that are reused.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.protocol import BATCH, Records
from benchmarks.results import ROOT, TITLES
from datamodules.io import row_reader
from datamodules.io.row_reader import RowReader

SECONDS = 1.0
CASES = ("imu", "features")
Batches = Callable[[int], None]  # reads the n-th batch


def batches_of(path: Path, row: int, seed: int) -> Batches:
    """Make the work of a thread, which has its own memory."""
    reader, rng = RowReader([path]), np.random.default_rng(seed)
    size, n = BATCH["imu"], path.stat().st_size // row
    draws: list[NDArray[np.int64]] = [rng.choice(n, size, replace=False) * row for _ in range(64)]
    buffers = [np.empty((size, row), np.uint8) for _ in range(6)]
    file = np.zeros(size, np.int64)
    return lambda k: reader.rows(file, draws[k % len(draws)], buffers[k % len(buffers)])


def rate(path: Path, row: int, threads: int, many: int) -> float:
    """Measure rows per second, if one call serves so many reads or more."""
    row_reader._MIN_BATCHED = many
    done = [0] * threads

    def work(number: int) -> None:
        batch = batches_of(path, row, number)
        together.wait()
        while time.perf_counter() < began[0] + SECONDS:
            batch(done[number])
            done[number] += 1

    began: list[float] = []
    together = threading.Barrier(threads, action=lambda: began.append(time.perf_counter()))
    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(done) * BATCH["imu"] / (time.perf_counter() - began[0])


def main() -> None:
    """Run the benchmark from the command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench", help="made by `make bench`")
    parser.add_argument("--runs", type=int, default=5, help="of which medians are shown")
    arguments = parser.parse_args()
    print("| rows per second | bytes per row | one call per row | two threads | one call for all | two threads |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for case in CASES:
        records = Records(arguments.folder.resolve(), case)
        name, array = ("imu-imu", records.imu) if case == "imu" else ("features", records.features)
        path, row = arguments.folder.resolve() / f"{name}.npy", array[0].nbytes
        found: dict[tuple[int, int], list[float]] = {}
        for _ in range(arguments.runs):
            path.read_bytes()  # fills the page cache
            for many in (10**9, 1):
                for threads in (1, 2):
                    found.setdefault((many, threads), []).append(rate(path, row, threads, many))
        columns = " | ".join(f"{statistics.median(values):,.0f}" for values in found.values())
        print(f"| {TITLES[case]} | {row:,} | {columns} |", flush=True)


if __name__ == "__main__":
    main()
