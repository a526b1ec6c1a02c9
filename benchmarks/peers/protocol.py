"""How a contestant is asked for its rate, the same for all: one process each, one line of JSON per question.

A contestant is started with the folder of the data and serves questions such as ``{"case": "imu", "workers": 2,
"seconds": 3}`` until its standard input closes. Its answer is ``{"per_s": ..., "windows": ..., "peak_mb": ...}``, or
``{"error": ...}``.

This file needs nothing but numpy, so that it runs in the peers' environment too.
"""

from __future__ import annotations

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
    """The windows of one case, as plain arrays: what every contestant writes in its own format.

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
    """A clip's frames; every contestant decodes with the same library."""
    import simplejpeg

    clip = np.empty((FRAMES, SIZE, SIZE, 3), np.uint8)
    for k, jpeg in enumerate(jpegs):
        simplejpeg.decode_jpeg(jpeg, "RGB", buffer=clip[k])
    return clip


def rate(batches: Iterable[Any], seconds: float) -> dict[str, Any]:
    """Windows a second of one epoch, or of its first ``seconds``; the clock starts once the first batch is there."""
    iterator = iter(batches)
    next(iterator)
    count, started = 0, time.perf_counter()
    now = started
    for batch in iterator:
        count += len(batch["imu"])
        now = time.perf_counter()
        if now - started > seconds:
            break
    return {"per_s": count / (now - started), "windows": count, "peak_mb": peak_mb()}


def peak_mb() -> float:
    """Largest resident memory of this process so far, with the pages of files that it has mapped."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(batches: Callable[[str, int], Iterable[Any]]) -> None:
    """Answer questions from standard input; ``batches(case, workers)`` gives one epoch."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not end up among the answers
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = rate(batches(question["case"], question["workers"]), question["seconds"])
        except Exception:  # whatever goes wrong in a peer's code belongs in the report
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)
