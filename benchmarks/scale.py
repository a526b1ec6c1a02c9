"""Growth of reading from a thousand to a million windows: rate and peak memory, each size in a process of its own.

    python -m benchmarks.scale FOLDER CASE

The shards of all sizes are names of one file, and the features are a file without content. A million windows thus need
neither 200 GB of disk nor as much page cache; the reader, its files and its tables are measured. The same windows are
read twice, and the second time counts, because the first depends on the disk. ``training`` is the step of
``benchmarks.training`` with features from the cache. ``protocol`` is a whole evaluation, from its plan to its results,
with 4 shots x 5 draws x 5 folds of probes; its encoder is a single matrix, so that the encoder hardly counts.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import data, probes, training
from benchmarks.peers.protocol import BATCH, FRAMES, Records, peak_mb, rate
from datamodules.features.cache import FeatureCache
from datamodules.features.meta import BLOCK, FORMAT, VERSION, digest
from datamodules.labels.label_column import prefixed, repeated
from datamodules.pretraining import PretrainingDataModule
from datamodules.sampling.order import WindowOrder
from datamodules.shards import layout
from datamodules.shards.concat import ConcatShards
from datamodules.shards.index import read_index
from datamodules.shards.reader import ShardSet
from encoders.contract import ImuEncoder, ImuFeatures, ImuInput
from encoders.registry import imu_encoder
from experiments.artifacts.video_encoder import open_video_encoder
from experiments.evaluation.protocol import run_protocol
from experiments.evaluation.targets import System, Target
from experiments.settings.evaluation import EvaluationConfig, TargetConfig
from experiments.settings.schema import Config, ImuEncoderConfig
from experiments.training.data import make_data_module
from experiments.training.module import make_module

CASES = ("imu", "features", "jpeg", "raw", "training", "protocol")
VIDEO_ENCODER = "vit_base_patch16_224"
A_SHARD = 1000
EPOCH = 4_000_000  # windows per epoch, with repetitions
SECONDS = 5.0  # time of reading


def measure(folder: Path, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Measure rates and peak memory of each case, for each number of windows."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    pixels = ("jpeg", "raw")
    data.make_clips(folder, rng, data.made_motion(rng, A_SHARD), pixels)
    for case in pixels:
        data.write_shards(folder / f"one-{case}", data.settings(case), data.encoded(Records(folder, case)))
    rows = []
    for n in sizes:
        of = {case: folder / f"{n}-{case}" for case in pixels}
        for case in pixels:
            make(of[case], folder / f"one-{case}", n)
        row: dict[str, Any] = {"windows": n}
        for case in CASES:
            command = [sys.executable, "-m", "benchmarks.scale", str(of.get(case, of["jpeg"])), case]
            row[case] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(row, flush=True)
        rows.append(row)
    shutil.rmtree(folder)
    return rows


def make(folder: Path, one: Path, n: int) -> None:
    """Make ``n`` windows from many names of one shard, and features for them."""
    folder.mkdir()
    index = read_index(one)
    entries = []
    for number in range(n // A_SHARD):
        for part, entry in enumerate(index.shards):
            name = layout.shard_name(number, part)
            os.link(one / entry.file, folder / name)
            entries.append(dataclasses.replace(entry, file=name))
    dataclasses.replace(index, shards=tuple(entries)).write(folder)
    with (folder / "features.f16").open("wb") as file:
        file.truncate(n * FRAMES * data.WIDTH * 2)
    zeros = np.zeros((BLOCK, 1, FRAMES, data.WIDTH), np.float16)
    whole, rest = divmod(n, BLOCK)
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "encoder": "made",
        "shards": ShardSet.open(folder).fingerprint,
        "shape": [n, 1, FRAMES, data.WIDTH],
        "xxh3": [digest(zeros)] * whole + ([digest(zeros[:rest])] if rest else []),
    }
    (folder / "features.json").write_text(json.dumps(meta), encoding="utf-8")


def read(folder: Path, case: str) -> dict[str, Any]:
    """Measure windows per second, and the peak of memory."""
    shards = ShardSet.open(folder, 2)
    features = FeatureCache.open(folder, shards, "made") if case == "features" else None
    made = PretrainingDataModule(shards, features, batch_size=BATCH[case], video=case != "imu", validation_share=0)
    state = {"global_rank": 0, "world_size": 1, "global_step": 0, "accumulate_grad_batches": 1, "training": True}
    made.trainer = SimpleNamespace(**state)  # type: ignore[assignment]  # all that it is asked for
    # Epochs have the same length for all sizes: windows read before the clock starts would be half of a short epoch.
    made.training_windows = np.tile(made.training_windows, max(1, EPOCH // shards.n_windows))
    made.order = WindowOrder(len(made.training_windows), 0)
    found = rate(made.train_dataloader, SECONDS, 10**9)
    return rate(made.train_dataloader, 60.0, found["windows"] // BATCH[case])


def train(folder: Path) -> dict[str, Any]:
    """Measure windows per second of a step in batches of 16, and the peak of memory."""
    config = training.settings(folder, VIDEO_ENCODER, 16, "video_encoder.params.pooling=mean")
    shards = ShardSet.open(folder, 2)
    features = FeatureCache.open(folder, shards, "made")
    data_module = make_data_module(config, shards, features)
    video_encoder = open_video_encoder(config, shards)
    way = training.Way(make_module(config, shards, video_encoder, features, data_module), data_module, config)
    rng = np.random.default_rng(0)
    draws = [rng.choice(data_module.training_windows, 16) for _ in range(12)]
    seconds = [way.step(draw, i) for i, draw in enumerate(draws)]
    return {"per_s": 16 / statistics.median(seconds[2:]), "peak_mb": peak_mb()}


def evaluate(folder: Path) -> dict[str, Any]:
    """Measure cells of the protocol per second, with encoding, and the peak of memory."""
    config = Config()
    config.imu_encoder = ImuEncoderConfig("one_matrix")
    config.evaluation = EvaluationConfig(
        methods=["random_frozen"], shots=list(probes.SHOTS), draws=probes.SEEDS, folds=probes.FOLDS
    )
    target = Target(TargetConfig(dataset="made"), ConcatShards([("made", ManyRecordings.open(folder, 1))]))
    started = time.perf_counter()
    found = run_protocol(config, [target], [System()], lambda cell: None, lambda result: None, lambda *_: None)
    return {"per_s": len(found) / (time.perf_counter() - started), "peak_mb": peak_mb()}


class ManyRecordings(ShardSet):
    """Shards that are one file, but with other recordings in each; the nine subjects are the same."""

    @cached_property
    def table(self) -> dict[str, Any]:
        """Table of the parent class, with other recordings."""
        table = dict(super().table)
        shards = self.index.shards
        number = repeated([entry.file for entry in shards], [entry.windows for entry in shards])
        return {**table, "recording": prefixed(number, table["recording"])}


@dataclasses.dataclass
class OneMatrixParams:
    """No settings."""


@imu_encoder("one_matrix", OneMatrixParams)
class OneMatrix(ImuEncoder):
    """An encoder that multiplies a window's samples by a matrix."""

    def __init__(self, params: OneMatrixParams, imu_input: ImuInput) -> None:
        super().__init__()
        self.token_width = self.pooled_width = probes.FEATURES
        self.matrix = nn.Linear(imu_input.samples * imu_input.channels, probes.FEATURES)
        self.middle = imu_input.duration_s / 2

    def forward(self, imu: Tensor, channel_mask: Tensor, sample_mask: Tensor) -> ImuFeatures:
        """Make one token per window."""
        pooled = self.matrix(imu.flatten(1))
        return ImuFeatures(pooled[:, None], imu.new_tensor([self.middle]), sample_mask.any(1, keepdim=True), pooled)


def main() -> None:
    folder, case = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(2 if case in ("training", "protocol") else 1)
    if case == "training":
        found = train(folder)
    elif case == "protocol":
        found = evaluate(folder)
    else:
        found = read(folder, case)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
