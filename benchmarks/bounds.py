"""What bounds reading: each case beside its one step that can't be left out, in turns, on the data of ``make bench``.

    python -m benchmarks.bounds [--folder data/bench] [--runs 5]

The step is a gather from memory (IMU), copies from the page cache (features and plain clips), or the JPEG decoder, with
as many threads as the reader has, windows drawn at random, and memory that is used again. Nobody who delivers the same
bytes with the same library can be faster than that.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg
import torch

from benchmarks import data, ours
from benchmarks.bench import ROOT, TITLES
from benchmarks.peers.protocol import BATCH, FRAMES, SIZE, Records, rate
from datamodules.shards.rows import RowReader

SECONDS = 2.0
THREADS = {"imu": 1, "features": 1, "jpeg": 2, "raw": 2}
STEPS = {"imu": "gathered", "features": "copied", "jpeg": "decoded", "raw": "copied"}
Step = Callable[[np.ndarray], object]  # what has to be done for the windows of a batch


def step_of(case: str, folder: Path) -> Step:
    """The step that can't be left out."""
    records, b = Records(folder, case), BATCH[case]
    if case == "imu":
        motion, batch = np.array(records.imu), np.empty((b, *records.imu.shape[1:]), np.float32)
        return lambda windows: np.take(motion, windows, axis=0, out=batch, mode="clip")
    if case == "features":
        rows = np.empty((b, FRAMES * data.WIDTH * 2), np.uint8)
        reader = RowReader([folder / "ours" / case / "features.f16"])
        return lambda windows: reader.rows(np.zeros(b, np.int64), windows * rows.shape[1], rows)
    clips = np.empty((b, FRAMES, SIZE, SIZE, 3), np.uint8)
    pool = ThreadPoolExecutor(THREADS[case])
    if case == "raw":
        shards = ours.module(folder, case, THREADS[case]).shards
        files = RowReader([folder / "ours" / case / entry.file for entry in shards.index.shards])
        first = np.cumsum([0, *(entry.windows for entry in shards.index.shards)])

        def do(at: tuple[int, int]) -> None:
            shard = int(np.searchsorted(first, at[1], side="right")) - 1
            # The frames are a shard's last array by far; where in it they begin makes no difference here.
            files.read(shard, int(at[1] - first[shard]) * clips[0].nbytes, clips[at[0]].reshape(-1))

    else:
        jpegs = [records[i]["jpegs"] for i in range(len(records))]

        def do(at: tuple[int, int]) -> None:
            for k, image in enumerate(jpegs[at[1]]):
                simplejpeg.decode_jpeg(image, "RGB", buffer=clips[at[0], k])

    return lambda windows: list(pool.map(do, enumerate(windows.tolist())))


def alone(step: Step, windows: int, batch: int) -> float:
    """Windows a second of the step."""
    rng = np.random.default_rng(0)
    draws = [rng.choice(windows, batch, replace=False) for _ in range(64)]
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        step(draws[done % len(draws)])
        done += 1
    return done * batch / (time.perf_counter() - began)


def main() -> None:
    """Command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench", help="made by `make bench`")
    parser.add_argument("--runs", type=int, default=5, help="of which medians are shown")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    torch.set_num_threads(1)
    print(
        "| | threads | the step alone, a second | | ours, a second | share |\n| --- | ---: | ---: | --- | ---: | ---: |"
    )
    for case, threads in THREADS.items():
        step = step_of(case, folder)
        module = ours.module(folder, case, threads)
        runs = []
        for _ in range(arguments.runs + 1):  # the first one fetches everything into the page cache
            bound = alone(step, module.shards.n_windows, BATCH[case])
            runs.append((bound, float(rate(module.train_dataloader, SECONDS, 10**9)["per_s"])))
        bounds, rates = zip(*runs[1:], strict=True)
        share = statistics.median(b / a for a, b in runs[1:])
        print(
            f"| {TITLES[case]} | {threads} | {statistics.median(bounds):,.0f} | {STEPS[case]} |"
            f" {statistics.median(rates):,.0f} | {share:.0%} |"
        )


if __name__ == "__main__":
    main()
