"""Training steps of the default experiment: which share of a dense float32 product's rate they reach on the same cores.

    python -m benchmarks.steps [--threads 1] [--runs 5] [--folder data/bench-steps]

A step is all that training computes: reading, augmentation, losses, gradients, their norm, the optimiser. Its products
and convolutions are counted, and divided by the processor's time; the dense product, of 1024 x 1024 matrices, takes
turns with it. Time of the processor hardly depends on what else the machine does, but for shared caches. With more
threads than one it includes waiting of one thread for the other.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import lightning as L
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training import Way
from experiments.artifacts.shards import open_dataset
from experiments.artifacts.video_encoder import (
    FramePairs,
    features_of,
    open_video_encoder,
    video_encoder_params,
)
from experiments.runtime.devices import precision_of
from experiments.runtime.training_bar import quiet
from experiments.settings.load import load
from experiments.settings.schema import Config
from experiments.training.data import Shards, make_data_module
from experiments.training.module import make_module
from lightning_modules.masked_video import MaskedVideoPretraining

_SIDE = 1024  # of the dense product's matrices
_WARM_UP, _STEPS = 2, 5


def settings(folder: Path) -> Config:
    """Give the default experiment's settings with fewer people, and a video encoder that is not trained first."""
    people = "{subjects: 4, sessions_per_subject: 1, cameras: [head], placements: [head]}"
    return load(
        "simulator",
        [
            f"paths.data={folder}",
            f"datasets.pretraining.source.params={people}",
            "video_encoder.weights=random",
            "pretraining.validation_share=0",
        ],
    )


def imu_step(config: Config, shards: Shards) -> Callable[[], None]:
    """Make a step of the IMU encoder's pretraining, from cached features."""
    video = open_video_encoder(config, shards)  # type: ignore[arg-type]
    features = features_of(config, shards, "pretraining", video)  # type: ignore[arg-type]
    data = make_data_module(config, shards, features)
    L.seed_everything(0, verbose=False)
    way = Way(make_module(config, shards, video, features, data), data, config)
    windows = data.training_windows[: config.pretraining.batch_size]

    def step() -> None:
        way.step(windows, 0, config.optim.gradient_clip)

    return step


def video_step(config: Config, shards: Shards) -> Callable[[], None]:
    """Make a step of the video encoder's training on masked patches, in the precision that it has here."""
    module = MaskedVideoPretraining(video_encoder_params(config), config.video_pretraining.params)
    module.on_fit_start()
    module.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer to log to
    optimizer = torch.optim.AdamW(module.parameters(), module.params.learning_rate)
    pairs = iter(FramePairs(shards, config.video_pretraining.batch_size, 10**6, 1000, 0))  # type: ignore[arg-type]
    low = precision_of(config, config.video_pretraining.precision) == "bf16-mixed"

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            loss = module.training_step(next(pairs), 0)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()

    return step


def processor_s(work: Callable[[], object]) -> float:
    """Measure the seconds of the processor, of all threads."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(step: Callable[[], None], runs: int) -> tuple[float, float, list[float]]:
    """Measure a step: its products in GFLOP, the fastest in seconds of the processor, and its share in each run."""
    for _ in range(_WARM_UP):
        step()
    with FlopCounterMode(display=False) as counter:
        step()
    flops = counter.get_total_flops()
    left, right = torch.randn(2, _SIDE, _SIDE)
    shares, fastest = [], float("inf")
    for _ in range(runs):
        dense_s = min(processor_s(lambda: left @ right) for _ in range(10)) / (2 * _SIDE**3)
        step_s = min(processor_s(step) for _ in range(_STEPS))
        fastest = min(fastest, step_s)
        shares.append(flops * dense_s / step_s)
    return flops / 1e9, fastest, shares


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("data/bench-steps"))
    arguments = parser.parse_args(argv)
    quiet()
    torch.set_num_threads(arguments.threads)
    config = settings(arguments.folder)
    shards = open_dataset(config, "pretraining")
    print(f"{arguments.threads} threads, {arguments.runs} runs\n")
    print("| step | GFLOP | ms of the processor | share of a dense float32 product (lowest to highest) |")
    print("| --- | ---: | ---: | ---: |")
    for name, make in (("IMU encoder", imu_step), ("video encoder", video_step)):
        gflop, seconds, shares = measure(make(config, shards), arguments.runs)
        span = f"{100 * statistics.median(shares):.0f} % ({100 * min(shares):.0f} to {100 * max(shares):.0f})"
        print(f"| {name} | {gflop:.1f} | {1000 * seconds:.0f} | {span} |")


if __name__ == "__main__":
    main()
