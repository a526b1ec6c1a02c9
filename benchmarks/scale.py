"""How reading grows from a thousand to a million windows: rate and peak memory, each size in a process of its own.

    python -m benchmarks.scale FOLDER WINDOWS CASE

The shards of all sizes are names of one file, and the features a file with nothing in it, so that a million windows
need neither 200 GB of disk nor as much page cache: what is measured is the reader, its files and its tables. The same
windows are read twice, and the second time counts: what a disk does at first is not the reader's.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from benchmarks import data
from benchmarks.peers.protocol import BATCH, FRAMES, Records, rate
from datamodules.pretraining import PretrainingDataModule
from datamodules.shards import layout
from datamodules.shards.feature_cache import FORMAT, VERSION, FeatureCache
from datamodules.shards.index import read_index
from datamodules.shards.reader import ShardSet

CASES = ("imu", "features", "jpeg")
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


def main() -> None:
    folder, case = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    shards = ShardSet.open(folder, 2)
    features = FeatureCache.open(folder, shards, "made") if case == "features" else None
    made = PretrainingDataModule(shards, features, batch_size=BATCH[case], video=case != "imu", validation_share=0)
    made.trainer = SimpleNamespace(global_rank=0, world_size=1, global_step=0, accumulate_grad_batches=1, training=True)
    rate(made.train_dataloader(), 60.0, 400)
    print(json.dumps(rate(made.train_dataloader(), 60.0, 400)))


if __name__ == "__main__":
    main()
