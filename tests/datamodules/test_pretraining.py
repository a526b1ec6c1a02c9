"""Batches for pretraining: who is on which side, in which order, and that nothing is torn apart."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datamodules.augment import AugmentSettings, ImuAugmentation
from datamodules.augment.draws import window_keys
from datamodules.build.run import build
from datamodules.pretraining import PretrainingDataModule, held_out_windows, split_recordings
from datamodules.sampling.loader import Batch
from datamodules.shards.reader import ShardSet
from datamodules.windows.cut import WindowSettings


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    directory = tmp_path_factory.mktemp("shards")
    params = {
        "subjects": 2,
        "sessions_per_subject": 2,
        "session_s": 40,
        "placements": ["head"],
        "cameras": ["head"],
    }
    settings = WindowSettings(duration_s=4.0, stride_s=2.0, frames=4, frame_size=32)
    build("simulator", params, directory, settings, "head", "head", workers=1, clocks="off")
    return ShardSet.open(directory)


def make(shards: ShardSet, **changes: object) -> PretrainingDataModule:
    arguments: dict[str, object] = {
        "batch_size": 8,
        "validation_share": 0.25,
        "views": 2,
        "seed": 3,
    } | changes
    module = PretrainingDataModule(shards, None, **arguments)  # type: ignore[arg-type]
    state = {"global_rank": 0, "world_size": 1, "global_step": 0, "accumulate_grad_batches": 1, "training": True}
    module.trainer = SimpleNamespace(**state)  # type: ignore[assignment]
    return module


def run_of(module: PretrainingDataModule) -> Any:
    """The stand-in for a trainer, with which a module asks how far a run is."""
    return module.trainer


def test_a_batch_is_what_it_says(shards: ShardSet) -> None:
    module = make(shards)
    batch = next(iter(module.train_dataloader()))
    assert batch["imu"].shape == (8, 200, 6)
    assert batch["imu"].dtype == torch.float32
    assert batch["frames"].shape == (8, 4, 3, 32, 32)
    assert batch["frames"].dtype == torch.uint8
    assert batch["sample_mask"].shape == (8, 200)
    assert batch["channel_mask"].shape == (8, 6)
    # Acceleration in units of g: at rest its norm is 1.
    assert 0.5 < batch["imu"][..., :3].norm(dim=-1).median() < 1.5
    assert not batch["imu"].isnan().any()
    assert not batch["frame_times"].isnan().any()


@pytest.mark.parametrize("video", [True, False])
def test_batches_that_were_read_together_are_what_each_is_alone(shards: ShardSet, video: bool) -> None:
    module = make(shards, video=video)
    loader, read = module.train_dataloader(), []
    loader._read = lambda positions, epoch: read.append(positions) or module._read_training(positions, epoch)
    batches = list(loader)
    assert len(read) < len(batches) == module.steps_per_epoch, "none were read together"
    for step, batch in enumerate(batches):
        alone = module._read_training(loader.plan.batch(0, step), 0)
        assert list(batch) == list(alone)
        for name, values in alone.items():
            assert torch.equal(batch[name], values), name


@pytest.mark.parametrize("readers", [1, 2])
def test_a_source_is_read_by_as_many_threads_as_it_has_room_for(
    shards: ShardSet, monkeypatch: pytest.MonkeyPatch, readers: int
) -> None:
    monkeypatch.setattr(ShardSet, "readers", readers)
    meet, calls, names = threading.Barrier(readers), itertools.count(), set()

    def read(positions: np.ndarray, epoch: int) -> Batch:
        if next(calls) < readers:
            meet.wait(timeout=60)  # for the others, who must come while this one reads
        names.add(threading.current_thread().name)
        return {}

    loader = make(shards).train_dataloader()
    loader._group, loader._read = 1, read
    list(loader)
    assert len(names) == readers


def test_recordings_are_on_one_side_only(shards: ShardSet) -> None:
    module = make(shards)
    recordings = shards.table["recording"]
    training, validation = (
        set(recordings[module.training_windows]),
        set(recordings[module.validation_windows]),
    )
    assert training
    assert validation
    assert not training & validation


@given(
    n=st.integers(1, 30),
    share=st.floats(0, 0.9),
    seed=st.integers(0, 99),
    most=st.integers(1, 50),
    data=st.data(),
)
def test_a_split_never_shares_a_recording(n: int, share: float, seed: int, most: int, data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(1, 6), min_size=n, max_size=n))
    recordings = np.repeat([f"r{i}" for i in range(n)], counts)
    training, validation = split_recordings(recordings, np.arange(len(recordings)), share, seed, most)
    assert not set(recordings[training]) & set(recordings[validation])
    assert len(validation) <= most
    assert len(np.unique(np.concatenate([training, validation]))) == len(training) + len(validation)
    if share > 0 and n > 1:
        assert len(validation) > 0


def test_the_loader_starts_where_the_run_stands(shards: ShardSet) -> None:
    module = make(shards)
    whole = [batch["start_s"] for batch in module.train_dataloader()]
    run_of(module).global_step = len(whole) + 1  # the second step of the second epoch
    module_epoch_2 = [batch["start_s"] for batch in module.train_dataloader()]
    assert len(module_epoch_2) == len(whole) - 1
    run_of(module).global_step = len(whole)
    again = [batch["start_s"] for batch in module.train_dataloader()]
    assert all(torch.equal(a, b) for a, b in zip(again[1:], module_epoch_2, strict=True))


@pytest.mark.parametrize("accumulated", [2, 3, 100])
def test_the_loader_starts_behind_the_batches_of_the_steps_done(shards: ShardSet, accumulated: int) -> None:
    module = make(shards, batch_size=4)
    run_of(module).accumulate_grad_batches = accumulated
    whole = [batch["start_s"] for batch in module.train_dataloader()]
    groups = [whole[i : i + accumulated] for i in range(0, len(whole), accumulated)]
    for step in range(len(groups)):
        run_of(module).global_step = step
        rest = [batch["start_s"] for batch in module.train_dataloader()]
        expected = [batch for group in groups[step:] for batch in group]
        assert all(torch.equal(a, b) for a, b in zip(rest, expected, strict=True))
    run_of(module).global_step = len(groups)  # the next epoch, whole
    assert len(list(module.train_dataloader())) == len(whole)


def test_two_ranks_share_the_batch_of_one(shards: ShardSet) -> None:
    module = make(shards)
    alone = next(iter(module.train_dataloader()))
    parts = []
    for rank in range(2):
        run_of(module).global_rank, run_of(module).world_size = rank, 2
        parts.append(next(iter(module.train_dataloader())))
    assert torch.equal(torch.cat([part["imu"] for part in parts]), alone["imu"])


def test_views_differ_and_repeat_in_the_same_epoch_only(shards: ShardSet) -> None:
    module = make(shards, augmentation=ImuAugmentation(AugmentSettings.only(rotation_deg=20, noise=0.1)))
    batch = next(iter(module.train_dataloader()))
    first = module.on_after_batch_transfer(dict(batch), 0)["views"]
    again = module.on_after_batch_transfer(dict(batch), 0)["views"]
    assert len(first) == 2
    assert not torch.equal(first[0]["imu"], first[1]["imu"])
    assert torch.equal(first[0]["imu"], again[0]["imu"])
    windows = module.training_windows[module.order.at(0, np.arange(8))]
    assert torch.equal(batch["draws"], window_keys(3, 0, windows))
    later = module.on_after_batch_transfer({**batch, "draws": window_keys(3, 1, windows)}, 0)["views"]
    assert not torch.equal(first[0]["imu"], later[0]["imu"])
    run_of(module).training = False
    assert "views" not in module.on_after_batch_transfer(dict(batch), 0)


def test_any_number_of_ranks_sees_the_same_views(shards: ShardSet) -> None:
    everything = dict.fromkeys(("noise", "scale", "shift_s", "time_warp", "trim", "drop_gyroscope"), 0.1)
    module = make(
        shards, augmentation=ImuAugmentation(AugmentSettings.only(rotation_deg=20, rotation_any=0.3, **everything))
    )

    def seen(rank: int, ranks: int) -> list[dict[str, torch.Tensor]]:
        run_of(module).global_rank, run_of(module).world_size = rank, ranks
        batch = next(iter(module.train_dataloader()))
        return module.on_after_batch_transfer(batch, 0)["views"]

    alone = seen(0, 1)
    for ranks in (2, 4):
        parts = [seen(rank, ranks) for rank in range(ranks)]
        for number, view in enumerate(alone):
            for name, values in view.items():
                together = torch.cat([part[number][name] for part in parts])
                # Elements are computed alike in a batch of any size but for the last bit of vectorised loops' ends.
                torch.testing.assert_close(together, values, rtol=0, atol=1e-6, msg=f"{name} on {ranks} ranks")


def test_each_view_has_its_own_channels(shards: ShardSet) -> None:
    module = make(shards, augmentation=ImuAugmentation(AugmentSettings.only(drop_gyroscope=0.5)), batch_size=16)
    batch = next(iter(module.train_dataloader()))
    given = batch["channel_mask"].clone()
    views = module.on_after_batch_transfer(dict(batch), 0)["views"]
    assert set(views[0]) == {"imu", "sample_mask", "channel_mask", "frame_times"}
    assert not torch.equal(views[0]["channel_mask"], views[1]["channel_mask"])
    for view in views:
        assert (view["imu"].transpose(1, 2)[~view["channel_mask"]] == 0).all()
    assert torch.equal(batch["channel_mask"], given)


def test_validation_takes_every_window_once(shards: ShardSet) -> None:
    module = make(shards)
    loader = module.val_dataloader()
    starts = torch.cat([batch["start_s"] for batch in loader])
    assert len(starts) == len(module.validation_windows)


def test_too_few_windows_are_refused(shards: ShardSet, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"batch_size is 4000, but there are only \d+ training windows"):
        make(shards, batch_size=4000)


def test_activities_that_are_held_out_are_on_neither_side(shards: ShardSet) -> None:
    table, duration = shards.table, shards.settings.duration_s
    names, counts = np.unique(table["activity"][table["activity"] != ""], return_counts=True)
    rarest = str(names[counts.argmin()])
    module, whole = make(shards, exclude_activities=[rarest]), make(shards)
    used = np.concatenate([module.training_windows, module.validation_windows])
    assert len(used) < len(whole.training_windows) + len(whole.validation_windows)
    for window in used:
        same = table["recording"] == table["recording"][window]
        shown = table["start_s"][same & (table["activity"] == rarest)]
        # Windows overlap by half here: a neighbour shows a part of it under another name.
        assert not (np.abs(shown - table["start_s"][window]) <= duration).any()
    with pytest.raises(ValueError, match=f"names 'flying'; there are: .*{rarest}"):
        make(shards, exclude_activities=["flying"])


@given(st.data())
def test_what_touches_a_held_out_window_is_held_out(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 30))
    rows = lambda values: np.array(data.draw(st.lists(st.sampled_from(values), min_size=n, max_size=n)))  # noqa: E731
    table = {
        "activity": rows(["", "fall", "walk"]),
        "recording": rows(["a", "b"]),
        "start_s": rows([i / 2 for i in range(40)]),
    }
    found = held_out_windows(table, ["fall"], 2.0)
    for window in range(n):
        same = (table["recording"] == table["recording"][window]) & (table["activity"] == "fall")
        near = np.abs(table["start_s"][same] - table["start_s"][window]) <= 2.0
        assert found[window] == near.any()
    assert not held_out_windows(table, [], 2.0).any()
