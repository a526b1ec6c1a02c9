"""An epoch of pretraining from cached features, against decoding and encoding the clips in every epoch.

    python -m benchmarks.training [--tower vit_base_patch16_224] [--batch 16] [--runs 3] [--folder data/bench-training]

The same windows, IMU encoder, losses and batch size both ways, turn about: once with the video tower's features from
the cache, once with the clips decoded and put through the tower in every step. The tower has random weights, which
cost what pretrained ones do. Also said: which part of a step from the cache is spent on waiting for the features.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.batch_loader import Batch
from datamodules.pretraining import PretrainingDataModule
from experiments.config import load
from experiments.datasets import open_dataset
from experiments.pretrain import make_data_module, make_module
from experiments.schema import Config
from experiments.trainers import quiet
from experiments.video_tower import features_of, open_tower
from lightning_modules.pretraining import ImuPretraining


def settings(folder: Path, tower: str, batch: int) -> Config:
    """Some windows of one simulated person, 10 frames of 224 x 224 each."""
    return load(
        "simulator",
        [
            f"paths.data={folder}",
            "datasets.pretraining.source.params={subjects: 1, sessions_per_subject: 1, session_s: 240,"
            " cameras: [head], placements: [head]}",
            "window.frame_size=224",
            f"video_encoder={{weights: random, views: 1, params: {{model: {tower}}}}}",
            f"pretraining.batch_size={batch}",
            "pretraining.validation_share=0",
        ],
    )


class Way:
    """One way to train: a module with its optimiser, and where its batches come from."""

    def __init__(self, module: ImuPretraining, data: PretrainingDataModule, config: Config) -> None:
        self.module, self.data, self.config = module.train(), data, config
        self.module.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer to log to
        self.optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], fused=True)

    def step(self, windows: NDArray[np.int64], seed: int) -> float:
        """Seconds of one step."""
        started = time.perf_counter()
        batch = self.with_views(self.data.read(windows), seed)
        loss = self.module.training_step(batch, 0)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return time.perf_counter() - started

    def with_views(self, batch: Batch, seed: int) -> Batch:
        """As the data module augments in training."""
        generator = torch.Generator().manual_seed(seed)
        rate_hz = self.config.window.imu_rate_hz
        batch["views"] = []
        for _ in range(self.config.pretraining.views):
            view = self.data.augmentation(
                batch["imu"], batch["sample_mask"], batch["channel_mask"], batch["frame_times"], rate_hz, generator
            )
            batch["views"].append(view._asdict())
        return batch


def main(argv: Sequence[str] | None = None) -> None:
    """Command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tower", default="vit_base_patch16_224", help="a timm model")
    parser.add_argument("--batch", type=int, default=16, help="windows a step")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("data/bench-training"))
    arguments = parser.parse_args(argv)
    quiet()
    config = settings(arguments.folder, arguments.tower, arguments.batch)
    shards = open_dataset(config, "pretraining")
    tower = open_tower(config, shards)
    cache = features_of(config, shards, "pretraining", tower)
    live_config = copy.deepcopy(config)
    live_config.video_encoder.cache = False
    live_config.video_head.params = {**config.video_head.params, "input_norm": "layer"}
    ways = []
    for settings_, features in ((config, cache), (live_config, None)):
        data = make_data_module(settings_, shards, features)
        L.seed_everything(0, verbose=False)
        ways.append(Way(make_module(settings_, shards, tower, features, data), data, settings_))
    cached, live = ways
    rng = np.random.default_rng(0)
    usable = cached.data.training_windows
    draws = [rng.choice(usable, arguments.batch, replace=False) for _ in range(arguments.runs)]
    for draw in draws:
        cached.step(draw, 0)  # warm
    from_cache = [statistics.median(cached.step(draw, i) for i in range(5)) for draw in draws]
    reading = [_seconds_of_features(cached.data, draw) for draw in draws]
    from_clips = [live.step(draw, 0) for draw in draws]
    each = [statistics.median(values) / arguments.batch for values in (from_cache, from_clips)]
    share = statistics.median(r / s for r, s in zip(reading, from_cache, strict=True))
    threads = torch.get_num_threads()
    print(f"{arguments.tower}, batches of {arguments.batch}, medians of {arguments.runs}, {threads} threads\n")
    print("| | ms a window | windows/s | features' share of the step |\n| --- | ---: | ---: | ---: |")
    print(f"| from cached features | {1000 * each[0]:.1f} | {1 / each[0]:.1f} | {100 * share:.2f} % |")
    print(f"| decoding and encoding | {1000 * each[1]:.0f} | {1 / each[1]:.2f} | |")
    print(f"\n{each[1] / each[0]:.0f} x")


def _seconds_of_features(data: PretrainingDataModule, windows: NDArray[np.int64]) -> float:
    assert data.features is not None
    started = time.perf_counter()
    for _ in range(20):
        data.features.take(windows)
    return (time.perf_counter() - started) / 20


if __name__ == "__main__":
    main()
