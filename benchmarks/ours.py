"""This project as a contestant: the batches of ``PretrainingDataModule``, normalised, with masks and times.

python -m benchmarks.ours FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import torch

from benchmarks.peers.protocol import BATCH, serve
from datamodules.pretraining import Batch, PretrainingDataModule
from datamodules.shards.feature_cache import FeatureCache
from datamodules.shards.reader import ShardSet

FOLDER = Path(sys.argv[1])
_modules: dict[tuple[str, int], PretrainingDataModule] = {}


def module(case: str, threads: int) -> PretrainingDataModule:
    if (case, threads) not in _modules:
        folder = FOLDER / "ours" / case
        shards = ShardSet.open(folder, threads)
        features = FeatureCache.open(folder, shards, "made") if case == "features" else None
        made = PretrainingDataModule(shards, features, batch_size=BATCH[case], video=case != "imu", validation_share=0)
        made.trainer = SimpleNamespace(
            global_rank=0, world_size=1, global_step=0, accumulate_grad_batches=1, training=True
        )
        _modules[case, threads] = made
    return _modules[case, threads]


def batches(case: str, threads: int) -> Iterator[Batch]:
    return iter(module(case, threads).train_dataloader())


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(batches)
