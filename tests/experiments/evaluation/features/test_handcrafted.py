import numpy as np
import pytest

from experiments.evaluation.features.handcrafted import fit_forest


def test_the_forest_learns_and_repeats() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 2], 10)
    features = (labels[:, None] + rng.normal(scale=0.1, size=(20, 5))).astype(np.float32)
    one = fit_forest(features, labels, 3, seed=1).probabilities(features)
    assert (one.argmax(1) == labels).all()
    assert (one[:, 1] == 0).all()
    assert one.sum(1) == pytest.approx(1)
    assert (one == fit_forest(features, labels, 3, seed=1).probabilities(features)).all()
