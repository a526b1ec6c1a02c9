"""The control of shuffled video: motion stays, pictures come from another window of the group."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.build.run import build
from datamodules.pretraining import PretrainingDataModule
from datamodules.pretraining.shuffle import shuffled_pictures
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet
from datamodules.windows.cut import WindowSettings


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return made(tmp_path_factory.mktemp("shuffled"), "head")


def made(directory: Path, camera: str | None) -> ShardSet:
    params = {
        "subjects": 3,
        "sessions_per_subject": 1,
        "session_s": 60,
        "placements": ["head"],
        "cameras": ["head"] if camera else [],
    }
    settings = WindowSettings(duration_s=4.0, stride_s=2.0, frames=3 if camera else 0, frame_size=16)
    build("simulator", params, directory, settings, "head", camera, workers=1, clocks="off")
    return ShardSet.open(directory)


def module_of(shards: ShardSet | MixedShards, shuffle: str, seed: int = 0) -> PretrainingDataModule:
    module = PretrainingDataModule(
        shards, None, batch_size=8, validation_share=0.34, views=1, seed=seed, shuffle_video=shuffle
    )
    state = {"global_rank": 0, "world_size": 1, "global_step": 0, "accumulate_grad_batches": 1, "training": True}
    module.trainer = SimpleNamespace(**state)  # type: ignore[assignment]
    return module


@pytest.mark.parametrize("within", ["activity", "subject", "all"])
def test_each_picture_is_used_once_and_stays_in_its_group(shards: ShardSet, within: str) -> None:
    windows = np.arange(3, shards.n_windows)
    pictures = shuffled_pictures(shards, windows, within, 1)
    assert pictures is not None
    assert sorted(pictures) == list(range(shards.n_windows))
    np.testing.assert_array_equal(pictures[:3], [0, 1, 2])
    groups = np.zeros(shards.n_windows) if within == "all" else shards.codes(within)
    np.testing.assert_array_equal(groups[pictures], groups)
    sizes = np.array([(groups[windows] == groups[w]).sum() for w in windows])
    np.testing.assert_array_equal(pictures[windows] == windows, sizes == 1)


def test_the_seed_decides(shards: ShardSet) -> None:
    windows = np.arange(shards.n_windows)
    first, again, other = (shuffled_pictures(shards, windows, "all", seed) for seed in (4, 4, 5))
    assert first is not None
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5


def test_none_changes_nothing_and_another_word_is_refused(shards: ShardSet) -> None:
    assert shuffled_pictures(shards, np.arange(5), "none", 0) is None
    with pytest.raises(ValueError, match="shuffle_video is 'person'; expected one of none, activity, subject, all"):
        module_of(shards, "person")


def test_a_batch_has_its_own_motion_and_the_pictures_of_others(shards: ShardSet) -> None:
    plain, shuffled = module_of(shards, "none"), module_of(shards, "all")
    windows = plain.training_windows[:6]
    pictures = shuffled_pictures(shards, plain.training_windows, "all", 0)
    assert pictures is not None
    mine, theirs, found = plain.read(windows), plain.read(pictures[windows]), shuffled.read(windows)
    for name in ("imu", "sample_mask", "recording", "start_s"):
        assert torch.equal(found[name], mine[name]), name
    for name in ("frames", "frame_times", "frame_mask"):
        assert torch.equal(found[name], theirs[name]), name
    # Both train on the same windows in the same order.
    assert torch.equal(next(iter(plain.train_dataloader()))["imu"], next(iter(shuffled.train_dataloader()))["imu"])


def test_validation_keeps_its_pictures(shards: ShardSet) -> None:
    plain, shuffled = module_of(shards, "none"), module_of(shards, "all")
    batches: list[Any] = [next(iter(module.val_dataloader())) for module in (plain, shuffled)]
    assert torch.equal(batches[0]["frames"], batches[1]["frames"])


def test_sets_are_not_mixed(shards: ShardSet, tmp_path: Path) -> None:
    mixed = MixedShards([("motion", made(tmp_path, None)), ("video", shards)])
    pictures = shuffled_pictures(mixed, np.arange(mixed.n_windows), "all", 0)
    assert pictures is not None
    np.testing.assert_array_equal(mixed.part_of[pictures], mixed.part_of)
    batch = next(iter(module_of(mixed, "all").train_dataloader()))
    assert len(batch["frames"]) == len(batch["paired"]) > 0
