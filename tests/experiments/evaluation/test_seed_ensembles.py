"""Seeds together: the mean of the members' probabilities, under perturbations too, and what is not done together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_cell, make_config, make_features, make_model, prototypes_of
from helpers.made_protocol import make_target

from experiments.evaluation.adaptation import find_contender
from experiments.evaluation.features.target_features import TargetFeatures
from experiments.evaluation.perturbations import parse_perturbation
from experiments.evaluation.plan import plan_units
from experiments.evaluation.protocol import run_protocol
from experiments.evaluation.seed_ensembles import can_be_together, ensembles_of, together
from experiments.evaluation.targets import System
from lightning_modules.pretraining import ImuPretraining


def seeds(shards: FakeShards, count: int = 2) -> list[System]:
    found = []
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        model: ImuPretraining = make_model(shards)
        with torch.no_grad():
            for weight in model.imu_encoder.parameters():
                weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
        prototypes = prototypes_of(shards, make_features(shards, model))
        found.append(System("ours", model, f"seed{seed}", {"source": prototypes}))
    return found


@pytest.mark.parametrize("name", ["linear_probe", "hybrid_mean", "zero_shot", "knn", "hybrid_logistic+person"])
def test_together_they_predict_the_mean_of_their_probabilities(name: str) -> None:
    shards = FakeShards()
    systems = seeds(shards)
    data, test, _ = make_cell(shards)
    data = replace(data, unlabelled=np.union1d(data.pool, test))
    plain = data.features
    features = {
        system.checkpoint: TargetFeatures(plain.shards, plain.windows, plain.spec, system.model, 0, "cpu")
        for system in systems
    }
    method = find_contender(name)
    (ensemble,) = ensembles_of(systems)
    assert (ensemble.name, ensemble.members) == ("ours x2", tuple(systems))
    fitted = together(method, features, systems).fit(
        replace(data, features=features["seed0"], prototypes=ensemble.prototypes.get(method.prototypes))
    )
    alone = [
        method.fit(
            replace(data, features=features[system.checkpoint], prototypes=system.prototypes.get(method.prototypes))
        )
        for system in systems
    ]
    for noise in (None, parse_perturbation("noise=1")):
        there = [f if noise is None else f.under(noise) for f in features.values()]
        scores = [one(own, test) for one, own in zip(alone, there, strict=True)]
        assert (scores[0] != scores[1]).any()
        # The same sums, in doubles.
        assert fitted(there[0], test) == pytest.approx((scores[0] + scores[1]) / 2, abs=1e-12)


def test_a_row_is_added_for_each_system_with_several_seeds() -> None:
    shards = FakeShards()
    systems = [*seeds(shards), System("single", seeds(shards, 1)[0].model, "another")]
    config = make_config(methods=["handcrafted_rf", "linear_probe"], shots=[2], draws=2)
    config.evaluation.ensembles = True
    results = run_protocol(config, [make_target(shards)], systems, lambda _: None, lambda _: None, lambda *_: None)
    rows = {(r.cell.contender, r.cell.checkpoint) for r in results}
    assert {name for name, _ in rows} == {
        "handcrafted_rf", "linear_probe@ours", "linear_probe@single", "linear_probe@ours x2",
    }  # fmt: skip
    assert len({checkpoint for name, checkpoint in rows if name == "linear_probe@ours x2"}) == 1
    config.evaluation.ensembles = False
    assert not any("x2" in c.system for u in plan_units(config, [make_target(shards)], systems) for c in u.cells)


def test_what_trains_an_encoder_or_has_prototypes_of_a_fold_is_not_done_together() -> None:
    for name, expected in (("finetune", False), ("zero_shot_target", False), ("zero_shot", True), ("knn", True)):
        assert can_be_together(find_contender(name)) is expected
