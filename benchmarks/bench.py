"""Reading (``make bench``) against LitData, MosaicML Streaming, WebDataset and the paper's way.

    python -m benchmarks.bench [--folder data/bench] [--cases imu features jpeg raw training probes gpu] [--full]

Every contestant is a process of its own, and reads the same windows from a warm page cache. Contestants are asked in
turn, so that other load on the machine affects all of them. Peers run with the number of workers that was fastest in a
trial of 0, 1 and as many as there are cores, each twice. Ours runs in one process, with two reading threads. The
median of the runs goes into ``benchmarks/results.json`` and into the table in ``docs/guides/performance.md``.

Further cases compare an epoch from cached features with decoding and encoding (``benchmarks.training``), and the
evaluation's probes with a probe trained for every cell (``benchmarks.probes``). Both ways run in one process, in turns.
With a GPU, ``benchmarks.gpu`` runs too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import data, gpu, paper_way, probes, scale, training
from benchmarks.ours import THREADS
from benchmarks.results import (
    DENSE,
    GOALS,
    GPU_CASES,
    LIVE,
    PAPER,
    PER_CELL,
    PER_CELL_KEPT,
    RESIDENT,
    ROOT,
    TITLES,
    machine,
    publish,
    publish_growth,
    row_of,
)

PEERS = {"LitData": "with_litdata", "MosaicML Streaming": "with_mds", "WebDataset": "with_webdataset"}
OTHER_CASES = ("training", "probes", "gpu")
EVERYTHING = [*data.CASES, *OTHER_CASES]


@dataclass(frozen=True)
class Limit:
    """Limits of one run, which ends at the first one reached."""

    seconds: float
    batches: int


class Contestant:
    """A process that answers with its rate."""

    def __init__(self, name: str, command: list[str], reads: Path) -> None:
        self.name = name
        self.reads = reads  # folder to read: a folder with one subfolder per case, or this one alone
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self.log = (ROOT / "data" / "bench-log.txt").open("a")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    def ask(self, case: str, workers: int, limit: Limit) -> dict[str, Any]:
        """Ask one question and return the answer; an error of the contestant ends the benchmark."""
        # The page cache must be warm for every contestant; a system may drop files after a few seconds.
        for path in sorted((self.reads / case if (self.reads / case).is_dir() else self.reads).rglob("*")):
            if path.is_file():
                path.read_bytes()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        question = {"case": case, "workers": workers, "seconds": limit.seconds, "most": limit.batches}
        print(json.dumps(question), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": f"it ended; see {self.log.name}"}
        if "error" in answer:
            raise SystemExit(f"{self.name}, {case}, {workers} workers: {answer['error']}")
        return answer

    def best_workers(self, case: str, limit: Limit) -> int:
        """Find the contestant's fastest number of workers on this machine."""
        tried: dict[int, float] = {}
        for workers in (0, 1, os.cpu_count() or 2) * 2:  # twice, because other load may slow one run
            tried[workers] = max(tried.get(workers, 0.0), self.ask(case, workers, limit)["per_s"])
        print(f"  {self.name}: " + ", ".join(f"{w} workers {r:,.0f}/s" for w, r in tried.items()), flush=True)
        return max(tried, key=lambda workers: tried[workers])

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.log.close()


def prepare(folder: Path, peers_python: str, cases: list[str], windows: int, clips: int) -> None:
    """Write missing data, in the format of each contestant."""
    data.make(folder, windows, clips)
    paper_way.make(folder)
    for name, script in PEERS.items():
        for case in cases:
            done = folder / f"{script}-{case}.done"
            if not done.is_file():
                print(f"writing {TITLES[case]} for {name}", flush=True)
                command = [peers_python, f"benchmarks/peers/{script}.py", str(folder), "write", case]
                finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
                if finished.returncode:
                    raise SystemExit(
                        f"{name} could not write {case}:\n{finished.stdout[-2000:]}{finished.stderr[-2000:]}"
                    )
                done.touch()


def start(folder: Path, peers_python: str) -> list[Contestant]:
    """Start all contestants, ours first."""
    found = [Contestant("ours", [sys.executable, "-m", "benchmarks.ours", str(folder)], folder / "ours")]
    for name, script in PEERS.items():
        command = [peers_python, f"benchmarks/peers/{script}.py", str(folder), "serve"]
        found.append(Contestant(name, command, folder / script.removeprefix("with_")))
    found.append(Contestant(PAPER, [sys.executable, "-m", "benchmarks.paper_way", str(folder)], folder / "recordings"))
    return found


