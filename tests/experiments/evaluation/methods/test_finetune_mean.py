"""The mean of fine-tuning and of training from scratch."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_cell

from encoders.contract import ImuEncoder
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.methods import CellData, Predict, Scores, find_method
from experiments.evaluation.methods.registry import Indices
from lightning_modules.probe import LinearProbe

trained = importlib.import_module("experiments.evaluation.methods.trained")


def test_both_are_trained_with_the_same_steps_and_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    data, test, _ = make_cell(FakeShards())
    calls = []

    def train(cell: CellData, encoder: ImuEncoder, probe: LinearProbe | None, recipe: Any) -> Predict:
        calls.append((probe is not None, recipe))

        def predict(features: TargetFeatures, windows: Indices) -> Scores:
            first = np.zeros((len(windows), len(cell.classes)))
            first[:, 0 if probe is None else 1] = 1
            return first

        return predict

    monkeypatch.setattr(trained, "_train", train)
    scores = find_method("finetune_mean").fit(data)(data.features, test)
    assert (scores[:, :2] == 0.5).all()
    assert (scores[:, 2:] == 0).all()
    ((tuned, recipe), (scratch, other)) = calls
    assert tuned
    assert not scratch
    assert (recipe.epochs, recipe.min_steps, recipe.augment) == (other.epochs, other.min_steps, other.augment)
