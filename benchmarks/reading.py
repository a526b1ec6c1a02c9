"""Speed of reading IMU windows from shards: whole batches against one window at a time.

    python -m benchmarks.reading [--windows 20000]

Both ways read the same windows in the same order, in turns, in one process. The ratio is the result; the rates depend
on the machine and on its other load.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from datamodules.build.run import build
from datamodules.sampling.order import WindowOrder
from datamodules.shards.reader import ShardSet
from datamodules.windows.cut import WindowSettings

BATCH = 256


def batched(shards: ShardSet, order: np.ndarray) -> None:
    for start in range(0, len(order), BATCH):
        shards.imu(order[start : start + BATCH])


def one_by_one(shards: ShardSet, order: np.ndarray) -> None:
    for start in range(0, len(order), BATCH):
        rows = [shards.imu(order[i : i + 1])[0][0] for i in range(start, min(start + BATCH, len(order)))]
        np.stack(rows)


def rate(read: Callable[[ShardSet, np.ndarray], None], shards: ShardSet, order: np.ndarray) -> float:
    started = time.perf_counter()
    read(shards, order)
    return len(order) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=20_000, help="windows a run")
    parser.add_argument("--runs", type=int, default=5, help="runs; the median is shown")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        params = {"subjects": 4, "sessions_per_subject": 4, "cameras": [], "placements": ["waist"]}
        build("simulator", params, Path(folder), WindowSettings(stride_s=0.1), "waist", workers=1)
        shards = ShardSet.open(folder)
        order = WindowOrder(shards.n_windows, 0).at(0, np.arange(min(arguments.windows, shards.n_windows)))
        batched(shards, order)  # fills the page cache
        pairs = [(rate(batched, shards, order), rate(one_by_one, shards, order)) for _ in range(arguments.runs)]
    whole, single = (statistics.median(values) for values in zip(*pairs, strict=True))
    print(f"{len(order)} windows of 250 x 6, batches of {BATCH}, global shuffle, median of {arguments.runs} runs")
    print(f"whole batches  {whole:12,.0f} windows/s")
    print(f"one by one     {single:12,.0f} windows/s")
    print(f"ratio          {whole / single:12.1f}")


if __name__ == "__main__":
    main()
