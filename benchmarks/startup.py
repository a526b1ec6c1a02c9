"""The time until a command answers: ``--help`` of every command, and ``check_import`` of a small study.

``python -m benchmarks.startup`` prints medians; with ``--other DIR`` those of another checkout beside them, run
in turns with its own environment ``DIR/.venv``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
MANIFEST = """
name: startup
groups:
  clinic:
    imu:
      - files: "{subject}.csv"
        time: {column: t, unit: s}
        sensors: {wrist: {acceleration: {columns: [ax, ay, az], unit: g}}}
"""


def write_study(folder: Path) -> Path:
    """Write two recordings of a minute at 50 Hz with their manifest; returns the manifest's path."""
    times = np.arange(3000) / 50
    rng = np.random.default_rng(0)
    for name in ("P1", "P2"):
        rows = np.column_stack([times, rng.normal(0, 0.02, (3000, 3)) + np.array([0, 0, 1])])
        np.savetxt(folder / f"{name}.csv", rows, "%.5f", ",", header="t,ax,ay,az", comments="")
    (folder / "manifest.yaml").write_text(MANIFEST, encoding="utf-8")
    return folder / "manifest.yaml"


def seconds(root: Path, command: str, *arguments: str) -> float:
    """Run a command of a checkout once; returns the wall time."""
    own = root / ".venv" / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([python, "-m", command, *arguments], cwd=root, env=environment, capture_output=True, check=True)
    return time.perf_counter() - started


def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--other", type=Path, help="another checkout")
    parser.add_argument("--runs", type=int, default=5, help="runs of each, of which the median is printed")
    arguments = parser.parse_args(argv)
    roots = [ROOT] if arguments.other is None else [ROOT, arguments.other.resolve()]
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_study(Path(folder))
        commands = [(path.stem, "--help") for path in sorted((ROOT / "experiments").glob("[a-z]*.py"))]
        for name, argument in [*commands, ("check_import", str(manifest))]:
            found: list[list[float]] = [[] for _ in roots]
            for _ in range(arguments.runs):
                for root, times in zip(roots, found, strict=True):
                    times.append(seconds(root, f"experiments.{name}", argument))
            medians = "   ".join(f"{statistics.median(times):6.2f} s" for times in found)
            print(f"{name + ' --help' if argument == '--help' else name + ' of a study':<24} {medians}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
