"""A made-up week at 100 Hz through ``experiments.predict``: processor seconds, wall seconds, peak of memory.

``python -m benchmarks.predict_week --head FOLDER`` predicts a Parquet file of 58 million rows: simulated people in
turn, with an hour a day lost. Memory is that of all processes together, with shared pages counted once (PSS, from
/proc). ``--days 0.25`` is a quick look. The head is one that ``experiments.adapt`` wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
RATE = 100
COLUMNS = ("ax", "ay", "az", "gx", "gy", "gz")
BEGIN_MS = 1_714_953_600_000
_BLOCK = 360_000  # rows that are made at once: an hour


def made_motion() -> NDArray[np.float64]:
    """Four minutes of simulated people at 100 Hz, (N, 6), in g and deg/s."""
    from datamodules.sources.simulator import Simulator, SimulatorParams

    params = SimulatorParams(subjects=2, sessions_per_subject=1, placements=["right_wrist"], cameras=[])
    parts = []
    for recording in Simulator(params):
        stream = recording.imu("right_wrist")
        grid = np.arange(stream.times[0], stream.times[-1], 1 / RATE)
        parts.append(np.stack([np.interp(grid, stream.times, column) for column in stream.values.T], axis=1))
    found = np.concatenate(parts)
    return np.concatenate([found[:, :3] / 9.80665, np.degrees(found[:, 3:])], axis=1)


def write_week(path: Path, days: float) -> int:
    """Write the recording; returns its rows. Each day has one hour without samples, and noise of its own."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    base, rng, rows = made_motion(), np.random.default_rng(0), 0
    schema = pa.schema([("time_ms", pa.int64()), *[(name, pa.float32()) for name in COLUMNS]])
    with ParquetWriter(path, schema) as writer:
        for first in range(0, round(days * 86_400 * RATE), _BLOCK):
            if first // _BLOCK % 24 == 12:
                continue
            at = np.arange(first, min(first + _BLOCK, round(days * 86_400 * RATE)))
            values = (base[at % len(base)] + rng.normal(0, 0.002, (len(at), 6))).astype(np.float32)
            stamps = BEGIN_MS + at * (1000 // RATE)
            writer.write_table(pa.table([stamps, *values.T], schema=schema))
            rows += len(at)
    return rows


def looked_at(root: int) -> tuple[float, dict[int, float]]:
    """Proportional memory of a process and all that it started, MB, and the processor seconds of each so far."""
    children: dict[int, list[int]] = {}
    seconds: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(") ", 1)[1].split()
        except OSError:  # it has ended
            continue
        process = int(path.parent.name)
        children.setdefault(int(fields[1]), []).append(process)
        seconds[process] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    total, used, waiting = 0.0, {}, [root]
    while waiting:
        process = waiting.pop()
        waiting += children.get(process, [])
        used[process] = seconds.get(process, 0.0)
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
    return total, used


def measure(head: Path, recording: Path, folder: Path, workers: int) -> dict[str, float]:
    """Predict once, in processes of its own; they are looked at twice a second."""
    command = [sys.executable, "-m", "experiments.predict", str(head), str(recording), "--output", str(folder)]
    columns = ["--time", "time_ms:ms", "--acceleration", "ax,ay,az:g", "--gyroscope", "gx,gy,gz:deg/s"]
    started, peak, used = time.perf_counter(), 0.0, dict[int, float]()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, *columns, "--workers", str(workers)], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            memory, seconds = looked_at(process.pid)
            peak, used = max(peak, memory), {**used, **seconds}
            time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"predict ended with {process.returncode}")
    return {
        "processor_s": sum(used.values()),
        "wall_s": time.perf_counter() - started,
        "peak_mb": peak,
        "load": os.getloadavg()[1],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--head", type=Path, required=True, help="folder that experiments.adapt wrote")
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        recording = Path(name) / "week.parquet"
        rows = write_week(recording, arguments.days)
        found = measure(arguments.head.resolve(), recording, Path(name) / "predictions", arguments.workers)
    print(json.dumps({"days": arguments.days, "rows": rows, "workers": arguments.workers, **found}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
