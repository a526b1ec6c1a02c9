import dataclasses
import importlib
import logging
from typing import Any

import numpy as np
import pytest
import torch
from helpers.fake_shards import FakeShards
from helpers.made_cells import joined, make_cell, make_config, make_model
from hypothesis import given
from hypothesis import strategies as st

from experiments.evaluation import encoder_training
from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.features.target_features import EncoderSpec
from experiments.evaluation.methods import CellData, Scores, find_method, method, methods
from experiments.evaluation.methods.probes import vote
from experiments.evaluation.prototypes.video import build_prototypes, zero_shot_probabilities
from experiments.evaluation.splits import LeakError
from experiments.settings.schema import Config
from lightning_modules.finetune import FineTune


def run(name: str, data: CellData, windows: np.ndarray) -> Scores:
    return find_method(name).fit(data)(data.features, windows)


# With 48 windows and 4 classes, chance is 0.25; all the others tell activities apart that differ in tilt.
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("handcrafted_rf", 0.95),
        ("handcrafted_trees", 0.95),
        ("handcrafted_logistic", 0.95),
        ("handcrafted_mean", 0.95),
        ("hybrid_random", 0.85),
        ("hybrid_logistic", 0.85),
        ("hybrid_mean", 0.95),
        ("random_frozen", 0.85),
        ("linear_probe", 0.85),
        ("knn", 0.85),
        ("nearest_mean", 0.75),  # no direction of random features counts more than another
        ("finetune", 0.85),
        pytest.param("finetune_tuned", 0.85, marks=pytest.mark.slow),
        ("supervised", 0.7),
        ("zero_shot", 0.85),
        ("zero_shot_target", 0.85),
    ],
)
def test_each_method_tells_separable_activities_apart(name: str, least: float) -> None:
    data, test, truth = make_cell(FakeShards())
    scores = run(name, data, test)
    assert scores.shape == (len(truth), 4)
    assert scores.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (scores.argmax(axis=1) == truth).mean() >= least
    assert (scores == run(name, data, test)).all()


def test_majority_gives_the_shares_of_the_pool() -> None:
    data, test, _ = make_cell(FakeShards())
    data = dataclasses.replace(data, pool=data.pool[:10], pool_counts=np.array([2, 5, 0, 3]))
    scores = run("majority", data, test)
    assert (scores == [0.2, 0.5, 0, 0.3]).all()
    assert len(scores) == len(test)


def test_fine_tuning_leaves_the_checkpoint_and_the_random_state_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data, test, _ = make_cell(FakeShards())
    assert data.features.model is not None
    before = {name: value.clone() for name, value in data.features.model.state_dict().items()}
    state = torch.get_rng_state()
    with caplog.at_level(logging.INFO):
        run("finetune", data, test)
    assert all(torch.equal(before[name], value) for name, value in data.features.model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not caplog.records


def test_features_are_computed_once() -> None:
    shards = FakeShards()
    data, test, _ = make_cell(shards)
    for name in ("random_frozen", "linear_probe", "handcrafted_rf"):
        run(name, data, test)
    read = len(shards.read)
    for name in ("random_frozen", "linear_probe", "handcrafted_rf", "zero_shot", "knn", "nearest_mean"):
        run(name, data, test)
    assert len(shards.read) == read


def test_probes_do_not_look_at_how_the_tested_windows_are_spread() -> None:
    data, test, _ = make_cell(FakeShards())
    for name in ("linear_probe", "knn", "nearest_mean"):
        assert run(name, data, test[:1])[0] == pytest.approx(run(name, data, test)[0], abs=1e-12)


def test_labels_of_tested_windows_are_not_to_be_had() -> None:
    data, _, _ = make_cell(FakeShards())
    for column in ("activity", "recording"):
        with pytest.raises(LeakError, match=f"asked for the {column} of windows; it gets the labels of its support"):
            data.features.shards.table[column]


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_nearest_vote_the_most(neighbours: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarity, labels = rng.uniform(-1, 1, size=(5, 6)), rng.integers(0, 3, 6)
    votes = vote(similarity, labels, 3, neighbours)
    assert votes.sum(axis=1) == pytest.approx(1)
    if neighbours == 1:
        assert (votes.argmax(axis=1) == labels[similarity.argmax(axis=1)]).all()
        assert votes.max() == 1
    # Closed form of one window's votes.
    nearest = np.argsort(-similarity[0])[:neighbours]
    weight = np.exp(similarity[0][nearest] / 0.07)
    expected = [weight[labels[nearest] == c].sum() / weight.sum() for c in range(3)]
    assert votes[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.slow
def test_rates_are_chosen_by_other_people_of_the_support(monkeypatch: pytest.MonkeyPatch) -> None:
    data, test, _ = make_cell(FakeShards())
    trained = importlib.import_module("experiments.evaluation.methods.trained")
    honest, seen = trained._train, []

    def spy(inner: CellData, *rest: Any) -> object:
        seen.append(({str(name) for name in inner.support_subjects}, rest[2].rates[0]))
        return honest(inner, *rest)

    monkeypatch.setattr(trained, "_train", spy)
    data.config.evaluation.finetune_rates = [1e-3, 1e-4]
    run("finetune_tuned", data, test)
    assert [rate for _, rate in seen[:4]] == [1e-3, 1e-3, 1e-4, 1e-4]
    assert [people for people, _ in seen[:4]] == [{"3"}, {"4"}] * 2
    assert seen[4][0] == {"3", "4"}
    assert seen[4][1] in (1e-3, 1e-4)
    assert data.notes == []


def test_the_paper_moves_the_encoder_a_thousandth_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    data, test, _ = make_cell(FakeShards())
    made: list[FineTune] = []
    monkeypatch.setattr(encoder_training, "FineTune", lambda *rest: made.append(FineTune(*rest)) or made[-1])
    scores = run("finetune_paper", data, test)
    assert scores.sum(axis=1) == pytest.approx(1, abs=1e-5)
    settings = made[0].settings
    assert (settings.encoder_lr, settings.head_lr) == (1e-6, 1e-3)
    assert settings.total_steps == 25  # 20 windows are one batch
    assert data.features.model is not None
    before = dict(data.features.model.imu_encoder.named_parameters())
    moved = max(float((p - before[name]).detach().abs().max()) for name, p in made[0].encoder.named_parameters())
    assert 0 < moved < 1e-4  # AdamW moves a weight by its rate at most, in each of 25 steps


def test_rates_that_can_not_be_chosen_are_the_configured_ones_and_that_is_said() -> None:
    data, test, _ = make_cell(FakeShards())
    alone = data.support_subjects == "3"
    one = dataclasses.replace(
        data,
        support=data.support[alone],
        support_labels=data.support_labels[alone],
        support_subjects=data.support_subjects[alone],
    )
    assert (run("finetune_tuned", one, test) == run("finetune", one, test)).all()
    assert "the configured rate" in one.notes[0]


def test_windows_that_the_checkpoint_does_not_fit_are_refused() -> None:
    shards = FakeShards()
    model = make_model(shards, imu_input={"samples": 250, "rate_hz": 50.0})
    with pytest.raises(EvaluationError, match=r"50 samples at 25\.0 Hz; the checkpoint was trained on 250"):
        EncoderSpec.of(make_config(), joined(shards), model)


def test_unknown_and_doubly_registered_methods() -> None:
    with pytest.raises(EvaluationError, match="did you mean 'linear_probe'"):
        find_method("linear_prob")
    with pytest.raises(ValueError, match="two methods"):
        method("majority", needs_labels=False)(lambda data: lambda features, windows: np.zeros((1, 1)))
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
