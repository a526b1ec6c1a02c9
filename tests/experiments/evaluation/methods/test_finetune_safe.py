"""Fine-tuning that starts as the probe and falls back to it."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_cell

from datamodules.labelled import ImuBatches
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods import CellData, Predict, Scores, find_method
from experiments.evaluation.methods.probes import fit_on
from experiments.evaluation.methods.registry import Indices
from lightning_modules.finetune import FineTune, FineTuneSettings, StandardisedLinear

trained = importlib.import_module("experiments.evaluation.methods.trained")


def run(data: CellData, name: str, windows: np.ndarray) -> Scores:
    return find_method(name).fit(data)(data.features, windows)


def test_fine_tuning_starts_as_the_probe() -> None:
    data, test, _ = make_cell(FakeShards())
    probe = fit_on(data, data.features.pretrained)
    rows = data.features.pretrained[test]
    head = StandardisedLinear(rows.shape[1], 4, probe).double()
    # The module keeps weights in single precision: that is all the difference.
    assert head(torch.from_numpy(rows).double()).detach().numpy() == pytest.approx(probe.logits(rows), abs=1e-4)

    assert data.features.model is not None
    module = FineTune(data.features.model.imu_encoder, 4, FineTuneSettings(0.0, 0.0), probe).eval()
    (batch,) = ImuBatches(data.features.shards, test, data.features.spec.normalisation)
    with torch.no_grad():
        found = torch.softmax(module(batch).double(), dim=1)
    assert found.numpy() == pytest.approx(run(data, "linear_probe", test), abs=1e-4)


def fixed(answers: Callable[[Indices], Indices]) -> Callable[..., Predict]:
    """Replace every training by one whose model gives these answers."""

    def train(data: CellData, *rest: object) -> Predict:
        def predict(features: TargetFeatures, windows: Indices) -> Scores:
            return np.eye(len(data.classes))[answers(windows)]

        return predict

    return train


def test_the_probe_is_taken_where_training_is_not_better(monkeypatch: pytest.MonkeyPatch) -> None:
    data, test, _ = make_cell(FakeShards())
    monkeypatch.setattr(trained, "_train", fixed(lambda windows: np.zeros(len(windows), np.int64)))
    assert (run(data, "finetune_safe", test) == run(data, "linear_probe", test)).all()


def test_training_is_taken_where_it_is_better_on_people_of_the_support(monkeypatch: pytest.MonkeyPatch) -> None:
    shards = FakeShards()
    data, test, truth = make_cell(shards)
    labels = np.unique(shards.table["activity"], return_inverse=True)[1]
    seen: list[Indices] = []

    def knows(windows: Indices) -> Indices:
        seen.append(windows)
        return labels[windows]

    monkeypatch.setattr(trained, "_train", fixed(knows))
    monkeypatch.setattr(trained, "linear_probe", fixed(lambda windows: np.zeros(len(windows), np.int64)))
    scores = find_method("finetune_safe").fit(data)
    assert np.isin(np.concatenate(seen), data.support).all()  # nothing but the support validates
    assert (scores(data.features, test).argmax(axis=1) == truth).all()


def test_with_one_person_there_is_nothing_to_choose_by_and_that_is_said() -> None:
    data, test, _ = make_cell(FakeShards())
    alone = data.support_subjects == "3"
    one = dataclasses.replace(
        data,
        support=data.support[alone],
        support_labels=data.support_labels[alone],
        support_subjects=data.support_subjects[alone],
    )
    assert (run(one, "finetune_safe", test) == run(one, "linear_probe", test)).all()
    assert "the probe" in one.notes[0]
