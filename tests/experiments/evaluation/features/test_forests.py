import pickle
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from datamodules.handcrafted import FEATURE_NAMES
from experiments.evaluation.features.forests import Forest, fit_extra_trees, fit_forest

K = len(FEATURE_NAMES)
BOTH = [(fit_forest, RandomForestClassifier), (fit_extra_trees, ExtraTreesClassifier)]


def test_the_forest_learns_and_repeats() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 2], 10)
    features = (labels[:, None] + rng.normal(scale=0.1, size=(20, 5))).astype(np.float32)
    one = fit_forest(features, labels, 3, seed=1).probabilities(features)
    assert (one.argmax(1) == labels).all()
    assert (one[:, 1] == 0).all()
    assert one.sum(1) == pytest.approx(1)
    assert (one == fit_forest(features, labels, 3, seed=1).probabilities(features)).all()


@pytest.mark.parametrize(("fit", "theirs"), BOTH)
@given(
    seed=st.integers(0, 2**32 - 1),
    windows=st.integers(2, 40),
    width=st.integers(1, 40),
    levels=st.integers(1, 1000),
    activities=st.integers(1, 6),
)
def test_probabilities_are_those_of_scikit_learn(
    fit: Callable[..., Forest],
    theirs: Callable[..., object],
    seed: int,
    windows: int,
    width: int,
    levels: int,
    activities: int,
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.sort(rng.permutation(8)[:activities]), windows)
    # Few levels make equal features, between which no split is possible.
    features = (labels[:, None] / 8 + rng.integers(0, levels, (windows, width)) / levels).astype(np.float32)
    forest = fit(features, labels, 8, seed=seed, trees=5)
    model = theirs(5, random_state=seed).fit(features, labels)  # type: ignore[attr-defined]
    tested = rng.uniform(0, 2, size=(60, width)).astype(np.float32)[::2]  # rows that are not neighbours in memory
    found = forest.probabilities(tested)
    # To the last bit: the trees are equal, and their answers are added in the same order.
    assert (found[:, model.classes_] == model.predict_proba(tested)).all()
    assert (np.delete(found, model.classes_, axis=1) == 0).all()


@pytest.mark.parametrize(("fit", "theirs"), BOTH)
def test_all_trees_are_those_of_scikit_learn(fit: Callable[..., Forest], theirs: Callable[..., object]) -> None:
    """As many windows, features and trees as an evaluation has."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(9), 10)
    features = (labels[:, None] * (rng.random(K) < 0.1) + rng.normal(size=(90, K))).astype(np.float32)
    tested = rng.normal(1, 2, size=(300, K)).astype(np.float32)
    model = theirs(100, random_state=7).fit(features, labels)  # type: ignore[attr-defined]
    found = fit(features, labels, 9, seed=7, trees=100)
    assert (found.probabilities(tested) == model.predict_proba(tested)).all()
    for mine, tree in zip(found.trees, model.estimators_, strict=True):
        assert (mine.threshold == tree.tree_.threshold).all()
        assert (mine.feature == tree.tree_.feature).all()


@pytest.mark.parametrize("fit", [fit_forest, fit_extra_trees])
def test_a_forest_comes_back_from_another_process_as_it_was(fit: Callable[..., Forest]) -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(12, 5)).astype(np.float32), np.repeat([0, 1, 2], 4)
    forest = fit(features, labels, 3, seed=0, trees=10)
    again = pickle.loads(pickle.dumps(forest))
    assert (again.probabilities(features) == forest.probabilities(features)).all()


@pytest.mark.parametrize("fit", [fit_forest, fit_extra_trees])
def test_forests_of_several_threads_are_as_of_one_and_nothing_is_printed(fit: Callable[..., Forest]) -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(27, 20)).astype(np.float32), np.arange(27)  # a window of each activity
    with warnings.catch_warnings(record=True) as said, ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("always")
        found = list(pool.map(lambda seed: fit(features, labels, 27, seed, 30).probabilities(features), range(8)))
    assert not said
    for seed, one in enumerate(found):
        assert (one == fit(features, labels, 27, seed, 30).probabilities(features)).all()


@pytest.mark.parametrize("fit", [fit_forest, fit_extra_trees])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(fit: Callable[..., Forest], bad: float) -> None:
    features = np.zeros((4, 3), np.float32)
    features[1, 2] = bad
    with pytest.raises(ValueError, match="1 feature of labelled windows not finite"):
        fit(features, np.array([0, 0, 1, 1]), 2, seed=0)
