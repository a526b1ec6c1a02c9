"""Baselines of the package aeon, where it is installed, and what is said where it is not."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_cell
from sklearn.linear_model import RidgeClassifierCV

from experiments.evaluation.features import aeon_features
from experiments.evaluation.features.aeon_features import MissingAeonError
from experiments.evaluation.methods import aeon_baselines, find_method
from experiments.evaluation.methods.aeon_baselines import ALPHAS, STRAIGHT, Ridge, fit_ridge
from experiments.evaluation.perturbations import parse_perturbation
from lightning_modules.probe import Standardisation


@pytest.mark.parametrize("name", ["catch22", "minirocket", "hydra"])
def test_without_the_package_the_message_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("feature_based", "convolution_based"):
        monkeypatch.setitem(sys.modules, f"aeon.transformations.collection.{kind}", None)
    monkeypatch.setitem(sys.modules, "aeon", None)
    data, _, _ = make_cell(FakeShards(per_class=2))
    with pytest.raises(MissingAeonError, match=r"pip install '\.\[aeon\]'"):
        find_method(name).fit(data)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_ridge_answers_as_that_of_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 60)).astype(np.float32)
    labels = np.arange(40) % classes
    features[:, 0] += labels
    spread = Standardisation.of(features)
    fitted = fit_ridge(features, labels, classes, spread)
    expected = RidgeClassifierCV(alphas=ALPHAS).fit(spread(features), labels)
    scores = fitted.probabilities(features)
    assert scores.sum(axis=1) == pytest.approx(1)
    assert (scores.argmax(axis=1) == expected.predict(spread(features))).all()


@pytest.mark.parametrize("classes", [2, 4])
def test_a_window_between_0_and_1_keeps_the_estimates_of_the_regression(classes: int) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 60)).astype(np.float32)
    labels = np.arange(40) % classes
    spread = Standardisation.of(features)
    decisions = RidgeClassifierCV(alphas=ALPHAS).fit(spread(features), labels).decision_function(spread(features))
    estimates = (1 + (np.stack([-decisions, decisions], 1) if classes == 2 else decisions)) / 2
    # Rounding in double precision. Targets are 1 for one class and -1 for the others, so that estimates sum to 1.
    assert estimates.sum(axis=1) == pytest.approx(1, abs=1e-9)
    inside = (estimates > STRAIGHT / classes).all(axis=1)
    assert inside.any()
    found = fit_ridge(features, labels, classes, spread).probabilities(features)
    assert found[inside] == pytest.approx(estimates[inside], abs=1e-9)


def test_estimates_below_0_stay_apart_and_above_0() -> None:
    ridge = Ridge(Standardisation(np.zeros(1), np.ones(1)), np.array([[1.0], [-1.0]]), np.array([0.5, 0.5]))
    found = ridge.probabilities(np.linspace(-2, 2, 401, dtype=np.float32)[:, None])
    assert (found > 0).all()
    assert (np.diff(found[:, 0]) > 0).all()
    assert found[:, 0] == pytest.approx(found[::-1, 1])


def test_the_mean_with_hydra_is_that_of_three_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    # Other features stand for Hydra's, which need the extra aeon.
    monkeypatch.setattr(aeon_baselines, "hydra_table", lambda features: features.random)
    data, test, _ = make_cell(FakeShards())
    for name, first in (("handcrafted_hydra", "handcrafted_logistic"), ("hybrid_hydra", "hybrid_logistic")):
        parts = [find_method(part).fit(data)(data.features, test) for part in (first, "handcrafted_trees", "hydra")]
        assert find_method(name).fit(data)(data.features, test) == pytest.approx(np.mean(parts, axis=0))  # rounding


@pytest.mark.slow  # numba compiles for a minute or two
@pytest.mark.parametrize(
    ("name", "width"), [("catch22", 132), ("minirocket", 9996), ("minirocket_logistic", 9996), ("hydra", None)]
)
def test_each_tells_activities_apart_on_a_table_that_is_made_once(name: str, width: int | None) -> None:
    pytest.importorskip("aeon", reason="needs the extra aeon")
    shards = FakeShards()
    data, test, truth = make_cell(shards)
    shards.channel_mask[0, 3:] = False
    predict = find_method(name).fit(data)
    scores = predict(data.features, test)
    assert scores.sum(axis=1) == pytest.approx(1)
    assert (scores.argmax(axis=1) == truth).mean() > 0.7
    kept = [table for key, table in data.features._kept.items() if key.startswith(name.removesuffix("_logistic"))]
    assert len(kept) == 1
    assert np.isfinite(kept[0][data.features.windows]).all()
    assert width in (None, kept[0].shape[1])
    read = len(shards.read)
    assert (find_method(name).fit(data)(data.features, test) == scores).all()
    assert len(shards.read) == read
    # Biases and kernels stay those of the windows as they are.
    same = data.features.under(parse_perturbation("rate=25"))
    assert predict(same, test) == pytest.approx(scores, abs=1e-6)


def test_what_was_not_measured_is_the_mean_of_its_channel() -> None:
    data, _, _ = make_cell(FakeShards())
    shards = FakeShards()
    shards.sample_mask[3, 10:20] = False
    data, _, _ = make_cell(shards)
    (values,) = aeon_features._values(data.features, np.array([3]))
    measured = np.r_[0:10, 20:50]
    assert values[:, 10:20] == pytest.approx(values[:, measured].mean(axis=1, keepdims=True).repeat(10, axis=1))
