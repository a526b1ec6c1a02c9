"""Damaged windows of an experiment's shards: refused, or left out and counted, as ``run.on_damage`` says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.made_shards import DIRECTORY_SETTINGS, make_shards

from datamodules.pretraining import PretrainingDataModule
from datamodules.sampling.order import BatchPlan
from datamodules.shards import layout
from datamodules.shards.layout import ShardError
from datamodules.shards.reader import ShardSet
from datamodules.shards.shard_file import open_shard
from experiments.artifacts import shards as artifacts
from experiments.runtime.console import console
from experiments.settings.schema import Config, DatasetConfig
from experiments.training.data import left_out

DAMAGED = (2, 9, 13)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of 16 windows, of which three are damaged: two in their motion, one in a frame."""
    settings = dataclasses.replace(DIRECTORY_SETTINGS, frames=4)  # every window has two frames or more
    directory = make_shards(tmp_path_factory.mktemp("damaged"), [8, 8], settings)
    for window in DAMAGED:
        path = directory / layout.shard_name(window // 8, 0)
        shard = open_shard(path)
        if window == 9:
            at = shard.places["frames"].offset + int(shard.array("frame_offsets")[(window % 8) * 4 + 3]) + 100
        else:
            at = shard.places["imu"].offset + (window % 8) * settings.samples * 24 + 77
        with path.open("r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 4]))
    return directory


def opened(directory: Path, policy: str, monkeypatch: pytest.MonkeyPatch) -> tuple[ShardSet, str, Config]:
    monkeypatch.setattr(artifacts, "dataset_directory", lambda config, key: directory)
    config = Config()
    config.datasets["made"] = DatasetConfig()
    config.run.on_damage = policy
    config.pretraining.dataset = "made"
    with console.capture() as said:
        shards = artifacts.open_dataset(config, "made")
    return shards, said.get(), config


def module(shards: ShardSet) -> PretrainingDataModule:
    return PretrainingDataModule(shards, None, batch_size=4, validation_share=0)


def test_a_damaged_window_stops_the_reading_by_default(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards, said, config = opened(directory, "fail", monkeypatch)
    assert said == ""
    assert left_out(config, shards) == {}
    with pytest.raises(ShardError, match=r"windows-00000-00\.h5: window 2 is damaged: the checksum of its motion is"):
        module(shards).read(np.arange(8))


def test_skipped_windows_are_counted_and_never_drawn(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards, said, config = opened(directory, "skip", monkeypatch)
    assert re.search(r"3 of 16 windows are damaged and are left out \(run\.on_damage=skip\)", said)
    names = [f"r{window // 2} at {window * 1.5:.1f} s" for window in DAMAGED]
    assert left_out(config, shards) == {"made": names}
    data = module(shards)
    assert set(data.training_windows.tolist()) == set(range(16)) - set(DAMAGED)


def test_the_order_without_them_is_the_same_in_every_process(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks that look for themselves together read the batches of one process."""
    alone, *ranks = (module(opened(directory, "skip", monkeypatch)[0]) for _ in range(3))
    for step in range(3):
        whole = alone.training_windows[alone.order.at(0, np.arange(step * 4, step * 4 + 4))]
        parts = [
            data.training_windows[BatchPlan(data.order, 4, rank, 2).batch(0, step)] for rank, data in enumerate(ranks)
        ]
        assert sorted(np.concatenate(parts).tolist()) == sorted(whole.tolist())
        batch = alone.read(whole)
        for rank, windows in enumerate(parts):
            mine = ranks[rank].read(windows)
            at = [whole.tolist().index(window) for window in windows.tolist()]
            assert torch.equal(mine["imu"], batch["imu"][at])
            assert torch.equal(mine["frames"], batch["frames"][at])
