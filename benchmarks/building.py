"""Speed of building shards, beside decord, which only delivers the same frames of the same files.

    python -m benchmarks.building [--folder data/bench/building] [--size 640x480] [--minutes 4] [--recordings 4]

Prints Markdown. A study is made first. Its video is H.264 of noise over a moving picture, at 30 frames/s with a key
frame per second; half a minute is repeated without encoding it again. Its IMU is a CSV at 100 Hz. Windows of 5 s have
ten frames of 112 x 112.

Decord opens each file once, asks for the frames by their numbers in full size, and does nothing with them. Ours reads
and checks the CSV, resamples, decodes, scales, encodes and judges frames, and writes and indexes shards. Both take
turns, each run in a fresh program. With a single process, processor seconds are compared, which hardly depend on other
load. With several processes, the elapsed time counts, from before these processes start.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.build.run import build
from datamodules.build.stages import describe
from datamodules.sources.registry import make_source
from datamodules.windows.cut import WindowSettings, cut_windows

SETTINGS = WindowSettings()
FRAMES_PER_S = 30
PIECE_S = 30
MANIFEST = """
groups:
  made:
    imu:
      - files: "{subject}.csv"
        time: {column: t, unit: s}
        sensors:
          chest:
            acceleration: {columns: [ax, ay, az], unit: m/s^2}
            gyroscope: {columns: [gx, gy, gz], unit: rad/s}
    videos: [{files: "{subject}.mp4", camera: phone}]
"""


def make(folder: Path, size: str, seconds: int, recordings: int) -> None:
    """Make the study, if it is missing."""
    if (folder / "frames.json").is_file():
        return
    import imageio_ffmpeg

    folder.mkdir(parents=True, exist_ok=True)
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
    piece = folder / "piece.mp4"
    picture = f"testsrc2=size={size}:rate={FRAMES_PER_S}:duration={PIECE_S},noise=alls=12:allf=t"
    options = ["-c:v", "libx264", "-preset", "veryfast", "-g", str(FRAMES_PER_S), "-pix_fmt", "yuv420p"]
    subprocess.run([*ffmpeg, "-f", "lavfi", "-i", picture, *options, str(piece)], check=True)
    rng = np.random.default_rng(0)
    for number in range(recordings):
        video = folder / f"p{number}.mp4"
        again = ["-stream_loop", str(max(0, seconds // PIECE_S - 1)), "-i", str(piece), "-c", "copy"]
        subprocess.run([*ffmpeg, *again, str(video)], check=True)
        times = np.arange(0, seconds, 0.01)
        values = rng.normal((0, 0, 9.8, 0, 0, 0), 0.5, (times.size, 6))
        table = np.column_stack([times, values])
        np.savetxt(folder / f"p{number}.csv", table, "%.5f", ",", header="t,ax,ay,az,gx,gy,gz", comments="")
    piece.unlink()
    frames = {}
    (folder / "manifest.yaml").write_text(MANIFEST, encoding="utf-8")
    source = make_source("manifest", {"path": str(folder / "manifest.yaml")})
    for name in source.names():
        windows, _ = cut_windows(source.load(name), "any", "phone", SETTINGS)
        frames[f"{name}.mp4"] = np.unique(np.concatenate([w.frame_indices for w in windows])).tolist()
    (folder / "frames.json").write_text(json.dumps(frames), encoding="utf-8")


def ours(folder: Path, processes: int) -> dict[str, Any]:
    """Build the shards of the study."""
    params = {"path": str(folder / "manifest.yaml")}
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        started = time.perf_counter()
        report = build("manifest", params, directory, SETTINGS, camera="phone", workers=processes, clocks="off")
        seconds = time.perf_counter() - started
    return {"frames": report.index.n_windows * SETTINGS.frames, "seconds": seconds, "stages": dict(report.stages)}


def serve(folder: Path, processes: int) -> None:
    """Do our run, in a program of its own."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    answer = ours(folder, processes)
    after = resource.getrusage(resource.RUSAGE_SELF)
    answer["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps(answer))


def measured(who: str, folder: Path, processes: int) -> dict[str, Any]:
    """Measure one run in a program of its own; ``cpu`` is its processor time after all imports."""
    arguments = {
        "ours": ["benchmarks.building", "--serve", str(folder), "--processes", str(processes)],
        "decord": ["benchmarks.decord_alone", str(folder), str(processes)],
    }
    command = [sys.executable, "-m", *arguments[who]]
    finished = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return answer


def row(title: str, runs: dict[str, list[dict[str, Any]]], what: str) -> str:
    """Write frames per second of both, and our share of decord's rate, as a row."""
    rates = {who: [run["frames"] / run[what] for run in answers] for who, answers in runs.items()}
    shares = [a / b for a, b in zip(rates["ours"], rates["decord"], strict=True)]
    return (
        f"| {title} | {statistics.median(rates['ours']):,.1f} | {statistics.median(rates['decord']):,.1f} |"
        f" {statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f}) |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Building beside decord alone; see the head of this file.")
    parser.add_argument("--folder", type=Path, default=Path("data/bench/building"))
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--recordings", type=int, default=4)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if arguments.serve:
        serve(arguments.serve, arguments.processes)
        return
    folder = folder / f"{arguments.size}-{arguments.minutes:g}min-{arguments.recordings}"
    make(folder, arguments.size, round(arguments.minutes * 60), arguments.recordings)
    print(
        "| frames delivered, of " + arguments.size + " | ours | decord alone | ours / decord (lowest to highest run) |"
    )
    print("| --- | ---: | ---: | ---: |", flush=True)
    stages: dict[str, float] = {}
    for processes in sorted({1, arguments.processes}):
        runs: dict[str, list[dict[str, Any]]] = {"ours": [], "decord": []}
        for number in range(arguments.runs):
            # In turns, and each of them is first in turn.
            for who in sorted(runs, reverse=bool(number % 2)):
                runs[who].append(measured(who, folder, processes))
        if processes == 1:
            print(row("per second of the processor, 1 process", runs, "cpu"), flush=True)
            stages = runs["ours"][-1]["stages"]
        print(row(f"per second, {processes} process{'es' * (processes > 1)}", runs, "seconds"), flush=True)
    print("\nWhere the time of the last build in one process went:\n\n```\n" + "\n".join(describe(stages)) + "\n```")


if __name__ == "__main__":
    main()
