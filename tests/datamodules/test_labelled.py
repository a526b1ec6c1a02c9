from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.fake_shards import FakeShards

from datamodules.augment import AugmentSettings, ImuAugmentation
from datamodules.augment.draws import window_keys
from datamodules.labelled import LabelledDataModule


def _module(n: int, most: int, **options: object) -> LabelledDataModule:
    shards = FakeShards()
    training = np.arange(n)[::-1].copy()
    module = LabelledDataModule(shards, training, np.arange(n), np.arange(60, 96), max_batch_size=most, **options)  # type: ignore[arg-type]
    module.trainer = SimpleNamespace(global_step=0, training=True)  # type: ignore[assignment]
    return module


@pytest.mark.parametrize(
    ("n", "most", "size", "steps"), [(9, 64, 9, 1), (64, 64, 64, 1), (65, 64, 32, 2), (50, 20, 16, 3)]
)
def test_as_few_equal_batches_as_possible(n: int, most: int, size: int, steps: int) -> None:
    module = _module(n, most)
    assert (module.batch_size, module.steps_per_epoch) == (size, steps)
    batches = list(module.train_dataloader())
    assert [len(b["label"]) for b in batches] == [size] * steps
    seen = torch.cat([b["label"] for b in batches])
    assert len(seen.unique()) == len(seen)


def test_labels_belong_to_their_windows() -> None:
    module = _module(40, 16)
    for batch in module.train_dataloader():
        windows = module.training[batch["label"].numpy()]  # here a window's label is its position
        expected, _, _ = module.shards.imu(windows)
        assert batch["imu"][..., :3].numpy() * 9.80665 == pytest.approx(expected[..., :3], abs=1e-4)


def test_order_depends_on_seed_and_epoch() -> None:
    def first(seed: int, step: int) -> list[int]:
        module = _module(40, 20, seed=seed)
        module.trainer.global_step = step  # type: ignore[union-attr, misc]
        return next(iter(module.train_dataloader()))["label"].tolist()

    assert first(0, 0) == first(0, 0)
    assert first(0, 0) != first(1, 0)
    assert first(0, 0) != first(0, 2)


def test_prediction_batches_are_in_order_and_without_labels() -> None:
    batches = list(_module(10, 64).predict_dataloader())
    assert sum(len(b["imu"]) for b in batches) == 36
    assert all("label" not in b for b in batches)


def test_augmentation_is_for_training_only_and_a_function_of_the_epoch() -> None:
    module = _module(10, 64, augmentation=ImuAugmentation(AugmentSettings.only(rotation_deg=20, noise=0.1)))
    batch = next(iter(module.train_dataloader()))
    one, again = (module.on_after_batch_transfer(batch, 0)["imu"] for _ in range(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, batch["imu"])
    later = {**batch, "draws": window_keys(0, 1, np.arange(len(one)))}
    assert not torch.equal(one, module.on_after_batch_transfer(later, 0)["imu"])
    module.trainer.training = False  # type: ignore[union-attr]
    assert module.on_after_batch_transfer(batch, 0)["imu"] is batch["imu"]


def test_a_lost_gyroscope_is_said_to_the_encoder() -> None:
    module = _module(64, 64, augmentation=ImuAugmentation(AugmentSettings.only(drop_gyroscope=0.5)))
    batch = next(iter(module.train_dataloader()))
    seen = module.on_after_batch_transfer(batch, 0)
    lost = ~seen["channel_mask"][:, 3:].any(dim=1)
    assert 10 < int(lost.sum()) < 54  # of 64, with probability 1/2: beyond 5 standard deviations
    assert (seen["imu"][lost][..., 3:] == 0).all()
    assert batch["channel_mask"].all()


def test_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(ValueError, match="0 training windows"):
        _module(0, 64)
