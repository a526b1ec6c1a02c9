import copy

import numpy as np
import pytest
import torch
from helpers.fake_shards import RATE_HZ, SAMPLES, FakeShards

from datamodules.labelled import LabelledDataModule, read_imu
from encoders.contract import ImuInput
from encoders.registry import build_imu_encoder
from lightning_modules.finetune import FineTune, FineTuneSettings, StandardisedLinear, predict_windows, train
from lightning_modules.probe import Standardisation, fit_probe

TINY = {"width": 16, "depth": 1, "heads": 2, "stem_channels": [8, 16]}


def _encoder() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_imu_encoder("cnn_transformer", TINY, ImuInput(SAMPLES, RATE_HZ))


def _data(shards: FakeShards) -> tuple[LabelledDataModule, np.ndarray]:
    labels = np.unique(shards.table["activity"], return_inverse=True)[1].astype(np.int64)
    support = np.flatnonzero(shards.table["subject"] != "1")
    test = np.flatnonzero(shards.table["subject"] == "1")
    data = LabelledDataModule(shards, support, labels[support], test, max_batch_size=24, seed=3)
    return data, labels[test]


def test_the_head_starts_as_the_probe() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(3, 2, size=(20, 6)), np.arange(20) % 4
    probe = fit_probe(features, labels, 4, Standardisation.of(features), 1.0)
    head = StandardisedLinear(6, 4, probe)
    found = torch.softmax(head(torch.from_numpy(features).float()), 1).detach().numpy()
    assert found == pytest.approx(probe.probabilities(features), abs=1e-5)  # float32 against float64


def test_training_from_scratch_learns_separable_activities_and_repeats() -> None:
    shards = FakeShards()
    predictions = []
    for _ in range(2):
        data, truth = _data(shards)
        encoder = _encoder()
        torch.manual_seed(1)
        module = FineTune(encoder, 4, FineTuneSettings(3e-3, 3e-3, total_steps=150))  # type: ignore[arg-type]
        train(module, data)
        predictions.append(predict_windows(module, data))
    assert (predictions[0].argmax(1).numpy() == truth).mean() > 0.9
    assert predictions[0].sum(1).numpy() == pytest.approx(1)
    assert torch.equal(predictions[0], predictions[1])


def test_rates_of_zero_leave_a_part_as_it_was() -> None:
    data, _ = _data(FakeShards())
    encoder = _encoder()
    before = copy.deepcopy(encoder.state_dict())
    module = FineTune(encoder, 4, FineTuneSettings(0.0, 1e-2, total_steps=3))  # type: ignore[arg-type]
    head = module.head.linear.weight.detach().clone()
    train(module, data)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert not torch.equal(head, module.head.linear.weight)


def test_predictions_do_not_depend_on_dropout_or_batches() -> None:
    data, _ = _data(FakeShards())
    module = FineTune(_encoder(), 4, FineTuneSettings(1e-3, 1e-3, total_steps=1))  # type: ignore[arg-type]
    train(module, data)
    predicted = predict_windows(module, data)
    with torch.no_grad():
        batch = read_imu(data.shards, data.prediction[:5], data.normalisation)
        alone = module.eval().predict_step(batch, 0)
    assert predicted[:5].numpy() == pytest.approx(alone.numpy(), abs=1e-5)  # float32, other batch shapes
