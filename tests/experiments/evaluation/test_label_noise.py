"""Wrong labels: as many as asked for, nested, and told apart from right ones in the results."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_config
from helpers.made_protocol import run

from experiments.evaluation.errors import EvaluationError
from experiments.evaluation.label_noise import flip_labels
from experiments.evaluation.perturbations import PerturbationError
from experiments.evaluation.plan_checks import expand_perturbations


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_so_many_labels_are_wrong_and_stay_classes(share: float) -> None:
    labels = np.random.default_rng(0).integers(0, 5, 200)
    found = flip_labels(labels, 5, share, [0, "a"])
    assert (found != labels).sum() == round(share * 200)
    assert set(found) <= set(range(5))


def test_fewer_wrong_labels_are_among_more_and_the_key_decides() -> None:
    labels = np.zeros(100, np.int64)
    few, many = (flip_labels(labels, 4, share, [0]) for share in (0.2, 0.6))
    np.testing.assert_array_equal(many[few != 0], few[few != 0])
    assert (flip_labels(labels, 4, 0.6, [1]) != many).any()
    assert sorted(np.unique(many)) == [0, 1, 2, 3]


def test_wrong_labels_cost_and_right_ones_stay_as_they_were() -> None:
    config = make_config(methods=["majority", "handcrafted_logistic"], shots=[6], draws=2)
    plain = {r.cell.key: r for r in run(config, FakeShards())}
    config.evaluation.label_noise = [0.2, 0.7]
    results = run(config, FakeShards())
    clean = [r for r in results if not r.cell.perturbation]
    assert {r.cell.key for r in clean} == set(plain)
    assert all(r.metrics == plain[r.cell.key].metrics for r in clean)
    by_share = {
        text: [r.metrics["accuracy"] for r in results if r.cell.perturbation == text]
        for text in ("label_noise=0.2", "label_noise=0.7")
    }
    assert [len(values) for values in by_share.values()] == [4, 4]  # two folds, two draws; none for the majority
    assert np.mean(by_share["label_noise=0.7"]) < np.mean(by_share["label_noise=0.2"]) <= 1
    assert np.mean(by_share["label_noise=0.7"]) < 0.6


def test_what_is_no_share_is_refused() -> None:
    config = make_config(methods=["handcrafted_logistic"], shots=[1])
    config.evaluation.label_noise = [1.0]
    with pytest.raises(EvaluationError, match="label_noise has 1; expected shares above 0 and below 1"):
        run(config, FakeShards())
    with pytest.raises(PerturbationError, match=r"set evaluation\.label_noise"):
        expand_perturbations(["label_noise=0.1"])
