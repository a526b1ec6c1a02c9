"""Memory, descriptors and threads of a long training, minute by minute.

    python -m benchmarks.long_run [--minutes 120] [--folder data/long-run] [--from long_run.csv]

Pretrains a small encoder on simulated people, with the command that users run: two threads read ahead, a checkpoint
is written every few hundred steps, held-out windows are ranked every few epochs, and curves go to TensorBoard. Once
every few seconds it reads from /proc what all processes of the training have. Each minute becomes a line of
``long_run.csv``; at the end come a plot, and a line fitted to each quantity. ``--from`` judges and draws an earlier
run's lines. Exit code 1 says that something grew: see :data:`TOLERANCES`.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

_EVERY_S = 5.0
WARM_UP_SHARE = 0.1  # of the minutes: caches fill, allocators find their size
# The most that a fitted line may rise within an hour, in percent of the median. Noise over some tens of minutes is
# below 1 %; a batch of the smallest encoder (200 KB) that is kept once a minute is 12 MB, 1.6 % of what such a run has.
TOLERANCES = {"rss_mb": 1.5, "pss_mb": 1.5, "descriptors": 1.0, "threads": 1.0}
_NAMES = {"rss_mb": "resident memory (MB)", "pss_mb": "memory, shared pages once (MB)"}

_SETTINGS = (
    "run.name=long",
    "datasets.pretraining.source.params={subjects: 4, sessions_per_subject: 2, cameras: [head], placements: [head]}",
    "window.frame_size=32",
    "window.stride_s=1.0",
    "imu_encoder.params={width: 32, depth: 1, heads: 2, stem_channels: [16, 24, 32]}",
    "video_encoder.weights=random",
    "video_encoder.params={kwargs: {patch_size: 16, embed_dim: 32, depth: 1, num_heads: 2}, grid_size: 2}",
    "video_head.params={width: 32, depth: 1, heads: 2, input_norm: standard}",
    "pretraining.batch_size=32",
    "trainer.max_epochs=1000000",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "trainer.checkpoint_every_steps=200",
    "trainer.log_every=50",
)


@dataclass(frozen=True)
class Minute:
    """What all processes of the training had together: medians of memory, the largest counts.

    Attributes:
        minute: since the first checkpoint, from 0.
        rss_mb: resident memory; pages that processes share count once for each.
        pss_mb: resident memory; shared pages are divided among those who share them.
        descriptors: open files, sockets and pipes.
        threads: of all processes.
        processes: how many there were.
    """

    minute: int
    rss_mb: float
    pss_mb: float
    descriptors: int
    threads: int
    processes: int


@dataclass(frozen=True)
class Judged:
    """A line fitted to one quantity: its median, its rise within an hour in percent of that, and what is allowed."""

    quantity: str
    median: float
    rise_percent: float
    allowed_percent: float

    @property
    def flat(self) -> bool:
        """Whether it rose by no more than is allowed; what falls is no leak."""
        return self.rise_percent <= self.allowed_percent


def judge(minutes: Sequence[Minute]) -> list[Judged]:
    """Fit a line to each quantity, by least squares, after the warm-up."""
    kept = minutes[int(len(minutes) * WARM_UP_SHARE) :]
    at = np.array([one.minute for one in kept], dtype=np.float64) / 60
    judged = []
    for quantity, allowed in TOLERANCES.items():
        values = np.array([getattr(one, quantity) for one in kept], dtype=np.float64)
        slope, _ = np.polyfit(at, values, 1)
        middle = float(np.median(values))
        judged.append(Judged(quantity, middle, 100 * float(slope) / middle, allowed))
    return judged


def sample(root: int) -> Minute | None:
    """Measure a process and all that it started; None once it is gone."""
    memory, shared, descriptors, threads, processes = 0.0, 0.0, 0, 0, 0
    for process in _family(root):
        try:
            status = _numbers(Path(f"/proc/{process}/status"))
            rollup = _numbers(Path(f"/proc/{process}/smaps_rollup"))
            descriptors += sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())
        except (OSError, ProcessLookupError):  # it has just ended
            continue
        memory, shared = memory + status.get("VmRSS", 0) / 1024, shared + rollup.get("Pss", 0) / 1024
        threads, processes = threads + int(status["Threads"]), processes + 1
    return Minute(0, memory, shared, descriptors, threads, processes) if processes else None


def watch(process: subprocess.Popen[bytes], minutes: float, file: Path) -> list[Minute]:
    """Sample a training that runs, and write a line a minute."""
    found: list[Minute] = []
    started = time.monotonic()
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Minute)])
        writer.writeheader()
        while time.monotonic() - started < 60 * minutes and process.poll() is None:
            samples = []
            while time.monotonic() - started < 60 * (len(found) + 1) and process.poll() is None:
                if (one := sample(process.pid)) is not None:
                    samples.append(one)
                time.sleep(_EVERY_S)
            if not samples:
                break
            found.append(_together(samples, len(found)))
            writer.writerow(asdict(found[-1]))
            stream.flush()
    return found


def read(file: Path) -> list[Minute]:
    """Read the lines of an earlier run."""
    kinds = {"minute": int, "rss_mb": float, "pss_mb": float, "descriptors": int, "threads": int, "processes": int}
    with file.open(encoding="utf-8", newline="") as stream:
        return [Minute(**{name: kinds[name](value) for name, value in row.items()}) for row in csv.DictReader(stream)]


def draw(minutes: Sequence[Minute], steps: int) -> Figure:
    """Draw memory above descriptors and threads, over the minutes."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    at = [one.minute for one in minutes]
    for quantity, colour in (("rss_mb", "#0072B2"), ("pss_mb", "#56B4E9")):
        above.plot(at, [getattr(one, quantity) for one in minutes], color=colour, label=_NAMES[quantity])
    for quantity, colour in (("descriptors", "#D55E00"), ("threads", "#009E73")):
        below.plot(at, [getattr(one, quantity) for one in minutes], color=colour, label=quantity)
    trained = f", {steps:,} steps" if steps else ""
    above.set_title(f"{len(minutes)} minutes of training{trained}; dotted: the warm-up ends", fontsize=10)
    for axes in (above, below):
        axes.set_ylim(bottom=0)
        axes.axvline(len(minutes) * WARM_UP_SHARE, color="grey", linestyle=":")
        axes.legend(loc="lower right", fontsize=8)
    below.set_xlabel("minute")
    return figure


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=120, help="default: %(default)s")
    parser.add_argument("--folder", type=Path, default=Path("data/long-run"), help="of shards, run, table and plot")
    parser.add_argument("--from", dest="earlier", type=Path, help="judge and draw the table of an earlier run")
    parser.add_argument("--steps", type=int, default=0, help="of the earlier run, for the plot")
    arguments = parser.parse_args(argv)
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.earlier:
        minutes, steps = read(arguments.earlier), arguments.steps
    else:
        minutes, steps = _train(folder, arguments.minutes)
    if len(minutes) < 10:
        print(f"only {len(minutes)} minutes: too few to fit a line", file=sys.stderr)
        return 1
    draw(minutes, steps).savefig(folder / "long_run.png", dpi=110)
    judged = judge(minutes)
    print(f"{len(minutes)} minutes, {steps:,} steps\n")
    print("| quantity | median | rise within an hour, % | allowed, % | flat |\n| --- | ---: | ---: | ---: | --- |")
    for one in judged:
        flat = "yes" if one.flat else "NO"
        print(f"| {one.quantity} | {one.median:,.1f} | {one.rise_percent:+.2f} | {one.allowed_percent:g} | {flat} |")
    return 0 if all(one.flat for one in judged) else 1


