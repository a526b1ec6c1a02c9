"""Pretraining from cached features, against decoding and encoding the clips in every epoch.

    python -m benchmarks.training [--video-encoder vit_base_patch16_224] [--batch 16] [--live-batch 4] [--runs 3]

Both ways use the same windows, IMU encoder and losses, in turns. One takes the video encoder's features from the cache;
the other decodes the clips and encodes them in every step. The video encoder has random weights, which cost as much as
pretrained ones. The benchmark also prints the share of a cached step that is spent on waiting for features.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.augment import Draws
from datamodules.augment.draws import window_keys
from datamodules.pretraining import PretrainingDataModule
from datamodules.sampling.loader import Batch
from experiments.artifacts.shards import open_dataset
from experiments.artifacts.video_encoder import features_of, open_video_encoder
from experiments.runtime.training_bar import quiet
from experiments.settings.load import load
from experiments.settings.schema import Config
from experiments.training.data import make_data_module
from experiments.training.module import make_module
from lightning_modules.pretraining import ImuPretraining


def settings(folder: Path, video_encoder: str, batch: int, *more: str) -> Config:
    """Give settings for some windows of one simulated subject, with 10 frames of 224 x 224 each."""
    return load(
        "simulator",
        [
            f"paths.data={folder}",
            "datasets.pretraining.source.params={subjects: 1, sessions_per_subject: 1, session_s: 120,"
            " cameras: [head], placements: [head]}",
            "window.frame_size=224",
            f"video_encoder={{weights: random, views: 1, params: {{model: {video_encoder}}}}}",
            f"pretraining.batch_size={batch}",
            "pretraining.validation_share=0",
            *more,
        ],
    )


class Way:
    """One way to train: a module with its optimiser, and its source of batches."""

    def __init__(self, module: ImuPretraining, data: PretrainingDataModule, config: Config) -> None:
        self.module, self.data, self.config = module.train(), data, config
        self.module.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer to log to
        self.optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], fused=True)

    def step(self, windows: NDArray[np.int64], seed: int, clip: float = 0.0) -> float:
        """Measure the seconds of one step; ``clip`` is the largest norm of the gradient, 0 for any."""
        started = time.perf_counter()
        batch = self.with_views(self.data.read(windows), window_keys(seed, 0, windows))
        loss = self.module.training_step(batch, 0)
        self.optimizer.zero_grad()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), clip)
        self.optimizer.step()
        return time.perf_counter() - started

    def with_views(self, batch: Batch, keys: Tensor) -> Batch:
        """Augment as the data module does in training."""
        rate_hz = self.config.window.imu_rate_hz
        batch["views"] = []
        given = batch["imu"], batch["sample_mask"], batch["channel_mask"], batch["frame_times"]
        for number in range(self.config.pretraining.views):
            view = self.data.augmentation(*given, rate_hz, Draws(keys, number))
            batch["views"].append(view._asdict())
        return batch


def measure(folder: Path, video_encoder: str, batch: int, live_batch: int, runs: int) -> dict[str, Any]:
    """Measure windows/s both ways, run by run, and the features' share of a step from the cache.

    Args:
        folder: folder of the shards and features.
        video_encoder: a timm model.
        batch: windows per step from the cache.
        live_batch: windows per step with decoding and encoding, whose time grows with their number.
        runs: number of runs of each way.
    """
    config = settings(folder, video_encoder, batch)
    shards = open_dataset(config, "pretraining")
    video = open_video_encoder(config, shards)
    cache = features_of(config, shards, "pretraining", video)
    live_config = copy.deepcopy(config)
    live_config.video_encoder.cache = False
    live_config.video_head.params = {**config.video_head.params, "input_norm": "layer"}
    ways = []
    for settings_, features in ((config, cache), (live_config, None)):
        data = make_data_module(settings_, shards, features)
        L.seed_everything(0, verbose=False)
        ways.append(Way(make_module(settings_, shards, video, features, data), data, settings_))
    cached, live = ways
    rng = np.random.default_rng(0)
    usable = cached.data.training_windows
    draws = [rng.choice(usable, batch, replace=len(usable) < batch) for _ in range(runs)]
    cached.step(draws[0], 0)  # warm-up
    rates: dict[str, list[float]] = {"cached": [], "live": []}
    shares = []
    for draw in draws:
        seconds = statistics.median(cached.step(draw, i) for i in range(5))
        shares.append(_seconds_of_features(cached.data, draw) / seconds)
        rates["cached"].append(batch / seconds)
        rates["live"].append(live_batch / live.step(draw[:live_batch], 0))
    return {**rates, "share": statistics.median(shares), "threads": torch.get_num_threads()}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line; prints Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--video-encoder", default="vit_base_patch16_224", help="a timm model")
    parser.add_argument("--batch", type=int, default=16, help="windows a step from the cache")
    parser.add_argument("--live-batch", type=int, default=4, help="windows a step with decoding and encoding")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("data/bench-training"))
    arguments = parser.parse_args(argv)
    quiet()
    found = measure(arguments.folder, arguments.video_encoder, arguments.batch, arguments.live_batch, arguments.runs)
    cached, live = (statistics.median(found[name]) for name in ("cached", "live"))
    print(f"{arguments.video_encoder}, medians of {arguments.runs}, {found['threads']} threads\n")
    print("| | windows per step | windows/s | features' share of the step |\n| --- | ---: | ---: | ---: |")
    print(f"| from cached features | {arguments.batch} | {cached:.1f} | {100 * found['share']:.2f} % |")
    print(f"| decoding and encoding | {arguments.live_batch} | {live:.3f} | |")
    print(f"\n{cached / live:.0f} x")


def _seconds_of_features(data: PretrainingDataModule, windows: NDArray[np.int64]) -> float:
    assert data.features is not None
    started = time.perf_counter()
    for _ in range(20):
        data.features.take(windows)
    return (time.perf_counter() - started) / 20


if __name__ == "__main__":
    main()
