"""Baselines of the package aeon, where it is installed, and what is said where it is not."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from helpers.fake_shards import FakeShards
from helpers.made_cells import make_cell
from sklearn.linear_model import RidgeClassifierCV

from experiments.evaluation.adaptation import find_contender
from experiments.evaluation.features import aeon_features
from experiments.evaluation.features.aeon_features import MissingAeonError
from experiments.evaluation.methods import find_method
from experiments.evaluation.methods.aeon_baselines import ALPHAS, fit_ridge
from experiments.evaluation.perturbations import parse_perturbation
from lightning_modules.probe import Standardisation


@pytest.mark.parametrize("name", ["catch22", "minirocket", "hydra", "rocket_mean", "hybrid_rocket_mean"])
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


@pytest.mark.slow  # numba compiles for a minute or two
def test_the_means_are_those_of_their_three_parts_on_views_too() -> None:
    pytest.importorskip("aeon", reason="needs the extra aeon")
    data, test, _ = make_cell(FakeShards())

    def scores(name: str) -> np.ndarray:
        return np.asarray(find_contender(name).fit(data)(data.features, test))

    for views in ("", "+views"):
        shared = scores(f"handcrafted_trees{views}") + scores(f"minirocket_logistic{views}")
        for mean, own in (("rocket_mean", "handcrafted_logistic"), ("hybrid_rocket_mean", "hybrid_logistic")):
            # Sums of doubles in another order.
            assert scores(f"{mean}{views}") == pytest.approx((shared + scores(f"{own}{views}")) / 3, abs=1e-12)
