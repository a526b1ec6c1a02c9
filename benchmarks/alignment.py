"""Benefit of temporal alignment, for clocks of camera and sensor that agree and for clocks that do not.

    python -m benchmarks.alignment [--seeds 5] [--clock 0.5] [--epochs 25] [--data FOLDER]

The benchmark pretrains on the simulator (``experiments/configs/simulator.yaml``). With clocks that agree, it trains
without alignment and with it. With clocks that are off by up to ``--clock`` seconds, differently in each recording, it
trains with the plain alignment loss and with the loss that marginalises over the shift. With both kinds of clocks it
also trains with the loss that tells the order of frames. Two things are measured on subjects who were not in
pretraining:

- The error of a recording's clock offset that is found from all its windows together, milliseconds. The recordings are
  the same for all, with clocks off by up to ``--clock`` seconds. Without alignment, only two linear projections into
  the space of the comparison are fitted afterwards.
- The balanced accuracy of a linear probe on few labelled windows per activity, in percent. The probe is tested on other
  subjects than it was fitted on, and the draws are the same for all.

Shards, the video encoder, its features and finished results are kept in ``--data``. Seeds share them, and an
interrupted benchmark continues. Intervals are over seeds, from three seeds on. Differences are taken seed by seed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.alignment_arms import SHOTS, Arm, Data, few_shot, offset_errors_ms, open_data, settings, train
from encoders.contract import VideoEncoder
from experiments.runtime.console import console
from experiments.runtime.training_bar import quiet
from experiments.settings.schema import Config
from experiments.statistics.intervals import bootstrap_interval


def result_of(
    config: Config, arm: Arm, seed: int, epochs: int, clock_s: float, data: dict[str, Data], video_encoder: VideoEncoder
) -> dict[str, Any]:
    """Get the result of one arm with one seed: the kept one, or a new one after training and measuring."""
    identity = [asdict(arm), seed, epochs, clock_s, {name: part.shards.fingerprint for name, part in data.items()}]
    digest = hashlib.sha256(json.dumps([*identity, video_encoder.fingerprint()], sort_keys=True).encode()).hexdigest()[
        :12
    ]
    path = Path(config.paths.data) / "results" / f"{digest}.json"
    if not path.is_file():
        model = train(config, arm, seed, epochs, data[arm.clocks], video_encoder)
        result = {
            "arm": asdict(arm),
            "seed": seed,
            "offset_errors_ms": offset_errors_ms(config, model, data["held_out"]),
            "accuracy": few_shot(config, model, data["few_shot"].shards),
        }
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(result, indent=1))
        part.replace(path)
    kept: dict[str, Any] = json.loads(path.read_text())
    return kept


def interval(values: Sequence[float] | NDArray[np.float64], digits: int = 1, sign: str = "") -> str:
    """Write the mean over seeds, with its interval from three seeds on."""
    array = np.asarray(values, np.float64)
    low, high = bootstrap_interval(array)
    ends = f" [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]" if np.isfinite(low) else ""
    return f"{array.mean():{sign}.{digits}f}{ends}"


def tables(arms: Sequence[Arm], results: dict[str, list[dict[str, Any]]], reference: Arm) -> str:
    """Write Markdown tables of offsets, and of accuracies with their differences from ``reference``."""
    lines = [
        "| pretraining | clocks | median error, ms | 90 % below, ms | bias, ms | without bias, ms |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for arm in arms:
        errors = [np.asarray(result["offset_errors_ms"]) for result in results[arm.key]]
        columns = [
            interval([float(np.median(np.abs(e))) for e in errors], 0),
            interval([float(np.quantile(np.abs(e), 0.9)) for e in errors], 0),
            interval([float(np.median(e)) for e in errors], 0, "+"),
            interval([float(np.median(np.abs(e - np.median(e)))) for e in errors], 0),
        ]
        lines.append(f"| {arm.name} | {arm.clocks} | {' | '.join(columns)} |")
    heads = "".join(f" k = {shots} | difference |" for shots in SHOTS)
    lines += ["", f"| pretraining | clocks |{heads}", "| --- | --- |" + " ---: | ---: |" * len(SHOTS)]
    for arm in arms:
        columns = []
        for shots in SHOTS:
            own, other = (
                np.array([100 * result["accuracy"][str(shots)] for result in results[key]])
                for key in (arm.key, reference.key)
            )
            columns.append(interval(own))
            columns.append("" if arm is reference else interval(own - other, 1, "+"))
        lines.append(f"| {arm.name} | {arm.clocks} | {' | '.join(columns)} |")
    lines += ["", f"Differences are from '{reference.name}' with clocks that {reference.clocks}."]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line; prints Markdown tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--clock", type=float, default=0.5, help="clocks are off by up to this, seconds")
    parser.add_argument("--epochs", type=int, default=25, help="of pretraining")
    parser.add_argument("--data", type=Path, default=Path("data/alignment_benchmark"), help="where all is kept")
    parser.add_argument("--arms", nargs="*", type=int, default=[], help="only these, by number from 0")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    arguments = parser.parse_args(argv)
    quiet()
    torch.set_num_threads(arguments.threads)
    config = settings(arguments.data, arguments.clock)
    data, video_encoder = open_data(config)
    # Slightly wider than the offsets, so that the largest offsets have candidates on both sides.
    max_shift_s = round(1.2 * arguments.clock, 3)
    arms = [
        Arm("no alignment", "agree", weight=0.0),
        Arm("plain alignment", "agree"),
        Arm("plain alignment", "off"),
        Arm("shift marginalised", "off", max_shift_s=max_shift_s),
        Arm("frames' order", "agree", weight=0.0, order=0.5),
        Arm("frames' order", "off", weight=0.0, order=0.5),
        Arm("shift marginalised, and frames' order", "off", order=0.5, max_shift_s=max_shift_s),
    ]
    reference = arms[1]
    if arguments.arms:
        arms = [arms[number] for number in sorted({*arguments.arms, 1})]
    results: dict[str, list[dict[str, Any]]] = {arm.key: [] for arm in arms}
    for seed in range(arguments.seeds):
        for arm in arms:
            started = time.perf_counter()
            results[arm.key].append(
                result_of(config, arm, seed, arguments.epochs, arguments.clock, data, video_encoder)
            )
            seconds = time.perf_counter() - started
            console.print(f"seed {seed}, {arm.name}, clocks {arm.clocks}: {seconds:.0f} s", highlight=False)
    print(f"{arguments.seeds} seeds, {arguments.epochs} epochs, clocks off by up to {arguments.clock} s; SIMULATED\n")
    print(tables(arms, results, reference))


if __name__ == "__main__":
    main()
