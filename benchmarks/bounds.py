"""Bounds of reading: each case beside its one unavoidable step, in turns, on the data of ``make bench``.

    python -m benchmarks.bounds [--folder data/bench] [--runs 5]

The step is a gather from memory (IMU, and features as if they were in memory too), a copy from the page cache (features
and plain clips), or the JPEG decoder. It runs in as many threads as the reader has. Each thread has its own random
windows, and its own memory, which is reused. Nothing is handed over, normalised or put into tensors.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray

from benchmarks import data, ours
from benchmarks.peers.protocol import BATCH, FRAMES, SIZE, Records, rate
from benchmarks.results import ROOT, TITLES
from datamodules.io.row_reader import RowReader
from datamodules.shards.reader import ShardSet

SECONDS = 2.0
Indices = NDArray[np.int64]
Step = Callable[[Indices], object]  # the step, for the windows of a batch
# Case, and the name of its step.
STEPS = (
    ("imu", "gathered from memory"),
    ("features", "gathered from memory"),
    ("features", "copied from the page cache"),
    ("jpeg", "decoded"),
    ("raw", "copied from the page cache"),
)


def step_of(case: str, how: str, folder: Path) -> Callable[[], Step]:
    """Make the step for a thread."""
    records, b = Records(folder, case), BATCH[case]
    if how == "gathered from memory":
        held = np.array(records.imu if case == "imu" else records.features)

        def gather() -> Step:
            batch = np.empty((b, *held.shape[1:]), held.dtype)
            return lambda windows: np.take(held, windows, axis=0, out=batch, mode="clip")

        return gather
    if case == "jpeg":
        jpegs = [records[i]["jpegs"] for i in range(len(records))]

        def decode() -> Step:
            clip = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
            return lambda windows: [
                simplejpeg.decode_jpeg(image, "RGB", buffer=clip[k])
                for window in windows.tolist()
                for k, image in enumerate(jpegs[window])
            ]

        return decode
    names, row = ["features.f16"], FRAMES * data.WIDTH * 2
    if case == "raw":
        shards = ours.module(folder, case).shards
        assert isinstance(shards, ShardSet)
        names, row = [entry.file for entry in shards.index.shards], FRAMES * SIZE * SIZE * 3
    files = RowReader([folder / "ours" / case / name for name in names])
    # Frames are the last and by far the largest array of a shard, so their start in it makes no difference here.
    first = np.zeros(1, np.int64)
    if case == "raw":
        assert isinstance(shards, ShardSet)
        first = np.cumsum([0, *(entry.windows for entry in shards.index.shards)])

    def copy() -> Step:
        batch = np.empty((b, row), np.uint8)

        def do(windows: Indices) -> None:
            shard = np.searchsorted(first, windows, side="right") - 1
            files.rows(shard, (windows - first[shard]) * row, batch)

        return do

    return copy


def alone(make: Callable[[], Step], windows: int, batch: int) -> float:
    """Measure the step alone, windows per second."""
    done = [0] * ours.THREADS

    def work(number: int) -> None:
        step, rng = make(), np.random.default_rng(number)
        draws = [rng.choice(windows, batch, replace=False) for _ in range(64)]
        together.wait()
        while time.perf_counter() < began[0] + SECONDS:
            step(draws[done[number] // batch % len(draws)])
            done[number] += batch

    began: list[float] = []
    together = threading.Barrier(ours.THREADS, action=lambda: began.append(time.perf_counter()))
    workers = [threading.Thread(target=work, args=(number,)) for number in range(ours.THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(done) / (time.perf_counter() - began[0])


def main() -> None:
    """Run the benchmark from the command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench", help="made by `make bench`")
    parser.add_argument("--runs", type=int, default=5, help="of which medians are shown")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    torch.set_num_threads(1)
    print(f"| {ours.THREADS} threads | the step alone, per second | | ours, per second | share |")
    print("| --- | ---: | --- | ---: | ---: |")
    for case, how in STEPS:
        make = step_of(case, how, folder)
        module = ours.module(folder, case)
        runs = []
        for _ in range(arguments.runs + 1):  # the first run fills the page cache
            bound = alone(make, module.shards.n_windows, BATCH[case])
            runs.append((bound, float(rate(module.train_dataloader, SECONDS, 10**9)["per_s"])))
        bounds, rates = zip(*runs[1:], strict=True)
        share = statistics.median(b / a for a, b in runs[1:])
        print(
            f"| {TITLES[case]} | {statistics.median(bounds):,.0f} | {how} |"
            f" {statistics.median(rates):,.0f} | {share:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
