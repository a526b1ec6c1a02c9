"""Decord alone: it delivers frames, and nothing is done with them. ``benchmarks.building`` compares with it.

    python -m benchmarks.decord_alone FOLDER PROCESSES

FOLDER holds ``frames.json`` with the numbers of the frames of each video. This is a program of its own, so that its
processes import decord and nothing else.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import decord

CHUNK = 16  # frames per request, as in the build


def deliver(path: str, indices: list[int]) -> int:
    """Read these frames of one file in full size, and return their number."""
    reader = decord.VideoReader(path, num_threads=1)
    return sum(len(reader.get_batch(indices[i : i + CHUNK]).asnumpy()) for i in range(0, len(indices), CHUNK))


def main(folder: Path, processes: int) -> None:
    wanted = json.loads((folder / "frames.json").read_text(encoding="utf-8"))
    paths = [str(folder / name) for name in wanted]
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    if processes == 1:
        frames = sum(map(deliver, paths, wanted.values()))
    else:
        with ProcessPoolExecutor(processes, multiprocessing.get_context("forkserver")) as pool:
            frames = sum(pool.map(deliver, paths, wanted.values()))
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"frames": frames, "seconds": seconds, "cpu": cpu}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
