import dataclasses
import logging

import numpy as np
import pytest
import torch
from fake_shards import ACTIVITIES, FakeShards

from experiments.methods import CellData, find_method, method, methods
from experiments.schema import Config
from experiments.target_features import EncoderSpec, EvaluationError, TargetFeatures
from experiments.zero_shot import Prototypes, build_prototypes, zero_shot_probabilities
from lightning_modules.contrastive import ContrastivePretraining

TINY = {"width": 16, "depth": 1, "heads": 2, "stem_channels": [8, 16]}


def make_config(**evaluation: object) -> Config:
    config = Config()
    config.trainer.accelerator = "cpu"
    config.imu_encoder.params = TINY
    for name, value in {
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


def make_model(shards: FakeShards, **settings: object) -> ContrastivePretraining:
    torch.manual_seed(0)
    return ContrastivePretraining(
        **{
            "imu_encoder": {"name": "cnn_transformer", "params": TINY},
            "imu_input": {"samples": shards.settings.samples, "rate_hz": shards.settings.imu_rate_hz},
            "video_head": {"name": "temporal", "params": {"width": 16, "depth": 1}},
            "frame_width": 8,
            "projection_width": 16,
            "pretraining_subjects": ["fake/90"],
            **settings,
        }
    ).eval()


def prototypes_of(shards: FakeShards, features: TargetFeatures) -> Prototypes:
    """What a perfect video tower would give: the mean embedding of each activity's windows."""
    labels = shards.table["activity"]
    vectors = np.stack([features.embeddings[labels == name].mean(0) for name in ACTIVITIES])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Prototypes(list(ACTIVITIES), vectors, [1] * len(ACTIVITIES), "made", False)


def make_cell(shards: FakeShards, shots: int = 5) -> tuple[CellData, np.ndarray]:
    config, model = make_config(), make_model(shards)
    features = TargetFeatures(shards, EncoderSpec.of(config, shards, model), model, 0, "cpu")  # type: ignore[arg-type]
    codes = np.array([ACTIVITIES.index(str(a)) for a in shards.table["activity"]])
    pool = np.flatnonzero(np.isin(shards.table["subject"], ["3", "4"]))
    test = np.flatnonzero(np.isin(shards.table["subject"], ["1", "2"]))
    support = np.concatenate([pool[codes[pool] == i][:shots] for i in range(len(ACTIVITIES))])
    data = CellData(
        config, features, prototypes_of(shards, features), list(ACTIVITIES),
        support, codes[support], pool, codes[pool], test, 7,
    )  # fmt: skip
    return data, codes[test]


# With 48 windows and 4 classes, chance is 0.25; all the others tell activities apart that differ in tilt.
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("handcrafted_rf", 0.95),
        ("random_frozen", 0.9),
        ("linear_probe", 0.9),
        ("finetune", 0.9),
        ("supervised", 0.7),
        ("zero_shot", 0.9),
    ],
)
def test_each_method_tells_separable_activities_apart(name: str, least: float) -> None:
    data, truth = make_cell(FakeShards())
    scores = find_method(name).run(data)
    assert scores.shape == (len(truth), 4)
    assert scores.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (scores.argmax(axis=1) == truth).mean() >= least
    again = find_method(name).run(data)
    assert (scores == again).all()


def test_majority_gives_the_shares_of_the_pool() -> None:
    data, _ = make_cell(FakeShards())
    data = dataclasses.replace(data, pool=data.pool[:10], pool_labels=np.array([0] * 2 + [1] * 5 + [3] * 3))
    scores = find_method("majority").run(data)
    assert (scores == [0.2, 0.5, 0, 0.3]).all()
    assert len(scores) == len(data.test)


def test_fine_tuning_leaves_the_checkpoint_and_the_random_state_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data, _ = make_cell(FakeShards())
    assert data.features.model is not None
    before = {name: value.clone() for name, value in data.features.model.state_dict().items()}
    state = torch.get_rng_state()
    with caplog.at_level(logging.INFO):
        find_method("finetune").run(data)
    assert all(torch.equal(before[name], value) for name, value in data.features.model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not caplog.records


def test_features_are_computed_once() -> None:
    shards = FakeShards()
    data, _ = make_cell(shards)
    for name in ("random_frozen", "linear_probe", "handcrafted_rf"):
        find_method(name).run(data)
    read = len(shards.read)
    for name in ("random_frozen", "linear_probe", "handcrafted_rf", "zero_shot"):
        find_method(name).run(data)
    assert len(shards.read) == read


def test_probes_do_not_look_at_how_the_tested_windows_are_spread() -> None:
    data, _ = make_cell(FakeShards())
    alone = dataclasses.replace(data, test=data.test[:1])
    run = find_method("linear_probe").run
    assert run(alone)[0] == pytest.approx(run(data)[0], abs=1e-12)


def test_windows_that_the_checkpoint_does_not_fit_are_refused() -> None:
    shards = FakeShards()
    model = make_model(shards, imu_input={"samples": 250, "rate_hz": 50.0})
    with pytest.raises(EvaluationError, match=r"50 samples at 25\.0 Hz; the checkpoint was trained on 250"):
        EncoderSpec.of(make_config(), shards, model)  # type: ignore[arg-type]


def test_unknown_and_doubly_registered_methods() -> None:
    with pytest.raises(EvaluationError, match="Did you mean 'linear_probe'"):
        find_method("linear_prob")
    with pytest.raises(ValueError, match="two methods"):
        method("majority", needs_labels=False)(lambda data: np.zeros((1, 1)))
    assert set(Config().evaluation.methods) <= set(methods())


def test_prototypes_are_means_of_labelled_videos() -> None:
    shards = FakeShards(per_class=2)
    shards.table["activity"] = np.where(shards.table["activity"] == "turn", "", shards.table["activity"])
    model = make_model(shards)
    n = shards.n_windows
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n, 3, 8)).astype(np.float32)
    times = np.tile(np.array([0.2, 0.9, 1.6], np.float32), (n, 1))
    mask = np.ones((n, 3), bool)
    mask[0] = False  # of "bend": without a frame

    class Features:
        def read(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            return values[windows], times[windows], mask[windows]

    found = build_prototypes(model, shards, Features())  # type: ignore[arg-type]
    assert found.activities == ["bend", "sit", "walk"]
    assert found.windows == [7, 8, 8]
    chosen = np.flatnonzero((shards.table["activity"] == "bend") & mask.any(1))
    with torch.no_grad():
        each = model.embed_video(*(torch.from_numpy(a[chosen]) for a in (values, times, mask)))
    mean = each.mean(0) / each.mean(0).norm()
    assert found.vectors[0] == pytest.approx(mean.numpy(), abs=1e-6)  # float32 sums in another order
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(1)


def test_zero_shot_takes_the_nearest_prototype_at_any_scale() -> None:
    rng = np.random.default_rng(0)
    prototypes = np.eye(4, dtype=np.float32)
    embeddings = rng.normal(size=(50, 4)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    for scale in (0.1, 10.0, 100.0):
        scores = zero_shot_probabilities(embeddings, prototypes, scale)
        assert (scores.argmax(1) == embeddings.argmax(1)).all()
        assert scores.sum(1) == pytest.approx(1)
