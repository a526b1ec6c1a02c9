"""Protocol between the benchmark and all contestants: one process each, one line of JSON per question.

A contestant is started with the folder of the data. It answers questions such as ``{"case": "imu", "workers": 2,
"seconds": 3}`` until its standard input closes. The answer is ``{"per_s": ..., "per_cpu_s": ..., "windows": ...,
"peak_mb": ...}``, or ``{"error": ...}``. ``per_cpu_s`` is windows per second of processor time, of the process and all
its workers together; it does not change when others use the machine too.

This file imports nothing but numpy, so that it runs in the peers' environment too.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

FRAMES, SIZE = 10, 224
BATCH = {"imu": 256, "features": 256, "jpeg": 16, "raw": 16}


class Records:
    """The windows of one case as plain arrays, which every contestant writes in its own format.

    A record is a dict: ``imu`` (250, 6) float32, and ``features`` (10, 768) float16, or ``jpegs`` (a list of 10), or
    ``clip`` (10, 224, 224, 3) uint8.
    """

    def __init__(self, folder: Path, case: str) -> None:
        self.case = case
        self.folder = folder
        self.imu = np.load(folder / f"{case}-imu.npy", mmap_mode="r")
        if case == "features":
            self.features = np.load(folder / "features.npy", mmap_mode="r")
        if case in ("jpeg", "raw"):
            self.offsets = np.load(folder / "jpeg-offsets.npy")
            self.bytes = np.load(folder / "jpeg-bytes.npy", mmap_mode="r")
            self.frame_of = np.load(folder / f"{case}-frames.npy")

    def __len__(self) -> int:
        return len(self.imu)

    def __getitem__(self, i: int) -> dict[str, Any]:
        record: dict[str, Any] = {"imu": np.array(self.imu[i])}
        if self.case == "features":
            record["features"] = np.array(self.features[i])
        if self.case in ("jpeg", "raw"):
            jpegs = [self.bytes[self.offsets[k] : self.offsets[k + 1]].tobytes() for k in self.frame_of[i]]
            if self.case == "jpeg":
                record["jpegs"] = jpegs
            else:
                record["clip"] = decode(jpegs)
        return record


def decode(jpegs: list[bytes]) -> np.ndarray:
    """Decode the frames of a clip; every contestant uses the same library."""
    import simplejpeg

    clip = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
    for k, jpeg in enumerate(jpegs):
        simplejpeg.decode_jpeg(jpeg, "RGB", buffer=clip[k])
    return clip


def rate(epoch: Callable[[], Iterable[Any]], seconds: float, most: int) -> dict[str, Any]:
    """Measure windows per second over ``seconds`` or ``most`` batches, over several epochs if needed.

    In each epoch the clocks start after the first batch, so that the start of workers does not count.
    """
    count, n, taken, used = 0, 0, 0.0, 0.0
    while taken < seconds and n < most:
        iterator = iter(epoch())
        next(iterator)
        began, processor = time.perf_counter(), processor_s()
        now = began
        for batch in iterator:
            count, n = count + len(batch["imu"]), n + 1
            now = time.perf_counter()
            if taken + now - began > seconds or n >= most:
                break
        if now == began:
            raise ValueError("an epoch has one batch; expected more, or there is nothing to be timed")
        taken, used = taken + now - began, used + processor_s() - processor
    return {"per_s": count / taken, "per_cpu_s": count / max(used, 1e-9), "windows": count, "peak_mb": peak_mb()}


def processor_s() -> float:
    """Measure processor time of this process and its children, seconds; without ``/proc``, of the process alone."""
    own = os.getpid()
    tree, ticks = {own}, 0
    if not Path("/proc/self/stat").is_file():
        return time.process_time()
    rows = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # the process has ended meanwhile
            continue
        used, ended_children = (sum(int(f) for f in fields[k : k + 2]) for k in (11, 13))
        pid = int(path.parent.name)
        # The time of this process is known more finely than in ticks of 10 ms.
        rows[pid] = (int(fields[1]), ended_children if pid == own else used + ended_children)
    for pid in sorted(rows):  # a child's number is higher than its parent's, unless numbers wrapped around
        if rows[pid][0] in tree:
            tree.add(pid)
        if pid in tree:
            ticks += rows[pid][1]
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def peak_mb() -> float:
    """Measure the largest resident memory of this process so far, with mapped pages of files."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # The value of getrusage starts at the peak of the parent process.
    return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def serve(batches: Callable[[str, int], Iterable[Any]]) -> None:
    """Answer questions from standard input; ``batches(case, workers)`` gives one epoch."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries must not mix with the answers
    for line in sys.stdin:
        question = json.loads(line)
        try:
            epoch = functools.partial(batches, question["case"], question["workers"])
            answer = rate(epoch, question["seconds"], question["most"])
        except Exception:  # any error in a peer's code belongs in the report
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)
