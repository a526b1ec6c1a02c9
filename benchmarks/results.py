"""Rows of ``benchmarks/results.json``, and the tables made from them in ``docs/guides/performance.md``."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import data

ROOT = Path(__file__).parent.parent
PAPER = "the paper's way"
DENSE, RESIDENT = "a dense bfloat16 product", "the same batch on the device"
LIVE, PER_CELL, PER_CELL_KEPT = "decoding and encoding", "AdamW a cell, encoding", "AdamW a cell, features kept"
TITLES = {
    "imu": "IMU",
    "features": "IMU + features",
    "jpeg": "IMU + JPEG clips",
    "raw": "IMU + raw clips",
    "training": "training, windows",
    "probes": "probes of the protocol",
    "protocol": "cells of the protocol",
    "vit": "frozen ViT-B/16 forward, operations",
    "fed_features": "training on a GPU, from cached features, windows",
    "fed_clips": "training on a GPU, from JPEG clips, windows",
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
    ("training", LIVE): 200,
    ("probes", PER_CELL): 50,
    ("vit", DENSE): 0.5,
    ("fed_clips", RESIDENT): 0.9,
}
GPU_CASES = ("vit", "fed_features", "fed_clips")
BEGIN, END = "<!-- table made by make bench -->", "<!-- end of the table -->"
BEGIN_WORK = "<!-- table of training and probes made by make bench -->"
BEGIN_GPU = "<!-- table made by make bench where there is a GPU -->"
BEGIN_GROWTH = "<!-- table made by make bench-full -->"


def row_of(
    case: str, ours: str, peer: str, ours_per_s: list[float], peer_per_s: list[float], goal: float | None, where: str
) -> dict[str, Any]:
    """Make one row of results.json from the rates of all runs."""
    medians = statistics.median(ours_per_s), statistics.median(peer_per_s)
    return {
        "case": TITLES[case],
        "ours": ours,
        "peer": peer,
        "ours_per_s": float(f"{medians[0]:.4g}"),
        "peer_per_s": float(f"{medians[1]:.4g}"),
        "ratio": float(f"{medians[0] / medians[1]:.3g}"),
        "goal": goal,
        "runs": {
            "ours": [float(f"{rate:.4g}") for rate in ours_per_s],
            "peer": [float(f"{rate:.4g}") for rate in peer_per_s],
        },
        "machine": where,
    }


def machine(load: float) -> str:
    """Describe this machine in words."""
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
    """Write the rows as Markdown."""
    lines = [
        "| | ours, a second | against | theirs | ratio (lowest to highest run) | goal | per CPU second: ours, theirs |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        runs = [a / b for a, b in zip(row["runs"]["ours"], row["runs"]["peer"], strict=True)]
        goal = "" if row["goal"] is None else f"{row['goal']:g} x"
        processor = f"{row['ours_per_cpu_s']:,.0f}, {row['peer_per_cpu_s']:,.0f}" if "ours_per_cpu_s" in row else ""
        lines.append(
            f"| {row['case']} | {row['ours_per_s']:,.{_digits(row['ours_per_s'])}f} | {row['peer']} |"
            f" {row['peer_per_s']:,.{_digits(row['peer_per_s'])}f} |"
            f" {_times(row['ratio'])} x ({_times(min(runs))} to {_times(max(runs))}) | {goal} | {processor} |"
        )
    machines = sorted({row["machine"] for row in rows})
    return "\n".join([*lines, "", "Measured on: " + "; ".join(machines) + "."])


def _times(ratio: float) -> str:
    return f"{ratio:,.1f}" if ratio >= 1 else f"{ratio:.2f}"


def _digits(rate: float) -> int:
    return 0 if rate >= 100 else 1 if rate >= 1 else 3


def publish(rows: list[dict[str, Any]]) -> None:
    """Write rows into results.json and into the table of docs/guides/performance.md."""
    results = ROOT / "benchmarks" / "results.json"
    measured = {(row["case"], row["peer"].split(",")[0]) for row in rows}
    old = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else []
    kept = [row for row in old if (row["case"], row["peer"].split(",")[0]) not in measured]
    order = list(TITLES.values())
    everything = sorted([*kept, *rows], key=lambda row: order.index(row["case"]) if row["case"] in order else 99)
    results.write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    tables = {BEGIN: data.CASES, BEGIN_WORK: ("training", "probes"), BEGIN_GPU: GPU_CASES}
    for begin, cases in tables.items():
        titles = [TITLES[case] for case in cases]
        shown = [row for row in everything if row["case"] in titles]
        if shown:
            replace_between(begin, END, table(shown))


def replace_between(begin: str, end: str, what: str) -> None:
    """Replace a part of docs/guides/performance.md."""
    page = ROOT / "docs" / "guides" / "performance.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{begin}\n{what}\n{end}{after}", encoding="utf-8")


def publish_growth(rows: list[dict[str, Any]], cases: Sequence[str]) -> None:
    """Write the growth of rates and memory with the number of windows into docs/guides/performance.md."""
    lines = [
        f"| windows | {' | '.join(TITLES[case] for case in cases)} | peak memory of each, MB |",
        f"| ---: |{' ---: |' * (len(cases) + 1)}",
    ]
    for row in rows:
        rates = " | ".join(f"{row[case]['per_s']:,.{_digits(row[case]['per_s'])}f}" for case in cases)
        peaks = ", ".join(f"{row[case]['peak_mb']:,.0f}" for case in cases)
        lines.append(f"| {row['windows']:,} | {rates} | {peaks} |")
    replace_between(BEGIN_GROWTH, END, "\n".join(lines))
