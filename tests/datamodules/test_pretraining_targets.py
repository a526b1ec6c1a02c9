"""Targets of objectives without video: features as the expert computes them, labels as the sets have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.build.run import build
from datamodules.handcrafted import FEATURE_NAMES, handcrafted_features
from datamodules.pretraining import PretrainingDataModule
from datamodules.pretraining.targets import CLIP, ExpertTargets, LabelTargets
from datamodules.shards.mixed import MixedShards
from datamodules.shards.reader import ShardSet
from datamodules.windows.cut import WindowSettings

SETTINGS = WindowSettings(duration_s=4.0, stride_s=2.0, frames=0)


def made(directory: Path, first: int, placement: str) -> ShardSet:
    params = {"subjects": 2, "sessions_per_subject": 1, "session_s": 40, "first_subject": first, "cameras": []}
    build("simulator", {**params, "placements": [placement]}, directory, SETTINGS, placement, None, workers=1)
    return ShardSet.open(directory)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, ShardSet]]:
    folder = tmp_path_factory.mktemp("targets")
    return [("head", made(folder / "a", 0, "head")), ("waist", made(folder / "b", 1, "waist"))]


def test_features_are_the_experts_standardised_and_kept(sets: list[tuple[str, ShardSet]]) -> None:
    shards = sets[0][1]
    windows = np.arange(shards.n_windows)
    imu, samples, channels = shards.imu(windows)
    targets = ExpertTargets(shards, windows)
    found = targets.of(windows, imu, samples, channels)["expert"].numpy()
    features = handcrafted_features(imu, samples, channels, 50.0).astype(np.float64)
    moving = features.std(axis=0) > 1e-6 * np.maximum(np.abs(features.mean(axis=0)), 1)
    expected = (features - features.mean(axis=0))[:, moving] / features.std(axis=0)[moving]
    np.testing.assert_allclose(found[:, moving], expected.clip(-CLIP, CLIP), atol=1e-5)  # float32 features
    assert (found[:, ~moving] == 0).all()
    # Read again, they are not computed again: from no motion at all they are the same.
    again = targets.of(windows[::-1], np.zeros_like(imu), samples, channels)["expert"].numpy()
    np.testing.assert_array_equal(again, found[::-1])


def test_features_of_a_lacking_gyroscope_are_unknown(sets: list[tuple[str, ShardSet]]) -> None:
    shards = sets[0][1]
    windows = np.arange(4)
    imu, samples, channels = shards.imu(windows)
    channels[1, 3:] = False
    imu[1, :, 3:] = 0
    found = ExpertTargets(shards, np.arange(shards.n_windows)).of(windows, imu, samples, channels)["expert"]
    of_gyroscope = torch.tensor([name.split("_")[0] in ("gx", "gy", "gz", "g") for name in FEATURE_NAMES])
    crossed = torch.tensor([name.startswith("correlation") and "_g" in name for name in FEATURE_NAMES])
    assert found[1].isnan().equal(of_gyroscope | crossed)
    assert not found[[0, 2, 3]].isnan().any()


def test_labels_are_numbered_over_all_sets(sets: list[tuple[str, ShardSet]]) -> None:
    module = PretrainingDataModule(
        MixedShards(sets), None, batch_size=4, validation_share=0.5, video=False, targets=["labels"]
    )
    labels = module.targets["labels"]
    assert isinstance(labels, LabelTargets)
    names = [name for classes in labels.classes for name in classes]
    batch = module.read(module.training_windows)
    of_set = np.repeat([0, 1], [len(classes) for classes in labels.classes])
    table = module.shards.table
    persons: dict[str, set[int]] = {}
    for row, window in enumerate(module.training_windows):
        number = int(batch["activity"][row])
        assert table["activity"][window] == (names[number] if number >= 0 else "")
        if number >= 0:
            assert of_set[number] == batch["set"][row]
        persons.setdefault(str(table["person"][window]), set()).add(int(batch["person"][row]))
    assert all(len(numbers) == 1 for numbers in persons.values())
    assert len(set.union(*persons.values())) == len(persons)
    # Labels of validation are not given out.
    assert (module.read(module.validation_windows)["activity"] == -1).all()


def test_no_target_is_made_unless_asked_for(sets: list[tuple[str, ShardSet]]) -> None:
    module = PretrainingDataModule(sets[0][1], None, batch_size=4, video=False)
    assert not {"expert", "activity", "person"} & module.read(np.arange(3)).keys()
    with pytest.raises(ValueError, match="unknown targets 'lables'; expected some of expert, labels"):
        PretrainingDataModule(sets[0][1], None, batch_size=4, video=False, targets=["lables"])
