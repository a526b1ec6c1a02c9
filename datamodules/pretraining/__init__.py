"""Batches for pretraining, of one set of shards or of several, and the split into training and validation."""

from datamodules.pretraining.module import PretrainingDataModule
from datamodules.pretraining.split import held_out_windows, split_recordings, stream_seed, usable_windows

__all__ = [
    "PretrainingDataModule",
    "held_out_windows",
    "split_recordings",
    "stream_seed",
    "usable_windows",
]
