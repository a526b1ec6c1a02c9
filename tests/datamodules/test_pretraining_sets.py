"""Batches of several sets: who is in them, whose video they have, that they resume, and that ranks share them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.augment import AugmentSettings, ImuAugmentation
from datamodules.build.run import build
from datamodules.pretraining import PretrainingDataModule
from datamodules.sampling.mixture import MixtureOrder
from datamodules.shards.layout import ShardError
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet
from datamodules.windows.cut import WindowSettings

WINDOW = {"duration_s": 4.0, "stride_s": 2.0, "frame_size": 32}


def made(directory: Path, placement: str, camera: str | None, **changes: Any) -> ShardSet:
    params = {
        "subjects": 2,
        "sessions_per_subject": 2,
        "session_s": 40,
        "frame_rate_hz": 4.0,
        "placements": ["head", "right_wrist"],
    }
    settings = WindowSettings(**{**WINDOW, "frames": 4, **changes})
    build("simulator", {**params, "cameras": ["head"]}, directory, settings, placement, camera, workers=1)
    return ShardSet.open(directory)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, ShardSet]]:
    folder = tmp_path_factory.mktemp("sets")
    return [
        ("wrist", made(folder / "wrist", "right_wrist", None)),
        ("head", made(folder / "head", "head", "head")),
        ("quick", made(folder / "quick", "right_wrist", None, stride_s=3.0)),
    ]


def make(sets: list[tuple[str, ShardSet]], **changes: Any) -> PretrainingDataModule:
    arguments = {
        "batch_size": 8,
        "weights": [1.0, 2.0, 1.0],
        "validation_share": 0.25,
        "views": 2,
        "seed": 3,
        **changes,
    }
    module = PretrainingDataModule(MixedShards(sets), None, **arguments)
    state = {"global_rank": 0, "world_size": 1, "global_step": 0, "accumulate_grad_batches": 1, "training": True}
    module.trainer = SimpleNamespace(**state)  # type: ignore[assignment]
    return module


def batches(module: PretrainingDataModule, step: int = 0, rank: int = 0, ranks: int = 1) -> list[dict[str, Any]]:
    trainer: Any = module.trainer
    trainer.global_step, trainer.global_rank, trainer.world_size = step, rank, ranks
    return list(module.train_dataloader())


def assert_same(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert first.keys() == second.keys()
    for name, values in first.items():
        pairs = zip(values, second[name], strict=True) if isinstance(values, list) else [(values, second[name])]
        assert all(torch.equal(a, b) for a, b in pairs), name


def test_a_batch_mixes_the_sets_and_has_the_video_of_the_paired_ones(sets: list[tuple[str, ShardSet]]) -> None:
    module = make(sets)
    order = module.order
    assert isinstance(order, MixtureOrder)
    assert order.shares == (2, 4, 2)
    assert module.steps_per_epoch == len(module.training_windows) // 8
    first = np.cumsum([0, *(shards.n_windows for _, shards in sets)])
    for step, batch in enumerate(batches(module)[:5]):
        _, places = order.split(order.at(0, np.arange(step * 8, step * 8 + 8)))
        windows = module.training_windows[places]
        assert batch["frames"].shape == (4, 4, 3, 32, 32)
        assert torch.equal(batch["set"][batch["paired"]], torch.ones(4, dtype=torch.int64))
        assert batch["frame_mask"].any(1).equal(batch["set"] == 1)
        for number, (_, shards) in enumerate(sets):
            rows = batch["rows"][number]
            local = windows[rows.numpy()] - first[number]
            imu, _, channels = shards.imu(local)
            np.testing.assert_allclose(batch["imu"][rows][..., 0], imu[..., 0] / 9.80665, rtol=1e-6, atol=1e-6)
            np.testing.assert_array_equal(batch["channel_mask"][rows], channels)
            np.testing.assert_array_equal(batch["start_s"][rows], shards.start_s[local])
            assert len(batch["video_rows"][number]) == (4 if number == 1 else 0)
            if number == 1:
                frames = torch.from_numpy(shards.frames(local)).permute(0, 1, 4, 2, 3)
                assert torch.equal(batch["frames"][batch["video_rows"][1]], frames)


def test_without_video_there_are_no_places_of_it(sets: list[tuple[str, ShardSet]]) -> None:
    batch = batches(make(sets, video=False))[0]
    assert not {"paired", "video_rows", "frames", "features"} & batch.keys()
    assert len(batch["rows"]) == 3


def test_a_recording_of_two_sets_is_on_one_side_and_has_one_number(sets: list[tuple[str, ShardSet]]) -> None:
    module = make(sets)
    recordings = module.shards.table["recording"]
    training, validation = (set(recordings[w]) for w in (module.training_windows, module.validation_windows))
    assert training
    assert validation
    assert not training & validation
    for a, b in ((0, 1), (0, 2)):  # the same people at the same time: wrist and head
        names = [set(shards.table["recording"]) for _, shards in (sets[a], sets[b])]
        assert names[0] == names[1]
    assert len(np.unique(module.shards.codes("recording"))) == len(set(sets[0][1].table["recording"]))


def test_it_resumes_in_the_middle_of_an_epoch(sets: list[tuple[str, ShardSet]]) -> None:
    module = make(sets)
    whole = batches(module)
    for step in (1, len(whole) // 2, len(whole) - 1):
        for resumed, expected in zip(batches(module, step), whole[step:], strict=True):
            assert_same(resumed, expected)
    again = batches(module, len(whole))
    assert not torch.equal(again[0]["draws"], whole[0]["draws"])
    assert len(again) == len(whole)


def test_two_ranks_share_the_batch_of_one_and_have_as_many_clips(sets: list[tuple[str, ShardSet]]) -> None:
    module = make(sets, augmentation=ImuAugmentation(AugmentSettings.only(rotation_deg=20, noise=0.1)))
    alone = batches(module)[1]
    parts = [batches(module, rank=rank, ranks=2)[1] for rank in range(2)]
    for name in ("imu", "set", "draws", "recording", "start_s", "channel_mask", "frames"):
        assert torch.equal(torch.cat([part[name] for part in parts]), alone[name]), name
    assert [len(part["paired"]) for part in parts] == [2, 2]


def test_a_window_that_comes_again_in_an_epoch_gets_other_views(sets: list[tuple[str, ShardSet]]) -> None:
    module = make(sets, weights=[1.0, 30.0, 1.0], batch_size=16)  # two batches to a pass of "head"
    seen: dict[tuple[int, float], list[int]] = {}
    for batch in batches(module):
        for recording, start, key in zip(
            batch["recording"][batch["paired"]], batch["start_s"][batch["paired"]], batch["draws"][batch["paired"]],
            strict=True,
        ):  # fmt: skip
            seen.setdefault((int(recording), float(start)), []).append(int(key))
    assert max(len(keys) for keys in seen.values()) >= 2
    assert all(len(set(keys)) == len(keys) for keys in seen.values())


def test_validation_takes_every_window_once_and_names_those_with_video(sets: list[tuple[str, ShardSet]]) -> None:
    module = make(sets)
    found = list(module.val_dataloader())
    assert sum(len(batch["imu"]) for batch in found) == len(module.validation_windows)
    paired = sum(len(batch["paired"]) for batch in found)
    assert isinstance(module.shards, MixedShards)
    assert paired == (module.shards.part_of[module.validation_windows] == 1).sum() > 0


def test_activities_are_held_out_of_all_sets(sets: list[tuple[str, ShardSet]]) -> None:
    labels = sets[0][1].table["activity"]
    name = next(label for label in labels if label)
    module = make(sets, exclude_activities=[name], batch_size=4, weights=[])
    used = np.concatenate([module.training_windows, module.validation_windows])
    assert name not in set(module.shards.table["activity"][used])


@pytest.mark.slow
def test_what_cannot_be_mixed_is_refused(sets: list[tuple[str, ShardSet]], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'head' has \d+ training windows, but a batch of 64 takes 62 of them"):
        make(sets, batch_size=64, weights=[1.0, 1000.0, 1.0])
    module = make(sets, weights=[1.0, 1.0, 1.0], batch_size=8)
    with pytest.raises(ValueError, match="3 windows of each batch have video, which 2 processes can't share evenly"):
        module.check_processes(2)
    make(sets, weights=[1.0, 1.0, 1.0], batch_size=8, video=False).check_processes(2)
    longer = made(tmp_path / "longer", "right_wrist", None, duration_s=5.0)
    with pytest.raises(ShardError, match="'longer' has windows of 250 samples"):
        MixedShards([*sets, ("longer", longer)])
    fewer = made(tmp_path / "fewer", "head", "head", frames=3)
    with pytest.raises(ShardError, match=r"'fewer' has clips of 3 frames of 32 pixels, 'head' of 4 of 32"):
        MixedShards([*sets, ("fewer", fewer)])