def _train(folder: Path, minutes: float) -> tuple[list[Minute], int]:
    """Train for a time; the clock starts with the first checkpoint, when shards and features are there."""
    from experiments.runtime.run_folder import LAST
    from lightning_modules.checkpoint import read_checkpoint

    paths = [f"paths.data={folder / 'data'}", f"paths.runs={folder / 'runs'}"]
    last = folder / "runs" / "simulator" / "long" / "checkpoints" / LAST
    command = [sys.executable, "-m", "experiments.pretrain", "simulator", *paths, *_SETTINGS]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while process.poll() is None and not last.is_file():
                time.sleep(_EVERY_S)
            found = watch(process, minutes, folder / "long_run.csv")
            if process.poll() is not None:
                raise RuntimeError(f"the training ended by itself, see {folder / 'log.txt'}")
        finally:
            process.terminate()
            try:
                process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return found, int(read_checkpoint(last)["global_step"])


def _together(samples: Sequence[Minute], minute: int) -> Minute:
    return Minute(
        minute,
        round(float(np.median([one.rss_mb for one in samples])), 2),
        round(float(np.median([one.pss_mb for one in samples])), 2),
        max(one.descriptors for one in samples),
        max(one.threads for one in samples),
        max(one.processes for one in samples),
    )


def _family(root: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    yield root
    for task in Path(f"/proc/{root}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _family(int(child))


def _numbers(file: Path) -> dict[str, float]:
    """Read the lines of a file in /proc that have a number."""
    pairs = (line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
    return {name: float(value.split()[0]) for name, value in pairs if value.split()[:1] and value.split()[0].isdigit()}


if __name__ == "__main__":
    sys.exit(main())
