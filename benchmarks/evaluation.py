"""Time of the out-of-distribution protocol, method by method.

    python -m benchmarks.evaluation CONFIG [key=value]

The benchmark takes the targets and shots of an experiment, e.g. ``sisfall``, and its checkpoint. Without a checkpoint,
the encoder has random weights, which cost the same. Each method runs with one thread, and with one thread per core,
side by side; methods that train an encoder, with a process per core. It runs again with its features known: a further
checkpoint of the same targets takes this time too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from experiments.evaluation.adaptation import find_contender
from experiments.evaluation.features.shared_fits import SharedFits
from experiments.evaluation.features.target_features import FITS, PREDICTIONS
from experiments.evaluation.plan import Unit, plan_units
from experiments.evaluation.protocol import run_units
from experiments.evaluation.systems import load_checkpoints, open_systems
from experiments.evaluation.target_data import open_targets
from experiments.evaluation.targets import System
from experiments.runtime.command_line import EXIT_OK, parse
from experiments.runtime.console import console
from experiments.runtime.devices import set_threads
from experiments.runtime.errors import UserError
from experiments.runtime.processors import cores
from experiments.runtime.training_bar import quiet
from experiments.settings.schema import Config
from lightning_modules.pretraining import ImuPretraining


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line; prints a Markdown table."""
    config = parse(argv, "benchmarks.evaluation", "Time the out-of-distribution protocol, method by method.")
    quiet()
    set_threads(config)
    targets = open_targets(config)
    methods = [find_contender(name) for name in config.evaluation.methods]
    try:
        systems = open_systems(config, methods, targets, load_checkpoints(config, methods))[0]
    except UserError as error:
        console.print(f"{error}\nan encoder with random weights is used instead", highlight=False, markup=False)
        systems = [System("", _random_model(config))]
    print(f"| method | cells | 1 thread, s | {cores()} threads, s | ratio | ms per cell |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    total = 0.0
    for name in config.evaluation.methods:
        config.evaluation.methods = [name]
        units = plan_units(config, targets, systems)
        if not units:
            continue
        started = time.perf_counter()
        _run(config, units[:1], 1)  # computes the features that all cells share
        features = time.perf_counter() - started
        alone, together = _run(config, units, 1), _run(config, units, cores())
        cells = sum(len(unit.cells) for unit in units)
        total += features + together
        ratio, each = alone / together, 1000 * together / cells
        print(f"| {name} | {cells} | {alone:.1f} | {together:.1f} | {ratio:.2f} | {each:.1f} |", flush=True)
    print(f"\nfeatures and all methods with {cores()} threads: {total:.0f} s")
    return EXIT_OK


def _run(config: Config, units: Sequence[Unit], workers: int) -> float:
    config.evaluation.workers = workers
    for unit in units:  # nothing of an earlier run is kept but the features
        unit.features.fits, unit.features.predictions = SharedFits(FITS), SharedFits(PREDICTIONS)
    started = time.perf_counter()
    run_units(config, units, lambda _: None, lambda _: None, lambda *_: None)
    return time.perf_counter() - started


def _random_model(config: Config) -> ImuPretraining:
    encoder, window = config.imu_encoder, config.window
    return ImuPretraining(
        imu_encoder={"name": encoder.name, "params": encoder.params},
        imu_input={"samples": window.samples, "rate_hz": window.imu_rate_hz},
        video_head={"name": config.video_head.name, "params": config.video_head.params},
        frame_width=128,
        pretraining_subjects=[],
    ).eval()


if __name__ == "__main__":
    sys.exit(main())
