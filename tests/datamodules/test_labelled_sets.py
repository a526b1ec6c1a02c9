"""Mixed batches of several labelled data sets."""

from __future__ import annotations

import numpy as np
import torch
from helpers.fake_shards import FakeShards

from datamodules.augment import ImuAugmentation
from datamodules.augment.settings import AugmentSettings
from datamodules.labelled_sets import LabelledSet, LabelledSetsDataModule


def labelled(shards: FakeShards, leave_out: str = "") -> LabelledSet:
    names = shards.table["activity"]
    windows = np.flatnonzero(names != leave_out).astype(np.int64)
    return LabelledSet(shards, windows, np.unique(names[windows], return_inverse=True)[1].astype(np.int64))


def data(steps: int = 50, seed: int = 0, **augment: float) -> LabelledSetsDataModule:
    # The second set has twelve windows of one activity for each of the other's.
    first = labelled(FakeShards(per_class=12), leave_out="sit")
    second = labelled(FakeShards(seed=1, activities=("turn", "walk")))
    augmentation = ImuAugmentation(AugmentSettings.only(**augment))
    return LabelledSetsDataModule([first, second], steps, 64, augmentation, seed)


def test_labels_belong_to_their_windows() -> None:
    made = data()
    batch = made.batch(3)
    for number, part in enumerate(made.sets):
        own = batch["set"] == number
        values = torch.from_numpy(part.shards.imu(part.windows)[0]) / torch.tensor([9.80665] * 3 + [torch.pi] * 3)
        for window, label in zip(batch["imu"][own], batch["label"][own], strict=True):
            # Normalised in float32, from values up to 15.
            (found,) = torch.nonzero((values - window).abs().amax((1, 2)) < 1e-4).ravel()
            assert part.labels[found] == label


def test_shares_of_sets_and_activities() -> None:
    made = data()
    batches = [made.batch(step) for step in range(60)]
    sets = torch.cat([batch["set"] for batch in batches])
    labels = torch.cat([batch["label"] for batch in batches])
    weights = np.array([np.sqrt(4 * 3 * 12) * np.log(3), np.sqrt(4 * 2 * 6) * np.log(2)])
    n = len(sets)
    # Four standard deviations of a share of 3,840 draws are at most 0.033.
    assert abs((sets == 0).float().mean().item() - weights[0] / weights.sum()) < 4 * 0.5 / n**0.5
    for number, classes in ((0, 3), (1, 2)):
        own = labels[sets == number]
        counts = torch.bincount(own, minlength=classes) / len(own)
        assert (counts - 1 / classes).abs().max() < 4 * 0.5 / len(own) ** 0.5


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    first, again, other = data(noise=0.1), data(noise=0.1), data(seed=1, noise=0.1)
    first.batch(0)
    one, two = first.batch(7), again.batch(7)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["imu"], other.batch(7)["imu"])
    assert not torch.equal(one["imu"], first.batch(8)["imu"])


def test_one_batch_a_step() -> None:
    assert [len(batch["imu"]) for batch in data(steps=3).train_dataloader()] == [64, 64, 64]
