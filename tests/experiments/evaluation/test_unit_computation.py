"""Computation of a unit: the order of perturbations changes no result."""

from __future__ import annotations

import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_config
from helpers.made_protocol import run

from experiments.evaluation import unit_computation
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.perturbations import Perturbation
from experiments.evaluation.random_views import RandomView

CHANGES = ["noise=10", "gyroscope=0", "rotation=90"]


def figures(config: object) -> dict[str, dict[str, float]]:
    return {result.cell.key: dict(result.metrics) for result in run(config, FakeShards())}  # type: ignore[arg-type]


def test_every_second_draw_takes_perturbations_from_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    under = TargetFeatures.under

    def watched(features: TargetFeatures, change: Perturbation | RandomView) -> TargetFeatures:
        asked.append(str(change))
        return under(features, change)

    config = make_config(methods=["random_frozen"], shots=[2], draws=2, perturbations=CHANGES, workers=1)
    monkeypatch.setattr(TargetFeatures, "under", watched)
    found = figures(config)
    assert asked == [*CHANGES, *reversed(CHANGES)] * 2  # two folds of two draws, one after the other
    monkeypatch.setattr(unit_computation, "_places", lambda perturbations, draw: range(perturbations))
    asked.clear()
    assert figures(config) == found
    assert asked == CHANGES * 4
