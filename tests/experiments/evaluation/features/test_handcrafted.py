from collections.abc import Callable

import numpy as np
import pytest

from experiments.evaluation.features.handcrafted import Forest, fit_extra_trees, fit_forest


def test_the_forest_learns_and_repeats() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 2], 10)
    features = (labels[:, None] + rng.normal(scale=0.1, size=(20, 5))).astype(np.float32)
    one = fit_forest(features, labels, 3, seed=1).probabilities(features)
    assert (one.argmax(1) == labels).all()
    assert (one[:, 1] == 0).all()
    assert one.sum(1) == pytest.approx(1)
    assert (one == fit_forest(features, labels, 3, seed=1).probabilities(features)).all()


@pytest.mark.parametrize("fit", [fit_forest, fit_extra_trees])
def test_probabilities_are_those_of_scikit_learn(fit: Callable[..., Forest]) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 2, 3], 7)
    features = (labels[:, None] + rng.normal(size=(21, 30))).astype(np.float32)
    forest = fit(features, labels, 5, seed=1, trees=40)
    tested = rng.normal(1, 2, size=(500, 30)).astype(np.float32)[::2]  # rows that do not follow one another in memory
    found = forest.probabilities(tested)
    # To the last bit: the trees' answers are added in the same order.
    assert (found[:, [0, 2, 3]] == forest.trees.predict_proba(tested)).all()
    assert (found[:, [1, 4]] == 0).all()
