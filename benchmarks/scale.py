"""How reading grows from a thousand to a million windows: rate and peak memory, each size in a process of its own.

    python -m benchmarks.scale FOLDER WINDOWS CASE

The shards of all sizes are names of one file, and the features a file with nothing in it, so that a million windows
need neither 200 GB of disk nor as much page cache: what is measured is the reader, its files and its tables. The same
windows are read twice, and the second time counts: what a disk does at first is not the reader's. ``training`` is the
step of ``benchmarks.training`` with features from the cache; ``probes`` are those of ``benchmarks.probes`` on features
that were computed before, a fifth of all windows tested in each fold.
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
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from benchmarks import data, probes, training
from benchmarks.peers.protocol import BATCH, FRAMES, Records, peak_mb, rate
from datamodules.pretraining import PretrainingDataModule
from datamodules.shards import layout
from datamodules.shards.feature_cache import FORMAT, VERSION, FeatureCache
from datamodules.shards.index import read_index
from datamodules.shards.reader import ShardSet
from experiments.pretrain import make_data_module, make_module
from experiments.video_tower import open_tower

CASES = ("imu", "features", "jpeg", "training", "probes")
TOWER = "vit_base_patch16_224"
A_SHARD = 1000


def measure(folder: Path, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Rates and peak memory of each case, for each number of windows."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    data.make_clips(folder, rng, data.made_motion(rng, A_SHARD), ("jpeg",))
    data.write_shards(folder / "one", data.settings("jpeg"), data.encoded(Records(folder, "jpeg")))
    rows = []
    for n in sizes:
        make(folder / str(n), folder / "one", n)
        row: dict[str, Any] = {"windows": n}
        for case in CASES:
            command = [sys.executable, "-m", "benchmarks.scale", str(folder / str(n)), case]
            row[case] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(row, flush=True)
        rows.append(row)
    shutil.rmtree(folder)
    return rows


def make(folder: Path, one: Path, n: int) -> None:
    """As many names of one shard as make ``n`` windows, and features to them."""
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
    meta = {
        "format": FORMAT,
        "version": VERSION,
        "encoder": "made",
        "shards": ShardSet.open(folder).fingerprint,
        "shape": [n, 1, FRAMES, data.WIDTH],
        "xxh3": [],
    }
    (folder / "features.json").write_text(json.dumps(meta), encoding="utf-8")


def read(folder: Path, case: str) -> dict[str, Any]:
    """Windows a second, and the peak of memory."""
    shards = ShardSet.open(folder, 2)
    features = FeatureCache.open(folder, shards, "made") if case == "features" else None
    made = PretrainingDataModule(shards, features, batch_size=BATCH[case], video=case != "imu", validation_share=0)
    made.trainer = SimpleNamespace(global_rank=0, world_size=1, global_step=0, accumulate_grad_batches=1, training=True)
    rate(made.train_dataloader(), 60.0, 400)
    return rate(made.train_dataloader(), 60.0, 400)


def train(folder: Path) -> dict[str, Any]:
    """Windows a second of a step in batches of 16, and the peak of memory."""
    config = training.settings(folder, TOWER, 16, "video_encoder.params.pooling=mean")
    shards = ShardSet.open(folder, 2)
    features = FeatureCache.open(folder, shards, "made")
    data_module = make_data_module(config, shards, features)
    tower = open_tower(config, shards)
    way = training.Way(make_module(config, shards, tower, features, data_module), data_module, config)
    rng = np.random.default_rng(0)
    draws = [rng.choice(data_module.training_windows, 16) for _ in range(12)]
    seconds = [way.step(draw, i) for i, draw in enumerate(draws)]
    return {"per_s": 16 / statistics.median(seconds[2:]), "peak_mb": peak_mb()}


def probe(windows: int) -> dict[str, Any]:
    """Probes a second, fitted and tested, and the peak of memory, that of the features included."""
    rng = np.random.default_rng(0)
    labels = np.arange(windows) % probes.CLASSES
    features = rng.standard_normal((windows, probes.FEATURES), np.float32)
    features += rng.standard_normal((probes.CLASSES, probes.FEATURES), np.float32)[labels]
    started = time.perf_counter()
    for fold in range(probes.FOLDS):
        probes.solve_fold(features, labels, np.arange(windows) // probes.CLASSES % probes.FOLDS == fold)
    return {"per_s": probes.CELLS / (time.perf_counter() - started), "peak_mb": peak_mb()}


def main() -> None:
    folder, case = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(2 if case in ("training", "probes") else 1)
    if case == "training":
        found = train(folder)
    elif case == "probes":
        found = probe(ShardSet.open(folder, 1).n_windows)
    else:
        found = read(folder, case)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
