"""This project as a contestant: batches of ``PretrainingDataModule``, normalised, with masks and times.

python -m benchmarks.ours FOLDER
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from benchmarks.peers.protocol import BATCH, serve
from datamodules.features.cache import FeatureCache
from datamodules.pretraining import PretrainingDataModule
from datamodules.sampling.order import WindowOrder
from datamodules.shards.reader import ShardSet

THREADS = 2  # reading threads
_TIMES = 100  # passes through the windows per epoch, so that windows read before the clock starts hardly count


@functools.cache
def module(folder: Path, case: str) -> PretrainingDataModule:
    shards = ShardSet.open(folder / "ours" / case, THREADS)
    features = FeatureCache.open(folder / "ours" / case, shards, "made") if case == "features" else None
    made = PretrainingDataModule(shards, features, batch_size=BATCH[case], video=case != "imu", validation_share=0)
    made.training_windows = np.tile(made.training_windows, _TIMES)
    made.order = WindowOrder(len(made.training_windows), 0)
    state = {"global_rank": 0, "world_size": 1, "global_step": 0, "accumulate_grad_batches": 1, "training": True}
    made.trainer = SimpleNamespace(**state)  # type: ignore[assignment]  # all that it is asked for
    return made


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    serve(lambda case, workers: module(folder, case).train_dataloader())
