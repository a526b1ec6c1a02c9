"""Evaluations of made-up windows: settings, a small model, features, a cell."""

from __future__ import annotations

import numpy as np
import torch
from helpers.fake_shards import ACTIVITIES, FakeShards

from datamodules.shards.concat import ConcatShards
from experiments.evaluation.features.target_features import EncoderSpec, TargetFeatures
from experiments.evaluation.held_out_labels import UnlabelledShards
from experiments.evaluation.methods import CellData
from experiments.evaluation.prototypes.video import Prototypes
from experiments.settings.schema import Config
from lightning_modules.pretraining import ImuPretraining

TINY = {"width": 16, "depth": 1, "heads": 2, "stem_channels": [8, 16]}


def make_config(**evaluation: object) -> Config:
    config = Config()
    config.trainer.accelerator = "cpu"
    config.trainer.precision = "32-true"  # the same figures on all processors
    config.imu_encoder.params = TINY
    for name, value in {
        "folds": 2,
        "forest_trees": 40,
        "finetune_min_steps": 40,
        "supervised_min_steps": 60,
        "finetune_epochs": 5,
        "supervised_epochs": 5,
        "supervised_lr": 3e-3,
        **evaluation,
    }.items():
        assert hasattr(config.evaluation, name)
        setattr(config.evaluation, name, value)
    return config


def make_model(shards: FakeShards, **settings: object) -> ImuPretraining:
    torch.manual_seed(0)
    return ImuPretraining(
        **{
            "imu_encoder": {"name": "cnn_transformer", "params": TINY},
            "imu_input": {"samples": shards.settings.samples, "rate_hz": shards.settings.imu_rate_hz},
            "video_head": {"name": "temporal", "params": {"width": 16, "depth": 1}},
            "frame_width": 8,
            "shared_space": {"width": 16},
            "loss": {"alignment": {"weight": 0.5}, "order": {"weight": 0.0}, "consistency": {"weight": 0.0}},
            "pretraining_subjects": ["fake/90"],
            **settings,
        }
    ).eval()


def prototypes_of(shards: FakeShards, features: TargetFeatures) -> Prototypes:
    """What a perfect video encoder would give: the mean embedding of each activity's windows."""
    labels = shards.table["activity"]
    vectors = np.stack([features.embeddings[np.flatnonzero(labels == name)].mean(0) for name in ACTIVITIES])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Prototypes(list(ACTIVITIES), vectors, [1] * len(ACTIVITIES), "made", False)


def joined(shards: FakeShards) -> ConcatShards:
    return ConcatShards([("fake", shards)])  # type: ignore[list-item]


def make_features(shards: FakeShards, model: ImuPretraining | None) -> TargetFeatures:
    spec = EncoderSpec.of(make_config(), joined(shards), model)
    windows = np.flatnonzero(shards.table["activity"] != "")
    return TargetFeatures(UnlabelledShards(joined(shards)), windows, spec, model, 0, "cpu")


def make_cell(shards: FakeShards, shots: int = 5) -> tuple[CellData, np.ndarray, np.ndarray]:
    config, model = make_config(), make_model(shards)
    features = make_features(shards, model)
    codes = np.array([ACTIVITIES.index(str(a)) for a in shards.table["activity"]])
    pool = np.flatnonzero(np.isin(shards.table["subject"], ["3", "4"]))
    test = np.flatnonzero(np.isin(shards.table["subject"], ["1", "2"]))
    support = np.concatenate([pool[codes[pool] == i][1::2][:shots] for i in range(len(ACTIVITIES))])
    people = shards.table["subject"][support]
    data = CellData(
        config, features, prototypes_of(shards, features), None, list(ACTIVITIES),
        support, codes[support], people, pool, np.bincount(codes[pool]), 7,
    )  # fmt: skip
    return data, test, codes[test]
