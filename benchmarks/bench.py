"""``make bench``: reading, against LitData, MosaicML Streaming, WebDataset and the paper's way, side by side.

    python -m benchmarks.bench [--folder data/bench] [--cases imu features jpeg raw] [--full]

Every contestant is a process of its own, reads the same windows from a warm page cache, and is asked in turn, so that
whatever else the machine does meets all of them. Peers run with the number of workers that was fastest for them in a
trial of 0, 1 and as many as there are cores; ours runs in one process, with two threads for clips. The median of the
runs goes into ``benchmarks/results.json`` and into the table in ``docs/performance.md``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import data, paper_way

ROOT = Path(__file__).parent.parent
PEERS = {"LitData": "with_litdata", "MosaicML Streaming": "with_mds", "WebDataset": "with_webdataset"}
PAPER = "the paper's way"
TITLES = {
    "imu": "IMU",
    "features": "IMU + features",
    "jpeg": "IMU + JPEG clips",
    "raw": "IMU + raw clips",
}
GOALS = {
    ("imu", "LitData"): 8,
    ("imu", "MosaicML Streaming"): 25,
    ("imu", "WebDataset"): 60,
    ("features", "LitData"): 8,
    ("features", "MosaicML Streaming"): 25,
    ("features", "WebDataset"): 60,
    ("jpeg", "LitData"): 2,
    ("jpeg", "MosaicML Streaming"): 2.3,
    ("jpeg", "WebDataset"): 3,
    ("raw", "LitData"): 3,
    ("raw", "MosaicML Streaming"): 5,
    ("raw", "WebDataset"): 9,
    ("imu", PAPER): 1000,
    ("jpeg", PAPER): 7,
    ("raw", PAPER): 75,
}
BEGIN, END = "<!-- table made by make bench -->", "<!-- end of the table -->"


class Contestant:
    """A process that answers with its rate."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
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

    def ask(self, case: str, workers: int, seconds: float) -> dict[str, Any]:
        """Its answer to one question; what goes wrong in it ends the benchmark."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps({"case": case, "workers": workers, "seconds": seconds}), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": f"it ended; see {self.log.name}"}
        if "error" in answer:
            raise SystemExit(f"{self.name}, {case}, {workers} workers: {answer['error']}")
        return answer

    def best_workers(self, case: str, seconds: float) -> int:
        """The number of workers that is fastest for it here."""
        tried = {workers: self.ask(case, workers, seconds)["per_s"] for workers in (0, 1, os.cpu_count() or 2)}
        print(f"  {self.name}: " + ", ".join(f"{w} workers {r:,.0f}/s" for w, r in tried.items()), flush=True)
        return max(tried, key=lambda workers: tried[workers])

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.log.close()


def prepare(folder: Path, peers_python: str, cases: list[str], windows: int, clips: int) -> None:
    """The data in everybody's format, whatever is missing."""
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


def compare(folder: Path, peers_python: str, case: str, runs: int, seconds: float) -> list[dict[str, Any]]:
    """Rates of all contestants in one case."""
    ours = Contestant("ours", [sys.executable, "-m", "benchmarks.ours", str(folder)])
    peers = [
        Contestant(name, [peers_python, f"benchmarks/peers/{script}.py", str(folder), "serve"])
        for name, script in PEERS.items()
    ]
    if (case, PAPER) in GOALS:
        peers.append(Contestant(PAPER, [sys.executable, "-m", "benchmarks.paper_way", str(folder)]))
    print(TITLES[case], flush=True)
    threads = 2 if case in ("jpeg", "raw") else 1
    ours.ask(case, threads, seconds)  # into the page cache
    workers = {peer.name: peer.best_workers(case, seconds) for peer in peers}
    rates: dict[str, list[float]] = {peer.name: [] for peer in [ours, *peers]}
    load = os.getloadavg()[0]
    for _ in range(runs):
        rates["ours"].append(ours.ask(case, threads, seconds)["per_s"])
        for peer in peers:
            rates[peer.name].append(peer.ask(case, workers[peer.name], seconds)["per_s"])
    rows = []
    for peer in peers:
        mine, other = statistics.median(rates["ours"]), statistics.median(rates[peer.name])
        rows.append(
            {
                "case": TITLES[case],
                "ours": f"one process, {threads} thread{'s' if threads > 1 else ''}",
                "peer": f"{peer.name}, {workers[peer.name]} workers",
                "ours_per_s": round(mine, 1),
                "peer_per_s": round(other, 1),
                "ratio": round(mine / other, 2),
                "goal": GOALS[case, peer.name],
                "runs": {"ours": [round(r, 1) for r in rates["ours"]], "peer": [round(r, 1) for r in rates[peer.name]]},
                "machine": machine(load),
            }
        )
        print(f"  {peer.name}: {mine:,.0f} against {other:,.0f} = {mine / other:.1f} x", flush=True)
    for contestant in [ours, *peers]:
        contestant.close()
    return rows


def machine(load: float) -> str:
    """What it was measured on, in words."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    day = datetime.date.today().isoformat()
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}, load {load:.1f} at the start, {day}"


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| windows/s | ours | against | theirs | ratio (lowest to highest run) | goal |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        runs = [a / b for a, b in zip(row["runs"]["ours"], row["runs"]["peer"], strict=True)]
        lines.append(
            f"| {row['case']} | {row['ours_per_s']:,.0f} | {row['peer']} | {row['peer_per_s']:,.0f} |"
            f" {row['ratio']:,.1f} x ({min(runs):,.1f} to {max(runs):,.1f}) | {row['goal']:g} x |"
        )
    machines = sorted({row["machine"] for row in rows})
    return "\n".join([*lines, "", "Measured on: " + "; ".join(machines) + "."])


def publish(rows: list[dict[str, Any]]) -> None:
    """Into results.json and the table of docs/performance.md."""
    results = ROOT / "benchmarks" / "results.json"
    measured = {(row["case"], row["peer"].split(",")[0]) for row in rows}
    old = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else []
    kept = [row for row in old if (row["case"], row["peer"].split(",")[0]) not in measured]
    order = list(TITLES.values())
    everything = sorted([*kept, *rows], key=lambda row: order.index(row["case"]) if row["case"] in order else 99)
    results.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = ROOT / "docs" / "performance.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    shown = [row for row in everything if row["case"] in order]
    page.write_text(f"{before}{BEGIN}\n{table(shown)}\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Reading against peers; see the head of benchmarks/bench.py.")
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench")
    parser.add_argument("--peers-python", default=str(ROOT / ".venv-bench" / "bin" / "python"))
    parser.add_argument("--cases", nargs="+", default=list(data.CASES), choices=data.CASES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a run, unless an epoch is over before")
    parser.add_argument("--windows", type=int, default=20_000)
    parser.add_argument("--clips", type=int, default=640)
    parser.add_argument("--full", action="store_true", help="also 1 k to 1 M windows, with peak memory")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    prepare(folder, arguments.peers_python, arguments.cases, arguments.windows, arguments.clips)
    rows = []
    for case in arguments.cases:
        rows += compare(folder, arguments.peers_python, case, arguments.runs, arguments.seconds)
    publish(rows)


if __name__ == "__main__":
    main()