def compare(contestants: list[Contestant], case: str, runs: int, limit: Limit) -> list[dict[str, Any]]:
    """Compare the rates of all contestants in one case."""
    ours, *others = contestants
    peers = [peer for peer in others if (case, peer.name) in GOALS]
    print(TITLES[case], flush=True)
    ours.ask(case, THREADS, limit)  # opens the shards
    workers = {peer.name: peer.best_workers(case, limit) for peer in peers}
    answers: dict[str, list[dict[str, Any]]] = {peer.name: [] for peer in [ours, *peers]}
    load = os.getloadavg()[0]
    for _ in range(runs):
        answers["ours"].append(ours.ask(case, THREADS, limit))
        for peer in peers:
            answers[peer.name].append(peer.ask(case, workers[peer.name], limit))

    rows = []
    for peer in peers:
        row = row_of(
            case,
            f"one process, {THREADS} threads",
            f"{peer.name}, {workers[peer.name]} workers",
            [answer["per_s"] for answer in answers["ours"]],
            [answer["per_s"] for answer in answers[peer.name]],
            GOALS[case, peer.name],
            machine(load),
        )
        for side, name in (("ours", "ours"), ("peer", peer.name)):
            row[f"{side}_per_cpu_s"] = round(statistics.median(answer["per_cpu_s"] for answer in answers[name]), 1)
        print(f"  {row['peer']}: {row['ours_per_s']:,.0f} against {row['peer_per_s']:,.0f} = {row['ratio']:.1f} x")
        rows.append(row)
    return rows


def train(folder: Path) -> list[dict[str, Any]]:
    """Compare training from cached features with decoding and encoding."""
    where = machine(os.getloadavg()[0])
    found = training.measure(folder, "vit_base_patch16_224", batch=16, live_batch=4, runs=5)
    row = row_of(
        "training",
        "features from the cache, batches of 16",
        f"{LIVE} with ViT-B/16, batches of 4",
        found["cached"],
        found["live"],
        GOALS["training", LIVE],
        where,
    )
    row["features_share_of_the_step"] = float(f"{found['share']:.2g}")
    print(f"  {row['ratio']:.0f} x, features {100 * found['share']:.1f} % of the step", flush=True)
    return [row]


def probe() -> list[dict[str, Any]]:
    """Compare probes that are solved together with a probe trained for every cell."""
    where = machine(os.getloadavg()[0])
    found = probes.measure(5, probes.PAPERS_WAYS)
    cells = {name: [probes.CELLS / seconds for seconds in values] for name, values in found.items()}
    rows = []
    for name, way in ((PER_CELL, "encoded each time"), (PER_CELL_KEPT, "features kept")):
        goal = GOALS.get(("probes", name))
        rows.append(row_of("probes", "encoded once, solved", name, cells["ours"], cells[way], goal, where))
        print(f"  {name}: {rows[-1]['ratio']:.0f} x", flush=True)
    return rows


def on_gpu(folder: Path) -> list[dict[str, Any]]:
    """Compare the GPU's rates with the most that it could reach; do nothing without a GPU."""
    if not torch.cuda.is_available():
        print("  no GPU, so nothing is measured", flush=True)
        return []
    where = f"{torch.cuda.get_device_name()}; {machine(os.getloadavg()[0])}"
    rows = []
    for case, peer, found in zip(
        GPU_CASES,
        (DENSE, RESIDENT, RESIDENT),
        gpu.measure(folder / "gpu", torch.device("cuda"), "vit_base_patch16_224", 5),
        strict=True,
    ):
        goal = GOALS.get((case, peer))
        row = row_of(case, "one process", peer, found["ours"], found["most"], goal, where)
        row |= {name: float(f"{found[name]:.4g}") for name in ("images_per_s",) if name in found}
        if "waiting" in found:
            row["data_waiting_share"] = float(f"{statistics.median(found['waiting']):.2g}")
        print(f"  {row['case']}: {row['ratio']:.2f} of the most", flush=True)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Reading against peers; see the head of benchmarks/bench.py.")
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench")
    parser.add_argument("--peers-python", default=str(ROOT / ".venv-bench" / "bin" / "python"))
    parser.add_argument("--cases", nargs="*", default=EVERYTHING, choices=EVERYTHING)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a run")
    parser.add_argument("--batches", type=int, default=10**9, help="of a run, at most")
    parser.add_argument("--windows", type=int, default=20_000)
    parser.add_argument("--clips", type=int, default=640)
    parser.add_argument("--full", action="store_true", help="also 1 k to 1 M windows, with peak memory")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    reading = [case for case in arguments.cases if case in data.CASES]
    if reading:
        prepare(folder, arguments.peers_python, reading, arguments.windows, arguments.clips)
        contestants = start(folder, arguments.peers_python)
        for case in reading:
            publish(compare(contestants, case, arguments.runs, Limit(arguments.seconds, arguments.batches)))
        for contestant in contestants:
            contestant.close()
    if "training" in arguments.cases:
        print(TITLES["training"], flush=True)
        publish(train(folder / "training"))
    if "probes" in arguments.cases:
        print(TITLES["probes"], flush=True)
        publish(probe())
    if "gpu" in arguments.cases:
        print("GPU", flush=True)
        publish(on_gpu(folder))
    if arguments.full:
        publish_growth(scale.measure(folder / "scale", (1_000, 10_000, 100_000, 1_000_000)), scale.CASES)


if __name__ == "__main__":
    main()
